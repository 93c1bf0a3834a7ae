package netns

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// World is places that are far from each other.
type World struct {
	places []*place
	done   chan struct{} // closed by Close
	once   sync.Once
	all    sync.WaitGroup // of the goroutines that carry packets
}

// place is a namespace and what leads into it.
type place struct {
	calls  chan func() // made in the namespace's thread
	device *os.File
	ways   []*way // to every other place
}

// way is what is on its way from one place to another, in order.
type way struct {
	cut     atomic.Bool
	delay   time.Duration
	packets chan packet
}

type packet struct {
	at   time.Time // when it arrives
	data []byte
}

const (
	tunDevice = "/dev/net/tun"
	deviceMTU = 1400
	// onTheWay is how many packets a way holds; one more is lost, as by a router.
	onTheWay = 4096
)

// Possible says why there can be no places here; nil is that there can.
func Possible() error {
	f, err := os.OpenFile(tunDevice, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrImpossible, err)
	}
	f.Close()
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: this is user %d", ErrImpossible, os.Geteuid())
	}
	return nil
}

// New makes places. They are gone with Close, or with this process.
func New(c Config) (*World, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if err := Possible(); err != nil {
		return nil, err
	}
	w := &World{done: make(chan struct{})}
	for i := range c.Places {
		p := &place{calls: make(chan func())}
		for j := range c.Places {
			y := &way{packets: make(chan packet, onTheWay)}
			if c.Delay != nil && i != j {
				y.delay = c.Delay(i, j)
			}
			p.ways = append(p.ways, y)
		}
		ready := make(chan error)
		go p.live(i, ready, w.done)
		if err := <-ready; err != nil {
			w.Close()
			return nil, err
		}
		w.places = append(w.places, p)
	}
	for i, p := range w.places {
		w.all.Go(func() { w.leave(p) })
		for j, y := range p.ways {
			if i != j {
				w.all.Go(func() { w.arrive(y, w.places[j]) })
			}
		}
	}
	return w, nil
}

// live makes a namespace and calls what is to be called in it. Its thread is in the
// namespace for ever and ends with the goroutine; so does the namespace, when no process
// is left in it.
func (p *place) live(i int, ready chan<- error, done <-chan struct{}) {
	runtime.LockOSThread()
	err := p.make(i)
	ready <- err
	for err == nil {
		select {
		case f := <-p.calls:
			f()
		case <-done:
			return
		}
	}
}

func (p *place) make(i int) error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("%w: %w", ErrImpossible, err)
	}
	// The file is told of its device before the runtime waits for it, or it would wait
	// for ever.
	fd, err := unix.Open(tunDevice, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrImpossible, err)
	}
	if err := configure(fd, Addr(i).As4()); err != nil {
		unix.Close(fd)
		return fmt.Errorf("netns: place %d: %w", i, err)
	}
	p.device = os.NewFile(uintptr(fd), tunDevice)
	return nil
}

// configure gives the device its address, and takes it and the loopback into use.
func configure(fd int, addr [4]byte) error {
	const name = "far0"
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	for _, step := range []struct {
		what    string
		fd      int
		request uint
		device  string
		set     func(*unix.Ifreq) error
	}{
		{"TUNSETIFF", fd, unix.TUNSETIFF, name, func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI); return nil }},
		{"SIOCSIFADDR", s, unix.SIOCSIFADDR, name, func(r *unix.Ifreq) error { return r.SetInet4Addr(addr[:]) }},
		{"SIOCSIFNETMASK", s, unix.SIOCSIFNETMASK, name, func(r *unix.Ifreq) error { return r.SetInet4Addr([]byte{255, 254, 0, 0}) }},
		{"SIOCSIFMTU", s, unix.SIOCSIFMTU, name, func(r *unix.Ifreq) error { r.SetUint32(deviceMTU); return nil }},
		{"SIOCSIFFLAGS", s, unix.SIOCSIFFLAGS, name, func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING); return nil }},
		{"SIOCSIFFLAGS", s, unix.SIOCSIFFLAGS, "lo", func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING); return nil }},
	} {
		r, err := unix.NewIfreq(step.device)
		if err != nil {
			return err
		}
		if err := step.set(r); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(step.fd, step.request, r); err != nil {
			return fmt.Errorf("%s of %s: %w", step.what, step.device, err)
		}
	}
	return nil
}

// leave reads what comes out of a place, and sends it on its way.
func (w *World) leave(p *place) {
	buf := make([]byte, deviceMTU+100)
	for {
		n, err := p.device.Read(buf)
		if err != nil {
			return // it was closed
		}
		if n < 20 || buf[0]>>4 != 4 {
			continue
		}
		to, ok := placeOf([4]byte(buf[16:20]), len(w.places))
		if !ok || p.ways[to].cut.Load() {
			continue
		}
		y := p.ways[to]
		select {
		case y.packets <- packet{time.Now().Add(y.delay), append([]byte(nil), buf[:n]...)}:
		default:
		}
	}
}

// arrive puts what was long enough on its way into the place where it goes.
func (w *World) arrive(y *way, to *place) {
	t := time.NewTimer(time.Hour)
	defer t.Stop()
	for {
		var p packet
		select {
		case <-w.done:
			return
		case p = <-y.packets:
		}
		if d := time.Until(p.at); d > 0 {
			t.Reset(d)
			select {
			case <-w.done:
				return
			case <-t.C:
			}
		}
		if !y.cut.Load() {
			_, _ = to.device.Write(p.data) // as on any network, it may be lost
		}
	}
}

// Do calls f in a place: what it opens and starts is there. It must not take long, as
// one is called after the other, and goroutines that it starts are elsewhere. A process
// that is to end with this one has Pdeathsig: the thread lives as long as the World.
func (w *World) Do(place int, f func() error) error {
	ended := make(chan error, 1)
	select {
	case w.places[place].calls <- func() { ended <- f() }:
		return <-ended
	case <-w.done:
		return net.ErrClosed
	}
}

// Dial connects from a place to an address of digits.
func (w *World) Dial(ctx context.Context, place int, network, addr string) (c net.Conn, err error) {
	if err := w.Do(place, func() error {
		var d net.Dialer
		c, err = d.DialContext(ctx, network, addr)
		return err
	}); err != nil {
		return nil, err
	}
	return c, nil
}

// Cut says whether two places are cut off from each other: nothing gets through, in
// either direction, and nobody is told.
func (w *World) Cut(a, b int, cut bool) {
	w.places[a].ways[b].cut.Store(cut)
	w.places[b].ways[a].cut.Store(cut)
}

// Close ends all places.
func (w *World) Close() {
	w.once.Do(func() {
		close(w.done)
		for _, p := range w.places {
			p.device.Close()
		}
		w.all.Wait()
	})
}
