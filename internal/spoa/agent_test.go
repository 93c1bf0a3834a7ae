package spoa

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/door"
)

func TestNewMistakes(t *testing.T) {
	_, err := New(Config{
		MaxFrame: 255, Patience: -1, Idle: -1, Grace: -1,
		Peers: door.Peers{Allowed: []netip.Prefix{netip.MustParsePrefix("::/0")}},
	})
	if err == nil {
		t.Fatal("taken")
	}
	for _, want := range []string{"there is no Decide", "MaxFrame is 255", "::/0 in Allowed is everybody", "Patience is -1ns", "Idle is -1ns", "Grace is -1ns"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

// pipe is a listener whose connections are in memory, for a bubble of synctest.
type pipe struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newPipe() *pipe { return &pipe{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipe) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipe) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// haproxy is HAProxy's side of a connection.
type haproxy struct {
	t *testing.T
	net.Conn
	in []byte
}

func (p *pipe) dial(t *testing.T) *haproxy {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return &haproxy{t: t, Conn: ours}
}

var usualHello = []kv{
	{"supported-versions", "2.0"},
	{"max-frame-size", uint32(16380)},
	{"capabilities", "pipelining,async"},
	{"engine-id", "0"},
}

func helloFrame(list []kv) []byte {
	b, at := beginFrame(nil, frameHello, 0, 0)
	return endFrame(appendKV(b, list), at)
}

func (h *haproxy) send(b []byte) {
	h.t.Helper()
	if _, err := h.Write(b); err != nil {
		h.t.Fatal(err)
	}
}

// frame reads the agent's next frame; its bytes are a copy.
func (h *haproxy) frame() (frame, error) {
	for {
		f, n, err := nextFrame(h.in, 1<<20)
		if err != nil {
			return f, err
		}
		if n > 0 {
			f.payload = bytes.Clone(f.payload)
			h.in = h.in[n:]
			return f, nil
		}
		buf := make([]byte, 4096)
		n, err = h.Read(buf)
		h.in = append(h.in, buf[:n]...)
		if err != nil && n == 0 {
			return f, err
		}
	}
}

func (h *haproxy) want(kind byte) frame {
	h.t.Helper()
	f, err := h.frame()
	if err != nil || f.kind != kind {
		h.t.Fatalf("a frame of type %d, %v; want type %d", f.kind, err, kind)
	}
	return f
}

// items reads the payload of AGENT-HELLO or AGENT-DISCONNECT.
func items(t *testing.T, b []byte) map[string]any {
	t.Helper()
	out := map[string]any{}
	for len(b) > 0 {
		var d datum
		name, rest, err := argument(b, &d)
		if err != nil {
			t.Fatal(err)
		}
		if n, ok := d.number(); ok {
			out[string(name)] = int(n)
		} else {
			out[string(name)] = string(d.raw)
		}
		b = rest
	}
	return out
}

// goodbye wants an AGENT-DISCONNECT with that status, and the end.
func (h *haproxy) goodbye(status int) {
	h.t.Helper()
	got := items(h.t, h.want(frameAgentDisconnect).payload)
	if got["status-code"] != status || got["message"] == "" {
		h.t.Errorf("disconnected with %v, want status %d", got, status)
	}
	if _, err := h.frame(); !errors.Is(err, io.EOF) {
		h.t.Errorf("after the DISCONNECT: %v", err)
	}
}

// serve runs an agent in the background and returns how to stop it.
func serve(t *testing.T, cfg Config, ln net.Listener) (a *Agent, stop func() error) {
	t.Helper()
	if cfg.Decide == nil {
		cfg.Decide = func(_ context.Context, _ *ipwarden.Request, a *door.Answer) { a.Verdict = ipwarden.Allow }
	}
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Serve(ctx, ln) }()
	stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { _ = stop() })
	return a, stop
}

func TestHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipe()
		a, stop := serve(t, Config{}, p)
		h := p.dial(t)
		h.send(helloFrame(usualHello))
		got := items(t, h.want(frameAgentHello).payload)
		if got["version"] != "2.0" || got["max-frame-size"] != 16380 || got["capabilities"] != "pipelining" {
			t.Errorf("AGENT-HELLO: %v", got)
		}
		h.send(notifyFrame(nil, 9, 300, browser(nil)))
		f := h.want(frameAck)
		if f.stream != 9 || f.id != 300 {
			t.Errorf("an ACK of stream %d, frame %d", f.stream, f.id)
		}
		disconnect := appendDisconnect(nil, 0, "normal")
		disconnect[4] = frameDisconnect
		h.send(disconnect)
		h.goodbye(statusNormal)

		check := p.dial(t)
		check.send(helloFrame(append(slices.Clone(usualHello), kv{"healthcheck", true})))
		check.want(frameAgentHello)
		if _, err := check.frame(); !errors.Is(err, io.EOF) {
			t.Errorf("after a health check: %v", err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		if got, want := a.Stats(), (Stats{Connections: 2, Frames: 1}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}

func TestBreaches(t *testing.T) {
	hello := helloFrame(usualHello)
	for _, c := range []struct {
		name   string
		bytes  []byte
		status int
		hello  bool // the agent answers the HELLO first
	}{
		{"a HELLO without a version", helloFrame(usualHello[1:]), statusNoVersion, false},
		{"a NOTIFY before the HELLO", notifyFrame(nil, 1, 1, nil), statusInvalid, false},
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), statusTooBig, false},
		{"a second HELLO", slices.Concat(hello, hello), statusInvalid, true},
		{"a frame beyond the size agreed", slices.Concat(hello, []byte{0, 0, 0x40, 0, 3, 0, 0, 0, 1}), statusTooBig, true},
		{"a fragment", slices.Concat(hello, []byte{0, 0, 0, 8, frameNotify, 0, 0, 0, 0, 1, 1, 0}), statusFragmentation, true},
		{"a message that is cut", slices.Concat(hello, notifyFrame(nil, 1, 1, browser(nil)[:40])), statusInvalid, true},
		{"a HELLO that does not end", hello[:20], statusTimeout, false},
		{"a frame that does not end", slices.Concat(hello, notifyFrame(nil, 1, 1, browser(nil))[:100]), statusTimeout, true},
		{"silence", hello, statusNormal, true},
		{"silence from the first", nil, statusNormal, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPipe()
				a, stop := serve(t, Config{}, p)
				h := p.dial(t)
				if len(c.bytes) > 0 {
					go func() { _, _ = h.Write(c.bytes) }() // the agent need not read all of it
				}
				if c.hello {
					h.want(frameAgentHello)
				}
				h.goodbye(c.status)
				if err := stop(); err != nil {
					t.Error(err)
				}
				if got := a.Stats().Breaches == 1; got != (c.status != statusNormal) {
					t.Errorf("%+v", a.Stats())
				}
			})
		})
	}
}

// Frames of unknown types are skipped, wherever they are cut.
func TestChunks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream := helloFrame(usualHello)
		strange, at := beginFrame(nil, 77, 1, 1)
		strange = endFrame(strange, at)
		const frames = 40
		for i := range frames {
			stream = append(notifyFrame(stream, uint64(i), 1, browser(nil)), strange...)
		}
		for _, size := range []int{1, 7, 100, 4095, len(stream)} {
			p := newPipe()
			_, stop := serve(t, Config{}, p)
			h := p.dial(t)
			go func() {
				for chunk := range slices.Chunk(stream, size) {
					if _, err := h.Write(chunk); err != nil {
						return
					}
				}
			}()
			h.want(frameAgentHello)
			for i := range frames {
				if f := h.want(frameAck); f.stream != uint64(i) {
					t.Fatalf("chunks of %d: an ACK of stream %d, want %d", size, f.stream, i)
				}
			}
			h.Close()
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
	})
}

// A connection that is never without the beginning of a frame is not taken for
// one whose frame does not end.
func TestLongStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipe()
		_, stop := serve(t, Config{Patience: time.Second}, p)
		h := p.dial(t)
		h.send(helloFrame(usualHello))
		h.want(frameAgentHello)
		one := notifyFrame(nil, 1, 1, browser(nil))
		h.send(one[:50])
		for range 10 {
			time.Sleep(900 * time.Millisecond) // of the bubble
			h.send(append(bytes.Clone(one[50:]), one[:50]...))
			h.want(frameAck)
		}
		h.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// One slow decision does not come on top of another's; but where none waits for
// anybody, they are taken one after the other.
func TestSlowDecisions(t *testing.T) {
	for _, local := range []bool{false, true} {
		t.Run(fmt.Sprint(local), func(t *testing.T) { slowDecisions(t, local) })
	}
}

