package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// A limit on failures counts the application's answers.
func TestOutcomesCount(t *testing.T) {
	status := make(chan int, 1)
	a := newApp(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(<-status) })
	s := start(t, a, nil)
	try := func(answer int) int {
		status <- answer
		got := ask(t, s, "POST /login HTTP/1.1\nHost: x\nX-Forwarded-For: "+attacker+"\nContent-Length: 0\n\n").StatusCode
		select {
		case <-status: // it did not reach the application
		default:
		}
		return got
	}
	for i, want := range []int{401, 200, 401, 200, 401} {
		if got := try(want); got != want {
			t.Fatalf("log-in %d: %d, want %d", i+1, got, want)
		}
	}
	if got := try(200); got != 429 {
		t.Errorf("after three failures: %d, want 429", got)
	}
}

// Log-ins at once do not all reach the application before the first has failed,
// and one that found no application is on its way no longer.
func TestOutcomesAtOnce(t *testing.T) {
	answer := make(chan struct{})
	var reached atomic.Int64
	a := newApp(t, func(w http.ResponseWriter, _ *http.Request) {
		if reached.Add(1) <= 4 {
			panic(http.ErrAbortHandler)
		}
		<-answer
		w.WriteHeader(http.StatusUnauthorized)
	})
	s := start(t, a, nil)
	try := func() int {
		return ask(t, s, "POST /login HTTP/1.1\nHost: x\nX-Forwarded-For: "+attacker+"\nContent-Length: 0\n\n").StatusCode
	}
	for range 4 {
		if got := try(); got != http.StatusBadGateway {
			t.Fatalf("an application that hangs up: %d, want 502", got)
		}
	}
	var all, refused sync.WaitGroup
	refused.Add(17)
	for range 20 {
		all.Go(func() {
			if try() == http.StatusTooManyRequests {
				refused.Done()
			}
		})
	}
	refused.Wait() // three are inside
	close(answer)
	all.Wait()
	if n := reached.Load() - 4; n != 3 {
		t.Errorf("%d log-ins reached the application, want 3", n)
	}
}

// An application that is away, or too slow, is a problem document with the
// decision's ID; a body that is too long goes no further.
func TestUpstreamFails(t *testing.T) {
	nobody := proxytest.FreeAddr(t)
	s := start(t, nil, func(c *Config, _ *ServerConfig) { c.Upstream = "http://" + nobody })
	resp := ask(t, s, "GET / HTTP/1.1\nHost: x\n\n")
	if body := bodyOf(t, resp); resp.StatusCode != 502 || !strings.Contains(body, "upstream-unavailable") || !strings.Contains(body, `"decision_id":"0`) {
		t.Errorf("nobody listens: %d %s", resp.StatusCode, body)
	}
	release := make(chan struct{})
	a := newApp(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	s = start(t, a, func(c *Config, _ *ServerConfig) { c.ResponseTimeout = 50 * time.Millisecond })
	if resp := ask(t, s, "GET / HTTP/1.1\nHost: x\n\n"); resp.StatusCode != 504 {
		t.Errorf("no answer: %d", resp.StatusCode)
	}
	a = newApp(t, nil)
	s = start(t, a, func(c *Config, _ *ServerConfig) { c.MaxBody = 4 })
	if resp := ask(t, s, "POST / HTTP/1.1\nHost: x\nContent-Length: 5\n\nabcde"); resp.StatusCode != 413 {
		t.Errorf("five bytes: %d", resp.StatusCode)
	}
	if resp := ask(t, s, "POST / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n5\nabcde\n0\n\n"); resp.StatusCode != 413 {
		t.Errorf("five bytes in a chunk: %d", resp.StatusCode)
	}
	if resp := ask(t, s, "POST / HTTP/1.1\nHost: x\nContent-Length: 4\n\nabcd"); resp.StatusCode != 200 {
		t.Errorf("four bytes: %d", resp.StatusCode)
	}
}

// echoing switches to a protocol in which each line comes back.
func echoing(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		fmt.Fprint(w, "not asked to switch")
		return
	}
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", r.Header.Get("Upgrade"))
	_ = rw.Flush()
	for {
		line, err := rw.ReadString('\n')
		if err != nil {
			return
		}
		_, _ = rw.WriteString(line)
		_ = rw.Flush()
	}
}

