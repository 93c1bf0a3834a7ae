package challenge_test

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/gate/challenge"
	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// site asks everybody for a clearance, and says on ch what it saw: "cleared" or
// "waited" once.
func site(t *testing.T, c *challenge.Challenges) (addr string, ch chan string) {
	t.Helper()
	ch = make(chan string, 2)
	say := func(what string) {
		select {
		case ch <- what:
		default:
		}
	}
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/shop" {
			http.NotFound(w, r)
			return
		}
		q := ipwarden.Request{Header: r.Header, Path: r.URL.Path, Query: r.URL.RawQuery}
		who := netip.MustParseAddr("198.51.100.20")
		if c.Cleared(&q, who, 20, time.Now()) {
			say("cleared " + r.URL.RequestURI())
			return
		}
		http.Redirect(w, r, string(c.AppendLocation(nil, &q, who, 20, time.Now())), http.StatusFound)
	})
	page := c.Handler(next)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page.ServeHTTP(w, r)
		if r.URL.Query().Get("wait") != "" {
			say("waited")
		}
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), ch
}

// A real browser solves the page by itself: with WebCrypto, without it where the
// site has no HTTPS, and without script as far as the button.
func TestBrowser(t *testing.T) {
	chromium := proxytest.Need(t, "chromium", "chromium")
	for _, x := range []struct{ name, host, flag, want string }{
		{"WebCrypto", "127.0.0.1", "", "cleared /shop?a=b"},
		{"plain HTTP", "site.example", "", "cleared /shop?a=b"},
		{"no script", "127.0.0.1", "--blink-settings=scriptEnabled=false", "waited"},
	} {
		t.Run(x.name, func(t *testing.T) {
			c, err := challenge.New(challenge.Config{
				Kinds:         []challenge.Choice{{Kind: challenge.ProofOfWork{Bits: 12}}},
				WithoutScript: challenge.Wait{Least: time.Second, PerPoint: time.Nanosecond},
			})
			if err != nil {
				t.Fatal(err)
			}
			addr, saw := site(t, c)
			_, port, _ := net.SplitHostPort(addr)
			// The browser's helpers may still write into it when it has been killed.
			profile, err := os.MkdirTemp("", "browser")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(profile)
			args := []string{
				"--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-dev-shm-usage",
				"--user-data-dir=" + profile, "--host-resolver-rules=MAP site.example 127.0.0.1", "--enable-logging=stderr",
				"--remote-debugging-port=0",
			}
			if x.flag != "" {
				args = append(args, x.flag)
			}
			cmd := exec.Command(chromium, append(args, "http://"+net.JoinHostPort(x.host, port)+"/shop?a=b")...)
			log := new(output)
			cmd.Stderr = log
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
			}()
			select {
			case got := <-saw:
				if got != x.want {
					t.Errorf("%s, want %s", got, x.want)
				}
			case <-time.After(60 * time.Second):
				t.Fatalf("the browser did not get through: %+v\n%s", c.Stats(), log)
			}
			for _, word := range []string{"Content Security Policy", "Uncaught"} {
				if strings.Contains(log.String(), word) {
					t.Errorf("the browser complains:\n%s", log)
				}
			}
		})
	}
}

// output is safe for a process that writes while it is read.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