func slowDecisions(t *testing.T, local bool) {
	synctest.Test(t, func(t *testing.T) {
		const slow = 5 * time.Millisecond
		var at, most atomic.Int32
		decide := func(_ context.Context, r *ipwarden.Request, a *door.Answer) {
			n := at.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			time.Sleep(slow) // of the bubble
			at.Add(-1)
			a.Verdict = ipwarden.Allow
			a.SetUpstream("X-Ipwarden-Path", r.Path+r.Header.Values("Host")[0])
		}
		p := newPipe()
		_, stop := serve(t, Config{Decide: decide, Local: local}, p)
		h := p.dial(t)
		h.send(helloFrame(usualHello))
		h.want(frameAgentHello)
		const frames = 100
		var all []byte
		for i := range frames {
			all = notifyFrame(all, uint64(i), 1, message(nil, messageRequest,
				kv{"path", fmt.Sprintf("/%d@", i)}, kv{"headers", headersOf(fmt.Sprintf("host: %d", i))}))
		}
		began := time.Now()
		go func() { _, _ = h.Write(all) }()
		seen := map[uint64]bool{}
		for range frames {
			f, err := h.frame()
			if err != nil {
				t.Fatal(err)
			}
			b, at := beginFrame(nil, frameAck, f.stream, f.id)
			vars, _, _, err := variables(endFrame(append(b, f.payload...), at), 16380)
			if want := fmt.Sprintf("/%d@%d", f.stream, f.stream); err != nil || vars["path"] != want || seen[f.stream] {
				t.Fatalf("stream %d: %v, %v", f.stream, vars, err)
			}
			seen[f.stream] = true
		}
		// One by one, then 32 at a time.
		if took := time.Since(began); took > 6*slow && !local {
			t.Errorf("%d frames of %v took %v", frames, slow, took)
		}
		if n := most.Load(); n > maxParallel || local && n > 1 {
			t.Errorf("%d at a time", most.Load())
		}
		h.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// When decisions are quick again, the connection's own goroutine takes them.
func TestQuickAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slow atomic.Bool
		slow.Store(true)
		a, err := New(Config{Decide: func(_ context.Context, _ *ipwarden.Request, a *door.Answer) {
			if slow.Load() {
				time.Sleep(5 * time.Millisecond) // of the bubble
			}
			a.Verdict = ipwarden.Allow
		}})
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs := net.Pipe()
		c := newConn(a, theirs)
		go c.serve(t.Context())
		h := &haproxy{t: t, Conn: ours}
		h.send(helloFrame(usualHello))
		h.want(frameAgentHello)
		round := func(n int) {
			var b []byte
			for range n {
				b = notifyFrame(b, 1, 1, browser(nil))
			}
			go func() { _, _ = h.Write(b) }()
			for range n {
				h.want(frameAck)
			}
			synctest.Wait()
		}
		round(3)
		if !c.parallel.slow.Load() {
			t.Error("slow decisions are not seen to be slow")
		}
		slow.Store(false)
		round(quickRun - 1)
		if !c.parallel.slow.Load() {
			t.Error("too soon")
		}
		round(1)
		if c.parallel.slow.Load() {
			t.Error("quick decisions are not seen to be quick")
		}
		h.Close()
	})
}

