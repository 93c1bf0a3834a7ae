//go:build !(linux && (amd64 || arm64))

package api

import "syscall"

const loopWorks = false // fasthttp serves everything

func receive(uintptr, []byte) (int, syscall.Errno) { return 0, syscall.ENOSYS }
func send(uintptr, []byte) (int, syscall.Errno)    { return 0, syscall.ENOSYS }
