package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/socket"
)

// Many connections at once, each with requests of many kinds, cut and joined at
// random: each request gets its own answer, in order, on one processor and on
// several, over TCP and over a Unix socket, in groups and each by itself.
func TestLoopUnderAllWeathers(t *testing.T) {
	for _, procs := range []int{1, 4} {
		for _, kind := range []string{"tcp", "unix", "tcp alone", "unix alone"} {
			t.Run(fmt.Sprint(kind, procs), func(t *testing.T) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
				network, alone := strings.CutSuffix(kind, " alone")
				listen := "127.0.0.1:0"
				if network == "unix" {
					listen = "unix:" + filepath.Join(t.TempDir(), "s")
				}
				cfg := ServerConfig{FastListen: listen}
				if alone {
					cfg.API = waitingAPI(t)
				}
				s, stop := serve(t, cfg)
				var clients sync.WaitGroup
				for i := range 32 {
					clients.Go(func() { weather(t, s.FastAddr(), rand.New(rand.NewPCG(1, uint64(i)))) })
				}
				clients.Wait()
				if err := stop(); err != nil {
					t.Error(err)
				}
				if n := len(s.fast.groups); socket.Works && alone != (n == 0) {
					t.Errorf("%d groups", n)
				}
			})
		}
	}
}

// waitingAPI is one whose data may wait for others.
func waitingAPI(t *testing.T) *API {
	return newAPI(t, func(cfg *Config) {
		world := &waitingData{cfg.Data()}
		cfg.Data = func() Data { return world }
	})
}

type waitingData struct{ Data }

// weather is one client.
func weather(t *testing.T, addr net.Addr, r *rand.Rand) {
	c, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second)) // a connection that is open
	var stream strings.Builder
	var want []string
	odd := r.IntN(2) == 0 // half of the clients stay in the loop
	for range 40 + r.IntN(40) {
		ip := fmt.Sprintf("%d.%d.%d.%d", 1+r.IntN(220), r.IntN(256), r.IntN(256), r.IntN(256))
		answer := `"ip":"` + ip + `"}`
		kind := r.IntN(8)
		switch {
		case kind == 0 && odd:
			body := `["` + ip + `"]`
			fmt.Fprintf(&stream, "POST /v1/ip?fields=ip HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		case kind == 1 && odd:
			fmt.Fprintf(&stream, "GET /v1/ip/%s?fields=ip HTTP/1.1\r\nHost: x\r\nX:\ta tab\r\n\r\n", ip)
		case kind == 3: // which leaves the group
			if r.IntN(8) == 0 {
				stream.WriteString("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
				answer = "ok"
				break
			}
			fallthrough
		case kind == 2:
			stream.WriteString("GET /v1/ip/" + strings.Repeat("x", 1+r.IntN(80)) + " HTTP/1.1\r\nHost: x\r\n\r\n")
			answer = "bad-address"
		default:
			fmt.Fprintf(&stream, "GET /v1/ip/%s?fields=ip HTTP/1.1\r\nHost: x\r\nX-Pad: %s\r\n\r\n", ip, strings.Repeat("p", r.IntN(r.IntN(3000)+1)))
		}
		want = append(want, answer)
	}
	leave := r.IntN(10) // 0: with a reset, 1: with half of a request, 2 and 3: at once with the last request
	end := make(chan struct{})
	go func() {
		defer close(end)
		for rest := stream.String(); rest != ""; {
			n := min(len(rest), 1+r.IntN(1+r.IntN(6000)))
			if _, err := io.WriteString(c, rest[:n]); err != nil {
				return // the reader says more
			}
			rest = rest[n:]
			if r.IntN(4) == 0 {
				runtime.Gosched()
			}
		}
		if leave == 2 || leave == 3 {
			_ = c.(interface{ CloseWrite() error }).CloseWrite()
		}
	}()
	br := bufio.NewReader(c)
	for i, w := range want {
		got, err := tryRead(br)
		if err != nil || !strings.Contains(got.body, w) {
			t.Errorf("answer %d: %+v, %v; want %s", i, got, err, w)
			return
		}
	}
	<-end
	switch tcp, isTCP := c.(*net.TCPConn); {
	case leave == 0 && isTCP:
		_ = tcp.SetLinger(0)
	case leave == 1:
		_, _ = io.WriteString(c, "GET /v1/ip/8.8.8.8?fie")
	case leave == 2 || leave == 3:
		if _, err := br.ReadByte(); !errors.Is(err, io.EOF) {
			t.Errorf("after the client's end: %v, want the server's", err)
		}
	}
}

// Whoever ends its half with its request hears the server's end: at once after
// the first requests, soon after later ones.
func TestLoopHearsTheEnd(t *testing.T) {
	s, _ := serve(t, ServerConfig{FastListen: "127.0.0.1:0"})
	const raw = "GET /v1/ip/8.8.8.8?fields=ip HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, before := range []int{0, 1, 10} {
		c, br := dial(t, s.FastAddr())
		for range before {
			ask(t, c, br, raw)
		}
		start := time.Now()
		if _, err := io.WriteString(c, raw); err != nil {
			t.Fatal(err)
		}
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if r := read(t, br); r.status != 200 {
			t.Errorf("%+v", r)
		}
		if _, err := br.ReadByte(); err != io.EOF {
			t.Errorf("after %d requests: %v", before, err)
		}
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("after %d requests the end took %v", before, took)
		}
	}
}

