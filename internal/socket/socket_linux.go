//go:build linux && (amd64 || arm64)

package socket

import (
	"syscall"
	"unsafe"
)

// Works reports whether Receive and Send can be used here: their system calls are
// Linux's.
const Works = true

// Receive reads from a socket that does not block.
func Receive(fd uintptr, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0, 0, 0)
	return int(n), errno
}

// Send writes to a socket that does not block. It may take a part.
func Send(fd uintptr, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), syscall.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}