func TestWebSocket(t *testing.T) {
	a := newApp(t, echoing)
	s := start(t, a, nil)
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprint(c, "GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	br := bufio.NewReader(c)
	resp, err := http.ReadResponse(br, nil)
	if err != nil || resp.StatusCode != 101 {
		t.Fatalf("%v, %v", resp, err)
	}
	for _, line := range []string{"one\n", "two\n"} {
		fmt.Fprint(c, line)
		if got, err := br.ReadString('\n'); got != line || err != nil {
			t.Errorf("%q came back as %q, %v", line, got, err)
		}
	}
	// Another HTTP is not for switching to: its requests would not be judged.
	for _, protocol := range []string{"h2c", "HTTP/2.0", "TLS/1.0", "something"} {
		resp := ask(t, s, "GET / HTTP/1.1\nHost: x\nConnection: Upgrade, HTTP2-Settings\nUpgrade: "+protocol+"\nHTTP2-Settings: AAMAAABkAAQAAP__\n\n")
		if body := bodyOf(t, resp); resp.StatusCode != 200 || body != "not asked to switch" {
			t.Errorf("%s: %d %s", protocol, resp.StatusCode, body)
		}
	}
	if resp := ask(t, s, "GET /blocked HTTP/1.1\nHost: x\nConnection: Upgrade\nUpgrade: websocket\n\n"); resp.StatusCode != 403 {
		t.Errorf("what is blocked may switch: %d", resp.StatusCode)
	}
}

// A server that is told to stop answers what it has accepted.
func TestShutdownAnswersWhatWasAccepted(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	a := newApp(t, func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		fmt.Fprint(w, "done")
	})
	g, err := New(Config{Gate: newTestGate(t, testPolicy, behind), Upstream: a.URL})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Listen(ServerConfig{Gateway: g, Listen: "127.0.0.1:0", Linger: -1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	answer := make(chan string, 1)
	go func() {
		resp, err := http.Get("http://" + s.Addr().String() + "/")
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		answer <- string(b)
	}()
	<-entered
	cancel()
	select {
	case err := <-ended:
		t.Fatalf("it stopped with a request under way: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	if got := <-answer; got != "done" {
		t.Errorf("the answer is %q", got)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// A18 to A20: a PROXY header of a balancer is the peer; of nobody else.
func TestProxyProtocol(t *testing.T) {
	a := newApp(t, nil)
	s := start(t, a, func(_ *Config, c *ServerConfig) {
		c.ProxyProtocol = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	})
	answer := raw(t, s, "PROXY TCP4 "+attacker+" 127.0.0.1 1234 80\r\nGET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: "+victim+"\r\nConnection: close\r\n\r\n")
	if status(answer) != 200 || a.last(t).Header.Get("X-Forwarded-For") != attacker {
		t.Errorf("from a balancer: %s", answer)
	}
	if answer := raw(t, s, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); status(answer) != 0 {
		t.Errorf("a balancer without one: %s", answer)
	}
	s = start(t, a, func(_ *Config, c *ServerConfig) {
		c.ProxyProtocol = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}
	})
	if answer := raw(t, s, "PROXY TCP4 "+victim+" 127.0.0.1 1234 80\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); status(answer) == 200 {
		t.Errorf("from a stranger: %s", answer)
	}
	if seen, _ := a.taken(); len(seen) != 0 {
		t.Errorf("the application saw %v", seen)
	}
}

// A gateway in front of itself would send each request round and round.
func TestUpstreamIsNotTheListener(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	g, err := New(Config{Gate: newTestGate(t, testPolicy, behind), Upstream: "http://" + addr})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := Listen(ServerConfig{Gateway: g, Listen: addr}); err == nil || !strings.Contains(err.Error(), "come round again") {
		t.Errorf("%v, %v", s, err)
	}
}

func TestConfigMistakes(t *testing.T) {
	_, err := New(Config{Upstream: "ftp://x/y", UpstreamHost: "a b", Upgrades: []string{"h2c", "a b"}, MaxBody: -1, MaxUpstreamConns: -1, DialTimeout: -1})
	if err == nil {
		t.Fatal("taken")
	}
	for _, want := range []string{"Gate is missing", "ftp://x/y", `"a b" is no host`, "nobody judges", "no name of a protocol", "MaxBody", "MaxUpstreamConns", "DialTimeout"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	for _, bad := range []string{"", "127.0.0.1:3000", "http://x/path", "http://user@x", "http://x?q", "unix:", "http://"} {
		if _, err := parseUpstream(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