// Who asks without reading gets all answers in the end, and holds up nobody else.
func TestLoopWaitsForSlowReaders(t *testing.T) {
	s, _ := serve(t, ServerConfig{FastListen: "127.0.0.1:0"})
	c, br := dial(t, s.FastAddr())
	const requests = 20_000
	go func() {
		raw := strings.Repeat("GET /v1/ip/8.8.8.8 HTTP/1.1\r\nHost: x\r\n\r\n", 100)
		for range requests / 100 {
			if _, err := io.WriteString(c, raw); err != nil {
				return
			}
		}
	}()
	other, otherReader := dial(t, s.FastAddr())
	for range 100 {
		if r := ask(t, other, otherReader, "GET /v1/ip/8.8.8.8 HTTP/1.1\r\nHost: x\r\n\r\n"); r.status != 200 {
			t.Fatalf("%+v", r)
		}
	}
	for i := range requests {
		if r, err := tryRead(br); err != nil || r.status != 200 || !strings.HasPrefix(r.body, `{"ip":"8.8.8.8"`) {
			t.Fatalf("answer %d: %+v, %v", i, r, err)
		}
	}
}

// looping starts a fast server whose patience is moved by hand.
func looping(t *testing.T, a *API) (s *fastServer, addr net.Addr) {
	t.Helper()
	if !socket.Works {
		t.Skip("there is no loop here")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s = a.newFastServer(stillPatience(ln))
	done := make(chan error, 1)
	go func() { done <- s.serve() }()
	t.Cleanup(func() {
		if err := s.shutdown(t.Context()); err != nil && !errors.Is(err, t.Context().Err()) && !errors.Is(err, net.ErrClosed) { // it may have been
			t.Error(err)
		}
		<-done
	})
	return s, ln.Addr()
}

// until waits until the server's connections are all in a state.
func (s *fastServer) until(t *testing.T, conns int, state int64) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); runtime.Gosched() {
		n := 0
		s.patient.mu.Lock()
		for c := range s.patient.conns {
			if got, _ := c.since(); got == state {
				n++
			}
		}
		s.patient.mu.Unlock()
		if n == conns {
			return
		}
	}
	t.Fatalf("no %d connections in state %d", conns, state)
}

// In the loop too, a connection has so long to do what it does.
func TestLoopIsPatientOnlySoLong(t *testing.T) {
	const raw = "GET /v1/ip/8.8.8.8?fields=ip HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, tt := range []struct {
		name  string
		sends string
		state int64
		lasts time.Duration
		last  string // what comes at the end
	}{
		{"nothing at all", "", fresh, readTimeout, ""},
		{"idle", raw, idle, idleTimeout, ""},
		{"half a request", raw[:20], reading, readHeaderTimeout, "408 Request Timeout"},
		{"half a second request", raw + raw[:20], reading, readHeaderTimeout, "408 Request Timeout"},
	} {
		for _, alone := range []bool{false, true} {
			t.Run(fmt.Sprint(tt.name, alone), func(t *testing.T) { patientOnlySoLong(t, alone, tt.sends, raw, tt.state, tt.lasts, tt.last) })
		}
	}
}

