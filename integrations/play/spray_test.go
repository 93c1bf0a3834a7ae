package play

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// several has limits enough for a spray to fill the table with their keys: each
// address has nine, for its /64, /56 and /48.
const several = `version: 1
limits:
  - {name: second, rate: 1000/s}
  - {name: minute, rate: 50000/min}
  - {name: hour, rate: 1000000/hour}
  - name: failures
    when: request.path == "/login"
    rate: 3/hour
    count: outcome == "login_failed"
`

// sprayed is how many /64 are seen once each, and mostMemory what a node may take
// then, its dataset and all that it keeps included.
const (
	sprayed    = 200_000
	mostMemory = 256 << 20
)

// TestSpray: requests from ever new IPv6 networks take no more memory than the
// table has, and push nobody out of it who is over a limit.
func TestSpray(t *testing.T) {
	redis := proxytest.FreeAddr(t)
	proxytest.Redis(t, redis)
	for _, c := range []struct {
		name string
		n    int
		args []string
	}{
		{"in memory", sprayed, nil},
		// Redis remembers all of them, so there are fewer.
		{"shared, fast", sprayed / 8, []string{"--redis", "redis://" + redis, "--limit-mode", "fast", "--limit-budget", "2s"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := startNode(t, several, c.args...)
			l := n.dial(t)
			client := home.next()
			status := func() string {
				t.Helper()
				h, err := l.ask("/login", client)
				if err != nil {
					t.Fatal(err)
				}
				if id := h.Get("X-Ipwarden-Decision"); h.Get("X-Ipwarden-Status") == "200" {
					n.ask(t, "/v1/outcome", `{"decision":"`+id+`","event":"login_failed"}`)
				}
				return h.Get("X-Ipwarden-Status")
			}
			for i, want := range []string{"200", "200", "200", "429"} {
				if got := status(); got != want {
					t.Fatalf("log-in %d: %s, want %s", i+1, got, want)
				}
			}
			n.spray(t, 1000) // what a first request allocates
			before, begun := n.memory(t), time.Now()
			n.spray(t, c.n)
			took, after := time.Since(begun), n.memory(t)
			t.Logf("%d networks in %v, %.0f a second; %d MiB before, %d MiB after", c.n, took.Round(time.Millisecond), float64(c.n)/took.Seconds(), before>>20, after>>20)
			if after > mostMemory {
				t.Errorf("the node takes %d MiB, of %d", after>>20, mostMemory>>20)
			}
			if got := status(); got != "429" {
				t.Errorf("who was over a limit before: %s", got)
			}
			// What more there is changes nothing.
			n.spray(t, c.n/4)
			if more := n.memory(t); more > mostMemory || more > after+after/5 {
				t.Errorf("%d MiB, and after a quarter more %d MiB", after>>20, more>>20)
			}
		})
	}
}

// spray asks for as many networks as nobody has seen, on several connections and
// many at once on each. All may pass.
func (n *node) spray(t *testing.T, networks int) {
	t.Helper()
	const conns, atOnce = 4, 64
	var all sync.WaitGroup
	each := networks / conns
	for i := range conns {
		l := n.dial(t)
		first := sprayedSoFar + i*each
		all.Go(func() {
			defer l.Close()
			var b []byte
			for from := 0; from < each; from += atOnce {
				_ = l.SetDeadline(time.Now().Add(20 * time.Second))
				b = b[:0]
				count := min(atOnce, each-from)
				for k := range count {
					// Neighbours are in another /48.
					j := first + from + k
					b = question(b, "/", fmt.Sprintf("2001:db8:%x:%x::1", j&0xffff, j>>16<<8|j>>24))
				}
				if _, err := l.Write(b); err != nil {
					t.Error(err)
					return
				}
				for range count {
					if err := l.passed(); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	all.Wait()
	sprayedSoFar += networks
}

// sprayedSoFar are the networks that were seen.
var sprayedSoFar = 1

// passed reads an answer, which has no body, and wants it to be 200.
func (l *line) passed() error {
	first, err := l.in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(first, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("answered %q", first)
	}
	for {
		b, err := l.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(b) == 2 {
			return nil
		}
	}
}

// memory is what is resident of a node, in bytes.
func (n *node) memory(t *testing.T) int {
	t.Helper()
	f, err := os.Open("/proc/" + strconv.Itoa(n.Pid()) + "/status")
	if err != nil {
		t.Skipf("there is no /proc here: %v", err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if text, ok := strings.CutPrefix(s.Text(), "VmRSS:"); ok {
			kib, err := strconv.Atoi(strings.Fields(text)[0])
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("there is no VmRSS")
	return 0
}
