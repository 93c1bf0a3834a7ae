//go:build !linux

package main

func offHeap[T any](n int) ([]T, error) { return make([]T, n), nil }
