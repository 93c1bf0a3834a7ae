package api

import (
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
				srv := httpServer(a.Handler(), log.New(io.Discard, "", 0))
				ln := &pipeListener{make(chan net.Conn), make(chan struct{})}
				served := make(chan error, 1)
				go func() { served <- srv.Serve(&plainErrors{Listener: ln, api: a}) }()
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
