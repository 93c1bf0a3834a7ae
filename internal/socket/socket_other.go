//go:build !(linux && (amd64 || arm64))

package socket

import "syscall"

// Works reports whether Receive and Send can be used here.
const Works = false

// Receive fails.
func Receive(uintptr, []byte) (int, syscall.Errno) { return 0, syscall.ENOSYS }

// Send fails.
func Send(uintptr, []byte) (int, syscall.Errno) { return 0, syscall.ENOSYS }
