//go:build !(linux && (amd64 || arm64))

package socket

import "syscall"

// Works reports whether Receive and Send can be used here.
const Works = false

// Receive fails.
func Receive(uintptr, []byte) (int, syscall.Errno) { return 0, syscall.ENOSYS }

// Send fails.
func Send(uintptr, []byte) (int, syscall.Errno) { return 0, syscall.ENOSYS }

// A Poll is none.
type Poll struct{}

// An Event says that there is something to read.
type Event struct {
	ID    int32
	Ended bool
}

// Bell is the ID of the event that Ring makes.
const Bell = -1

// NewPoll fails.
func NewPoll() (*Poll, error) { return nil, syscall.ENOSYS }

// Add fails.
func (*Poll) Add(int, int32) error { return syscall.ENOSYS }

// Remove fails.
func (*Poll) Remove(int) error { return syscall.ENOSYS }

// Ring does nothing.
func (*Poll) Ring() {}

// Serve does nothing.
func (*Poll) Serve(func([]Event)) {}

// Close does nothing.
func (*Poll) Close() error { return nil }

// Duplicate fails.
func Duplicate(uintptr) (int, error) { return -1, syscall.ENOSYS }

// Close fails.
func Close(int) error { return syscall.ENOSYS }

// EndWriting does nothing.
func EndWriting(uintptr) {}
