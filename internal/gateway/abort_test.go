package gateway

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/gate/challenge"
)

// A client that goes away before its log-in is answered is counted like one that
// waits: what the application makes of it shows elsewhere, such as in a session that
// it had begun before.
func TestClientsThatGoAwayAreCounted(t *testing.T) {
	var reached atomic.Int64
	came := make(chan struct{}, 20)
	a := newApp(t, func(w http.ResponseWriter, r *http.Request) {
		reached.Add(1)
		came <- struct{}{}
		select { // long enough to see that the client has gone
		case <-r.Context().Done():
		case <-time.After(50 * time.Millisecond):
		}
		w.WriteHeader(http.StatusUnauthorized)
	})
	s := start(t, a, func(c *Config, _ *ServerConfig) { c.StallTimeout = 200 * time.Millisecond })
	for _, attack := range []struct{ name, client, request string }{
		{"a whole request", "81.2.69.142", "POST /login HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 81.2.69.142\r\nContent-Length: 4\r\n\r\na=b&"},
		{"a body without its end", "81.2.69.143", "POST /login HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 81.2.69.143\r\nContent-Length: 5\r\n\r\na=b&"},
	} {
		t.Run(attack.name, func(t *testing.T) {
			reached.Store(0)
			for range 12 {
				c, err := net.Dial("tcp", s.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprint(c, attack.request)
				refused := make(chan bool, 1)
				go func() {
					line, _ := bufio.NewReader(c).ReadString('\n')
					refused <- strings.Contains(line, "429")
				}()
				select {
				case <-came:
				case <-refused:
				}
				_ = c.Close()
			}
			if n := reached.Load(); n < 1 || n > 3 {
				t.Errorf("%d log-ins reached the application, want no more than the limit's 3", n)
			}
		})
	}
}

// A body that does not come to its end holds no connection for longer than a client
// may be silent, whoever answers: the gate, the challenge, the application.
func TestUnfinishedBodies(t *testing.T) {
	ch, err := challenge.New(challenge.Config{})
	if err != nil {
		t.Fatal(err)
	}
	a := newApp(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }) // it reads nothing
	s := start(t, a, func(c *Config, _ *ServerConfig) { c.StallTimeout, c.Challenges = 100*time.Millisecond, ch })
	for name, head := range map[string]string{
		"refused":            "POST /blocked HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n",
		"refused, chunked":   "POST /blocked HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n",
		"an ambiguous path":  "POST /a%2fb HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n",
		"malformed":          "POST / HTTP/1.1\r\nHost: a b\r\nContent-Length: 5\r\n\r\n",
		"no such method":     "TRACE / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n",
		"the challenge":      "POST /.ipwarden/challenge HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 5\r\n\r\n",
		"the application":    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n",
		"a GET":              "GET /blocked HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n",
		"more than is taken": "POST /blocked HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("tcp", s.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			fmt.Fprint(c, head+"a=b&")
			if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection is held")
			}
		})
	}
}