// What has come when the agent is told to stop is answered.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipe()
		deciding := make(chan struct{})
		_, stop := serve(t, Config{Decide: func(_ context.Context, _ *ipwarden.Request, a *door.Answer) {
			deciding <- struct{}{}
			time.Sleep(3 * time.Second) // of the bubble
			a.Verdict = ipwarden.Allow
		}}, p)
		idle, fresh, busy, half := p.dial(t), p.dial(t), p.dial(t), p.dial(t)
		for _, h := range []*haproxy{idle, busy, half} {
			h.send(helloFrame(usualHello))
			h.want(frameAgentHello)
		}
		one := notifyFrame(nil, 4, 5, browser(nil))
		busy.send(one)
		<-deciding
		half.send(one[:60])
		ended := make(chan error)
		go func() { ended <- stop() }()
		synctest.Wait()
		if _, err := p.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Error("the listener is open")
		}
		idle.goodbye(statusNormal)
		fresh.goodbye(statusNormal)
		half.send(one[60:])
		<-deciding
		for _, h := range []*haproxy{busy, half} {
			if f := h.want(frameAck); f.stream != 4 || f.id != 5 {
				t.Errorf("%+v", f)
			}
			h.goodbye(statusNormal)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// A decision that outlasts the grace is told to end, and Serve says so.
func TestGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipe()
		deciding := make(chan struct{})
		_, stop := serve(t, Config{Grace: time.Second, Decide: func(ctx context.Context, _ *ipwarden.Request, _ *door.Answer) {
			close(deciding)
			<-ctx.Done()
		}}, p)
		h := p.dial(t)
		h.send(helloFrame(usualHello))
		h.want(frameAgentHello)
		h.send(notifyFrame(nil, 1, 1, browser(nil)))
		<-deciding
		began := time.Now()
		if err := stop(); err == nil || !strings.Contains(err.Error(), "1 connections") {
			t.Errorf("%v", err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// A decision that panics ends its connection, not the agent.
func TestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipe()
		var calls atomic.Int32
		_, stop := serve(t, Config{Decide: func(_ context.Context, _ *ipwarden.Request, a *door.Answer) {
			if calls.Add(1) == 1 {
				panic("a test's")
			}
			a.Verdict = ipwarden.Allow
		}}, p)
		for i := range 2 {
			h := p.dial(t)
			h.send(helloFrame(usualHello))
			h.want(frameAgentHello)
			h.send(notifyFrame(nil, 1, 1, browser(nil)))
			f, err := h.frame()
			if i == 0 && !errors.Is(err, io.EOF) || i == 1 && (err != nil || f.kind != frameAck) {
				t.Errorf("connection %d: %+v, %v", i, f, err)
			}
			h.Close()
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipe()
		got := make(chan string, 1)
		_, stop := serve(t, Config{Outcome: func(_ context.Context, decision string, status int) {
			got <- fmt.Sprint(strings.Clone(decision), " ", status)
		}}, p)
		h := p.dial(t)
		h.send(helloFrame(usualHello))
		h.want(frameAgentHello)
		h.send(notifyFrame(nil, 1, 2, message(nil, messageOutcome, kv{"decision", "d-1"}, kv{"status", 401})))
		if f := h.want(frameAck); len(f.payload) != 0 {
			t.Errorf("answered with % x", f.payload)
		}
		if g := <-got; g != "d-1 401" {
			t.Error(g)
		}
		h.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestServeTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, stop := serve(t, Config{}, newPipe())
		synctest.Wait()
		if err := a.Serve(t.Context(), newPipe()); err == nil || !strings.Contains(err.Error(), "twice") {
			t.Errorf("%v", err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// Many connections over real sockets, each answer to its own request.
func TestManyConnections(t *testing.T) {
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	a, stop := serve(t, Config{Linger: -1, Decide: func(_ context.Context, r *ipwarden.Request, a *door.Answer) {
		a.Verdict = ipwarden.Allow
		a.SetUpstream("X-Ipwarden-Path", r.Path)
	}}, ln)
	const conns, frames = 50, 200
	var clients sync.WaitGroup
	for i := range conns {
		clients.Go(func() {
			nc, err := net.Dial("unix", ln.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			defer nc.Close()
			h := &haproxy{t: t, Conn: nc}
			if _, err := h.Write(helloFrame(usualHello)); err != nil {
				t.Error(err)
				return
			}
			if f, err := h.frame(); err != nil || f.kind != frameAgentHello {
				t.Error(f, err)
				return
			}
			var b []byte
			for j := range frames {
				b = notifyFrame(b, uint64(j), uint64(i), message(nil, messageRequest, kv{"path", fmt.Sprintf("/%d/%d", i, j)}))
			}
			go func() { _, _ = h.Write(b) }()
			for range frames {
				f, err := h.frame()
				if err != nil {
					t.Error(err)
					return
				}
				if want := fmt.Sprintf("/%d/%d", f.id, f.stream); !bytes.Contains(f.payload, []byte(want)) || f.id != uint64(i) {
					t.Errorf("%q is not the answer to %s", f.payload, want)
				}
			}
		})
	}
	clients.Wait()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if s := a.Stats(); s.Frames != conns*frames || s.Connections != conns || s.Breaches != 0 {
		t.Errorf("%+v", s)
	}
}

// BenchmarkExchange is one NOTIFY and its ACK without the connection: what the
// agent itself does of a request.
func BenchmarkExchange(b *testing.B) {
	wire := notifyFrame(nil, 5, 6, browser(nil))
	var x exchange
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		f, _, err := nextFrame(wire, 16380)
		if err != nil || x.parse(f.payload) != nil {
			b.Fatal("no frame")
		}
		enrich(&x.answer)
		out, _ = appendAck(out[:0], &f, &x, 16380)
	}
}

// BenchmarkRoundTrip is one NOTIFY and its ACK over a Unix socket, both sides in
// this process.
func BenchmarkRoundTrip(b *testing.B) {
	ln, err := net.Listen("unix", filepath.Join(b.TempDir(), "s"))
	if err != nil {
		b.Fatal(err)
	}
	a, err := New(Config{Linger: -1, Decide: func(_ context.Context, _ *ipwarden.Request, a *door.Answer) { enrich(a) }})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Serve(ctx, ln) }()
	nc, err := net.Dial("unix", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 4096)
	ask := func(wire []byte) {
		if _, err := nc.Write(wire); err != nil {
			b.Fatal(err)
		}
		if _, err := nc.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
	ask(helloFrame(usualHello))
	wire := notifyFrame(nil, 5, 6, browser(nil))
	b.ReportAllocs()
	for b.Loop() {
		ask(wire)
	}
	nc.Close()
	cancel()
	if err := <-ended; err != nil {
		b.Error(err)
	}
}
