//go:build linux && (amd64 || arm64)

package socket

import (
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// A Poll tells one goroutine which of many sockets have something to read. The
// runtime's own poller asks each socket also whether it can be written to; on a Unix
// socket the answer comes anew with everything that the other side has read, and
// wakes the process for nothing.
type Poll struct {
	epoll int
	mu    sync.Mutex
	bell  int // an eventfd; guarded by mu but for Serve, which ends it
	rung  atomic.Bool
	file  *os.File // of epoll, which the runtime's poller watches
	raw   syscall.RawConn
	ready [64]syscall.EpollEvent
	some  []Event
}

// Duplicate returns another descriptor of a socket, which a program that is started
// does not get.
func Duplicate(fd uintptr) (int, error) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_FCNTL, fd, syscall.F_DUPFD_CLOEXEC, 0)
	if errno != 0 {
		return -1, os.NewSyscallError("fcntl", errno)
	}
	return int(n), nil
}

// Close closes a descriptor that Duplicate made.
func Close(fd int) error { return os.NewSyscallError("close", syscall.Close(fd)) }

// EndWriting tells the other side that nothing more will come.
func EndWriting(fd uintptr) { _ = syscall.Shutdown(int(fd), syscall.SHUT_WR) } // or it has gone

// An Event says that there is something to read.
type Event struct {
	ID    int32 // as given to Add; Bell for Ring
	Ended bool  // the other side will not send more, or has gone
}

// Bell is the ID of the event that Ring makes.
const Bell = -1

// epollEdge is EPOLLET, which package syscall has as a negative number.
const epollEdge = 1 << 31

// NewPoll makes one. Close ends it.
func NewPoll() (*Poll, error) {
	p := &Poll{epoll: -1, bell: -1}
	if err := p.open(); err != nil {
		p.release()
		return nil, err
	}
	return p, nil
}

func (p *Poll) open() (err error) {
	if p.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		p.epoll = -1
		return os.NewSyscallError("epoll_create1", err)
	}
	const nonblocking = syscall.O_CLOEXEC | syscall.O_NONBLOCK // EFD_CLOEXEC | EFD_NONBLOCK
	bell, _, errno := syscall.RawSyscall(syscall.SYS_EVENTFD2, 0, nonblocking, 0)
	if errno != 0 {
		return os.NewSyscallError("eventfd2", errno)
	}
	p.bell = int(bell)
	if err := p.Add(p.bell, Bell); err != nil {
		return err
	}
	if err := syscall.SetNonblock(p.epoll, true); err != nil { // or the runtime's poller does not take it
		return os.NewSyscallError("fcntl", err)
	}
	p.file = os.NewFile(uintptr(p.epoll), "epoll")
	if p.raw, err = p.file.SyscallConn(); err != nil {
		return err
	}
	return p.file.SetDeadline(time.Time{}) // fails when it is not watched
}

// Add watches a socket until it is removed or closed.
func (p *Poll) Add(fd int, id int32) error {
	e := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | epollEdge, Fd: id}
	return os.NewSyscallError("epoll_ctl", syscall.EpollCtl(p.epoll, syscall.EPOLL_CTL_ADD, fd, &e))
}

// Remove ends that.
func (p *Poll) Remove(fd int) error {
	return os.NewSyscallError("epoll_ctl", syscall.EpollCtl(p.epoll, syscall.EPOLL_CTL_DEL, fd, nil))
}

// Ring makes an event with the ID Bell. Any goroutine may call it.
func (p *Poll) Ring() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bell < 0 || p.rung.Swap(true) {
		return // Serve has ended; or it has been heard of, or will be
	}
	one := uint64(1)
	_, _, _ = syscall.RawSyscall(syscall.SYS_WRITE, uintptr(p.bell), uintptr(unsafe.Pointer(&one)), 8) // a counter of 1 is never full
}

// Serve calls serve with events as they come, until Close; then it gives back what
// the Poll has. Each event is told once: what can be read has to be read, or is told
// of when more comes.
func (p *Poll) Serve(serve func([]Event)) {
	_ = p.raw.Read(func(uintptr) (done bool) { // it ends with Close
		for {
			n := p.wait()
			if n > 0 {
				serve(p.some)
			}
			if n < len(p.ready) {
				return false
			}
		}
	})
	p.release()
}

// wait asks without waiting.
func (p *Poll) wait() int {
	n, errno := uintptr(0), syscall.EINTR
	for errno == syscall.EINTR {
		n, _, errno = syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(p.epoll), uintptr(unsafe.Pointer(&p.ready)), uintptr(len(p.ready)), 0, 0, 0)
	}
	if errno != 0 {
		return 0
	}
	p.some = p.some[:0]
	for i := range p.ready[:n] {
		e := &p.ready[i]
		if e.Fd == Bell {
			p.hear()
		}
		p.some = append(p.some, Event{e.Fd, e.Events&(syscall.EPOLLRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0})
	}
	return int(n)
}

// hear makes the bell silent. What is done because it rang is done after that.
func (p *Poll) hear() {
	var count uint64
	_, _, _ = syscall.RawSyscall(syscall.SYS_READ, uintptr(p.bell), uintptr(unsafe.Pointer(&count)), 8)
	p.rung.Store(false)
}

// Close ends Serve.
func (p *Poll) Close() error { return p.file.Close() }

func (p *Poll) release() {
	switch {
	case p.file != nil:
		_ = p.file.Close()
	case p.epoll >= 0:
		_ = syscall.Close(p.epoll)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bell >= 0 {
		_ = syscall.Close(p.bell)
		p.bell = -1
	}
}