// patientOnlySoLong is one case, of a connection in a group, or alone.
func patientOnlySoLong(t *testing.T, alone bool, sends, raw string, state int64, lasts time.Duration, last string) {
	a := newAPI(t, nil)
	if alone {
		a = waitingAPI(t)
	}
	s, addr := looping(t, a)
	c, br := dial(t, addr)
	if _, err := io.WriteString(c, sends); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(sends, raw) {
		if r := read(t, br); r.status != 200 {
			t.Fatalf("%+v", r)
		}
	}
	s.until(t, 1, state)
	limit := int64(lasts / time.Second)
	for second := int64(1); second < limit; second++ {
		s.patient.second.Store(second)
		if n := s.patient.look(); n != 1 {
			t.Fatalf("%d connections after %d s", n, second)
		}
		runtime.Gosched()
	}
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond)) // a connection that is open
	if _, err := br.ReadByte(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("before its time: %v", err)
	}
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	s.patient.second.Store(limit)
	s.patient.look()
	got, err := io.ReadAll(br)
	if err != nil || !strings.Contains(string(got), last) || last == "" && len(got) > 0 {
		t.Errorf("%q, %v; want %q", got, err, last)
	}
}

// A request that comes when the server is about to end the connection is
// answered, whether the server stops or the client was idle for long.
func TestLoopLooksOnceMore(t *testing.T) {
	const raw = "GET /v1/ip/8.8.8.8?fields=ip HTTP/1.1\r\nHost: x\r\n\r\n"
	s, addr := looping(t, newAPI(t, nil))
	c, br := dial(t, addr)
	for range 200 { // each a race between the request and the end
		ask(t, c, br, raw)
		s.until(t, 1, idle)
		s.patient.second.Add(int64(idleTimeout/time.Second) - 1)
		var both sync.WaitGroup
		both.Go(func() { _, _ = io.WriteString(c, raw) })
		both.Go(func() { s.patient.look() })
		both.Wait()
		if r := read(t, br); r.status != 200 {
			t.Fatalf("%+v", r)
		}
	}
}

// A connection that is reset while the loop answers, or that its own side
// closes, ends the loop and frees the slot.
func TestLoopsEnd(t *testing.T) {
	s, addr := looping(t, newAPI(t, nil))
	for i := range 50 {
		c, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, strings.Repeat("GET /v1/ip/8.8.8.8 HTTP/1.1\r\nHost: x\r\n\r\n", 1+i%60))
		if i%2 == 0 {
			_ = c.(*net.TCPConn).SetLinger(0)
		}
		c.Close()
	}
	// Who is answered came last: all others have been taken in before.
	last, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	_ = last.SetDeadline(time.Now().Add(time.Minute))
	_, _ = io.WriteString(last, "GET /v1/ip/8.8.8.8 HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := last.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
	last.Close()
	n := s.patient.look()
	for end := time.Now().Add(time.Minute); n > 0 && time.Now().Before(end); n = s.patient.look() {
		runtime.Gosched()
	}
	if n != 0 {
		t.Errorf("%d connections are kept", n)
	}
}

// Who is in a group when the server does not wait any longer is let go of, and the
// groups end.
func TestGroupsEnd(t *testing.T) {
	s, addr := looping(t, newAPI(t, nil))
	var clients []net.Conn
	for range 20 {
		c, br := dial(t, addr)
		if r := ask(t, c, br, "GET /v1/ip/8.8.8.8?fields=ip HTTP/1.1\r\nHost: x\r\n\r\n"); r.status != 200 {
			t.Fatalf("%+v", r)
		}
		if _, err := io.WriteString(c, "GET /v1/ip/"); err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
	}
	s.until(t, len(clients), reading)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("shutdown: %v", err)
	}
	for _, c := range clients {
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("reading on: %v", err)
		}
	}
	for _, g := range s.groups {
		if n := g.size(); n != 0 {
			t.Errorf("%d seats are taken", n)
		}
	}
}
