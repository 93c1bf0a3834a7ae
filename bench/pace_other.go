//go:build !linux

package main

import "errors"

var errPace = errors.New("requests at a fixed rate are sent on Linux alone")

func paceMain([]string) error { return errPace }

func paceOver(string, [][]byte, int, int) (paced, error) { return paced{}, errPace }
