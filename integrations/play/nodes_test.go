package play

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/proxytest"
	"github.com/ipwarden/ipwarden/limit"
)

// hundred is a limit that gives nothing back while a test runs; the budget is that
// of a busy machine.
const hundred = `version: 1
defaults: {budget: 10s}
limits:
  - {name: hundred, rate: 100/hour}
`

// A line is a connection to a node's fast listener, on which nginx would ask.
type line struct {
	net.Conn
	in *bufio.Reader
}

func (n *node) dial(t *testing.T) *line {
	t.Helper()
	c, err := net.Dial("unix", n.fast)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return newLine(c)
}

func newLine(c net.Conn) *line { return &line{c, bufio.NewReaderSize(c, 64<<10)} }

func question(b []byte, path, client string) []byte {
	return fmt.Appendf(b, "GET /gate/nginx HTTP/1.1\r\nHost: ipwarden\r\nX-Original-Method: GET\r\nX-Original-Host: a.example\r\nX-Original-URI: %s\r\nX-Real-IP: %s\r\n\r\n", path, client)
}

// ask asks whether a client may pass. The answer is the header.
func (l *line) ask(path, client string) (http.Header, error) {
	_ = l.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := l.Write(question(nil, path, client)); err != nil {
		return nil, err
	}
	r, err := http.ReadResponse(l.in, nil)
	if err != nil {
		return nil, err
	}
	r.Body.Close()
	if r.Close {
		r.Header.Set("Connection", "close") // which was taken out
	}
	if r.StatusCode == 200 {
		r.Header.Set("X-Ipwarden-Status", "200")
	}
	return r.Header, nil
}

// TestFourNodes: four nodes that share a Redis admit exactly the limit together,
// and in fast mode at most what the documents say beyond it.
func TestFourNodes(t *testing.T) {
	rate := &limit.Rate{Name: "hundred", Limit: 100, Window: time.Hour}
	for _, c := range []struct {
		mode string
		over uint64
	}{
		{"exact", limit.SharedConfig{}.Overshoot(rate, 1, 4)},
		{"fast", limit.SharedConfig{Fast: true}.Overshoot(rate, 1, 4)},
	} {
		t.Run(c.mode, func(t *testing.T) {
			redis := proxytest.FreeAddr(t)
			proxytest.Redis(t, redis)
			var nodes []*node
			for range 4 {
				nodes = append(nodes, startNode(t, hundred, "--redis", "redis://"+redis, "--limit-mode", c.mode, "--limit-budget", "5s"))
			}
			for range 3 {
				client := home.next()
				var passed, denied, other atomic.Int64
				var clients sync.WaitGroup
				for i := range 16 {
					l := nodes[i%4].dial(t)
					clients.Go(func() {
						for range 40 {
							h, err := l.ask("/", client)
							if err != nil {
								t.Error(err)
								return
							}
							switch h.Get("X-Ipwarden-Status") {
							case "200":
								passed.Add(1)
							case "429":
								denied.Add(1)
							default:
								other.Add(1)
							}
							if h.Get("X-Ipwarden-Degraded") != "" {
								t.Errorf("degraded: %v", h)
							}
						}
					})
				}
				clients.Wait()
				t.Logf("%s: %d of 640 admitted, the limit is 100 and the bound %d", c.mode, passed.Load(), 100+c.over)
				if n := passed.Load(); n < 100 || uint64(n) > 100+c.over || other.Load() != 0 {
					t.Errorf("%d were admitted, %d refused, %d neither; the limit is 100, and at most %d over it", n, denied.Load(), other.Load(), c.over)
				}
			}
			t.Run("and one is lost", func(t *testing.T) { oneIsLost(t, nodes) })
		})
	}
}

// oneIsLost: a node that is killed takes at most its lease with it.
func oneIsLost(t *testing.T, nodes []*node) {
	client := home.next()
	passed := 0
	for i := range 160 {
		if i == 60 {
			nodes[3].Stop()
			nodes = nodes[:3]
		}
		l := nodes[i%len(nodes)].dial(t)
		h, err := l.ask("/", client)
		if err != nil {
			t.Fatal(err)
		}
		if h.Get("X-Ipwarden-Status") == "200" {
			passed++
		}
		l.Close()
	}
	t.Logf("%d of 160 admitted", passed)
	if bound := 100 + (limit.SharedConfig{Fast: true}).Overshoot(&limit.Rate{Limit: 100, Window: time.Hour}, 1, 5); passed < 100 || uint64(passed) > bound {
		t.Errorf("%d admitted, want 100 to %s", passed, strconv.FormatUint(bound, 10))
	}
}
