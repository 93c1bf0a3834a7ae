package api

import (
	"bufio"
	"errors"
	"io"
	"log"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipeListener accepts the server's ends of pipes, whose deadlines follow the
// bubble's clock.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { close(l.closed); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// Whoever sends slowly, or nothing, is cut off in time; a stream that moves is not.
func TestSlowClients(t *testing.T) {
	const line = "\"8.8.8.8\"\n"
	for _, tt := range []struct {
		name  string
		start string
		drip  string // one byte a second of it
		ends  time.Duration
		last  string // what has come by then
	}{
		{"nothing at all", "", "", readHeaderTimeout, ""},
		{"a dripping header", "GET / HTTP/1.1\r\nX: ", strings.Repeat("a", 600), readHeaderTimeout, ""},
		{"a dripping body", "POST /v1/ip HTTP/1.1\r\nHost: x\r\nContent-Length: 600\r\n\r\n", strings.Repeat(" ", 600), readTimeout, "408 Request Timeout"},
		{"idle after a request", "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "", idleTimeout, "ok\n"},
		{"a stream that stands still", "POST /v1/ip?fields=ip HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nContent-Length: 600\r\n\r\n" + line, "", streamIdle, `"index":0`},
		{"a stream that moves", "POST /v1/ip?fields=ip HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nContent-Length: 1000\r\n\r\n", strings.Repeat(line, 30), 300*time.Second + streamIdle, `"index":29`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAPI(t, nil)
				srv := httpServer(a.Handler(), maxRequestHeader, log.New(io.Discard, "", 0))
				ln := &pipeListener{make(chan net.Conn), make(chan struct{})}
				served := make(chan error, 1)
				go func() { served <- srv.Serve(a.httpListener(ln)) }()
				client, server := net.Pipe()
				ln.conns <- server
				start := time.Now()
				var dripping sync.WaitGroup
				dripping.Go(func() {
					if _, err := io.WriteString(client, tt.start); err != nil {
						return
					}
					for i := range len(tt.drip) {
						time.Sleep(time.Second)
						if _, err := io.WriteString(client, tt.drip[i:i+1]); err != nil {
							return
						}
					}
				})
				got, err := io.ReadAll(client)
				if err != nil {
					t.Error(err)
				}
				if d := time.Since(start); d < tt.ends-2*time.Second || d > tt.ends+2*time.Second {
					t.Errorf("cut off after %v, want about %v", d, tt.ends)
				}
				if !strings.Contains(string(got), tt.last) || tt.last == "" && len(got) > 0 {
					t.Errorf("got %q, want %q", short(string(got)), tt.last)
				}
				client.Close()
				srv.Close()
				<-served
				dripping.Wait()
			})
		})
	}
}

// The fast listener's connections are looked at once a second. (fasthttp itself
// keeps goroutines for ever, which no bubble of fake time bears; a server that
// answers each line with a line stands for it.)
func TestPatience(t *testing.T) {
	for _, tt := range []struct {
		name  string
		start string
		drip  int  // seconds in which a byte is sent
		deaf  bool // does not read the answer
		ends  time.Duration
		told  bool // by a time-out, so that the server can still answer
		lines int  // answers that came
	}{
		{"nothing at all", "", 0, false, readTimeout, false, 0},
		{"a dripping request", "GET", 600, false, readTimeout, true, 0},
		{"idle after a request", "GET\n", 0, false, idleTimeout, false, 1},
		{"a second request that drips", "GET\nG", 600, false, readTimeout, true, 1},
		{"requests that come in time", "GET\n" + "GET\n", 0, false, idleTimeout, false, 2},
		{"does not read the answer", "GET\n", 0, true, writeTimeout, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inner := &pipeListener{make(chan net.Conn), make(chan struct{})}
				ln := newPatience(inner)
				client, server := net.Pipe()
				var busy sync.WaitGroup
				busy.Go(func() { inner.conns <- server })
				c, err := ln.Accept()
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				busy.Go(func() {
					_, err := io.WriteString(client, tt.start)
					for i := 0; i < tt.drip && err == nil; i++ {
						time.Sleep(time.Second)
						_, err = io.WriteString(client, "a")
					}
				})
				var got []byte
				if !tt.deaf {
					busy.Go(func() { got, _ = io.ReadAll(client) })
				}
				lines := bufio.NewReader(c)
				for err == nil {
					if _, err = lines.ReadString('\n'); err == nil {
						_, err = io.WriteString(c, "ok\n")
					}
				}
				if d := time.Since(start); d < tt.ends-time.Second || d > tt.ends+2*time.Second {
					t.Errorf("cut off after %v, want about %v", d, tt.ends)
				}
				timeout := net.Error(nil)
				if told := errors.As(err, &timeout) && timeout.Timeout(); told != tt.told {
					t.Errorf("the server was told %v", err)
				}
				c.Close()
				client.Close()
				busy.Wait()
				if n := strings.Count(string(got), "ok\n"); n != tt.lines {
					t.Errorf("%d answers, want %d", n, tt.lines)
				}
				ln.Close()
			})
		})
	}
}
