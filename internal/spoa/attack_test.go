package spoa

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/door"
)

// said collects what is logged.
type said struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// Streams that were spoiled, each on a connection of its own, with decisions that are
// quick and slow: nothing panics, every connection ends, and whoever keeps to the
// protocol is answered meanwhile.
func TestSpoiledStreams(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log := &said{}
	a, stop := serve(t, Config{
		Linger: -1, Log: slog.New(slog.NewTextHandler(log, nil)),
		Decide: func(_ context.Context, r *ipwarden.Request, a *door.Answer) {
			a.Verdict = ipwarden.Allow
			a.SetUpstream("X-Ipwarden-Host", r.Host)
		},
		Outcome: func(context.Context, string, int) {},
	}, ln)
	hello := helloFrame(usualHello)
	var whole []byte
	for i := range 30 {
		whole = notifyFrame(whole, uint64(i%3), uint64(i%2), browser(nil)) // IDs come again
	}
	spoil := []func(r *rand.Rand, b []byte) []byte{
		func(r *rand.Rand, b []byte) []byte { b[r.IntN(len(b))] ^= 1 << r.IntN(8); return b },
		func(r *rand.Rand, b []byte) []byte { return b[:r.IntN(len(b))] },
		func(r *rand.Rand, b []byte) []byte { b[r.IntN(len(b))] = 0xff; return b },
		func(r *rand.Rand, b []byte) []byte { i := r.IntN(len(b)); return slices.Insert(b, i, hello...) },
		func(r *rand.Rand, b []byte) []byte { i := r.IntN(len(b)); return slices.Insert(b, i, b[i:]...) },
		func(r *rand.Rand, b []byte) []byte { // a length that lies
			i := r.IntN(len(b) - 4)
			copy(b[i:], []byte{0xff, 0xff, 0xff, 0xff})
			return b
		},
		func(r *rand.Rand, b []byte) []byte { // numbers without end
			i := r.IntN(len(b))
			return slices.Insert(b, i, bytes.Repeat([]byte{0xff}, 20)...)
		},
	}
	var clients sync.WaitGroup
	for worker := range 8 {
		clients.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(worker)))
			for range 60 {
				stream := bytes.Clone(whole)
				for range 1 + r.IntN(3) {
					if stream = spoil[r.IntN(len(spoil))](r, stream); len(stream) < 8 {
						break
					}
				}
				if r.IntN(4) > 0 {
					stream = slices.Concat(hello, stream)
				}
				c, err := net.Dial("tcp", ln.Addr().String())
				if err != nil {
					t.Error(err)
					return
				}
				_ = c.SetDeadline(time.Now().Add(time.Minute))
				for chunk := range slices.Chunk(stream, 1+r.IntN(len(stream)+1)) {
					if _, err := c.Write(chunk); err != nil {
						break // it was ended
					}
				}
				if r.IntN(2) == 0 { // and is gone without having read anything
					_ = c.(*net.TCPConn).SetLinger(0)
				}
				c.Close()
			}
		})
	}
	good, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = good.SetDeadline(time.Now().Add(time.Minute))
	h := &haproxy{t: t, Conn: good}
	h.send(hello)
	h.want(frameAgentHello)
	for i := range 300 {
		h.send(notifyFrame(nil, uint64(i), 1, browser(nil)))
		if f := h.want(frameAck); f.stream != uint64(i) {
			t.Fatalf("an ACK of stream %d, want %d", f.stream, i)
		}
	}
	h.Close()
	clients.Wait()
	if err := stop(); err != nil { // it waits for all connections
		t.Error(err)
	}
	if strings.Contains(log.String(), "panic") {
		t.Error(log)
	}
	if s := a.Stats(); s.Breaches < 10 {
		t.Errorf("%+v: nothing was noticed", s)
	}
}
