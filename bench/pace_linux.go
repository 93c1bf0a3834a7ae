package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"
)

// paceMain sends requests at a fixed rate, whatever becomes of those before: the
// address, requests a second, seconds, and the file of clients' addresses. It
// has a core of its own and never sleeps, since a timer would be later than what
// it measures.
func paceMain(args []string) error {
	if len(args) != 4 {
		return errors.New("want ADDR RATE SECONDS ADDRESSES")
	}
	rate, err1 := strconv.Atoi(args[1])
	seconds, err2 := strconv.Atoi(args[2])
	requests, err3 := browserRequests(args[3])
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	debug.SetGCPercent(-1)
	got, err := paceOver(args[0], requests, rate, seconds)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(got)
}

// paceOver sends the requests to addr, so many a second, over connections of its
// own.
func paceOver(addr string, requests [][]byte, rate, seconds int) (paced, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return paced{}, err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p := &pacer{requests: requests, waits: make([]wait, 0, rate*seconds)}
	defer p.close()
	if err := p.dial(to); err != nil {
		return paced{}, err
	}
	if err := p.run(rate, seconds); err != nil {
		return paced{}, err
	}
	return summed(p.waits, p.bad), nil
}

// A pacer is an epoll loop over its connections.
type pacer struct {
	epoll    int
	conns    map[int32]*pacedConn
	free     []*pacedConn
	requests [][]byte
	waits    []wait
	start    time.Time
	bad      int
}

type pacedConn struct {
	fd  int
	due time.Time // of the request that is under way
	in  []byte
}

func (p *pacer) dial(to netip.AddrPort) (err error) {
	if p.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return err
	}
	p.conns = map[int32]*pacedConn{}
	for range paceConnections {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		if err := errors.Join(
			syscall.Connect(fd, &syscall.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}),
			syscall.SetNonblock(fd, true),
			syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1),
			syscall.EpollCtl(p.epoll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}),
		); err != nil {
			return err
		}
		c := &pacedConn{fd: fd, in: make([]byte, 0, 4096)}
		p.conns[int32(fd)] = c
		p.free = append(p.free, c)
	}
	return nil
}

func (p *pacer) close() {
	for fd := range p.conns {
		_ = syscall.Close(int(fd)) // the process ends anyway
	}
	_ = syscall.Close(p.epoll)
}

func (p *pacer) run(rate, seconds int) error {
	start, total, sent := time.Now(), rate*seconds, 0
	p.start = start
	// What is not answered soon after the end never will be.
	last := time.Duration(seconds)*time.Second + 2*time.Second
	var events [paceConnections]syscall.EpollEvent
	for len(p.waits)+p.bad < total {
		passed := time.Since(start)
		if passed > last {
			return fmt.Errorf("%d of %d requests were answered", len(p.waits), total)
		}
		for len(p.free) > 0 && sent < total {
			due := time.Duration(float64(sent) / float64(rate) * float64(time.Second))
			if due > passed {
				break
			}
			c := p.free[len(p.free)-1]
			p.free = p.free[:len(p.free)-1]
			c.due = start.Add(due)
			if n, err := syscall.Write(c.fd, p.requests[sent%len(p.requests)]); err != nil || n != len(p.requests[sent%len(p.requests)]) {
				return fmt.Errorf("a request of some hundred bytes was not taken at once: %d, %w", n, err)
			}
			sent++
		}
		n, err := syscall.EpollWait(p.epoll, events[:], 0)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return err
		}
		for _, e := range events[:max(n, 0)] {
			if err := p.read(p.conns[e.Fd]); err != nil {
				return err
			}
		}
	}
	return nil
}

// read takes what came, and notes the answer when it is whole.
func (p *pacer) read(c *pacedConn) error {
	n, err := syscall.Read(c.fd, c.in[len(c.in):cap(c.in)])
	if err != nil || n <= 0 {
		return fmt.Errorf("reading an answer: %d, %w", n, err)
	}
	c.in = c.in[:len(c.in)+n]
	size, ok := answerSize(c.in)
	if !ok || len(c.in) < size {
		return nil
	}
	if bytes.HasPrefix(c.in, []byte("HTTP/1.1 200 ")) {
		p.waits = append(p.waits, wait{c.due.Sub(p.start), time.Since(c.due)})
	} else {
		p.bad++
	}
	c.in = c.in[:0]
	p.free = append(p.free, c)
	return nil
}
