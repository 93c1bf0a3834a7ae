//go:build linux && (amd64 || arm64)

package api

import (
	"syscall"
	"unsafe"
)

// loopWorks reports whether the loop can be used here: its system calls are
// Linux's, and it relies on how Linux tells of what comes (epoll(7), edges).
const loopWorks = true

// receive and send are the system calls on a socket that does not block. They
// return at once, so the scheduler is not told of them, which would cost as much
// as they do.

func receive(fd uintptr, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0, 0, 0)
	return int(n), errno
}

func send(fd uintptr, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), syscall.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}
