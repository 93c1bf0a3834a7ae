package play

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// TestReload: a policy with a mistake is not taken up while requests come, one
// without is, and no request gets an answer of neither.
func TestReload(t *testing.T) {
	n := startNode(t, "")
	all := proxies(t, n, proxytest.NewApp(t))
	good := read(t, n.policy)
	var stop atomic.Bool
	var clients sync.WaitGroup
	for _, p := range all {
		clients.Go(func() {
			for !stop.Load() {
				r, err := p.try(t, "GET", "/", dataCentre.next())
				if err != nil || r.Status != 403 {
					t.Errorf("%s: %+v, %v", p.name, r, err)
					return
				}
			}
		})
	}
	tier := func(p *proxy) string {
		t.Helper()
		r := p.send(t, "GET", "/", reader())
		if r.Seen == nil {
			t.Fatalf("%s: %+v", p.name, r)
		}
		return r.Seen.Header.Get("X-Ipwarden-Tier")
	}
	for what, bad := range map[string]string{
		"a misspelt field":     strings.Replace(good, "when: ip.security.is_vpn\n", "when: ip.security.is_vnp\n", 1),
		"a test that fails":    strings.Replace(good, "action: step_up", "action: block", 1),
		"no YAML":              good + "\n\tx: [",
		"half of it":           good[:len(good)/2],
		"another version":      strings.Replace(good, "version: 1", "version: 2", 1),
		"a list without end":   strings.Replace(good, "home: {countries: [US, CA, GB]}", "home: {countries: [US, CA, GB}", 1),
		"a tier with no limit": strings.Replace(good, "limits: 200/min", "limits: many", 1),
	} {
		if bad == good {
			t.Fatalf("%s: nothing was changed", what)
		}
		write(t, n.policy, bad)
		n.hangUp(t, "the policy was not reloaded; the one in use stays")
		for _, p := range all {
			if got := tier(p); got != "standard" {
				t.Errorf("after %s: %s: tier %q", what, p.name, got)
			}
		}
	}
	if !strings.Contains(n.Output(), "is_vnp") {
		t.Errorf("the log does not tell the mistake:\n%s", n.Output())
	}
	write(t, n.policy, strings.ReplaceAll(good, "standard", "ordinary"))
	n.Signal(syscall.SIGHUP)
	for _, p := range all {
		proxytest.Eventually(t, "the new policy decides", func() bool { return tier(p) == "ordinary" })
	}
	stop.Store(true)
	clients.Wait()
}

// TestStop: a node that is told to stop under load ends, with no answer lost. At
// the proxies each request is decided, and passes unasked when there is nobody
// left to ask; on connections of one's own each question that was read is
// answered.
func TestStop(t *testing.T) {
	n := startNode(t, "")
	all := proxies(t, n, proxytest.NewApp(t))
	var stop atomic.Bool
	var clients sync.WaitGroup
	var decided, unasked, answered, late atomic.Int64
	for _, p := range all {
		clients.Go(func() {
			for !stop.Load() {
				r, err := p.try(t, "GET", "/", dataCentre.next())
				switch {
				case err != nil:
					t.Errorf("%s: %v", p.name, err)
					return
				case r.Status == 403:
					decided.Add(1)
				case r.Status == 200 && r.Seen != nil && r.Seen.Header.Get("X-Ipwarden-Verdict") == "unavailable":
					unasked.Add(1)
				default:
					t.Errorf("%s: %+v", p.name, r)
				}
			}
		})
	}
	var stopping atomic.Bool
	for range 4 {
		clients.Go(func() {
			for {
				c, err := net.DialTimeout("unix", n.fast, time.Second)
				if err != nil {
					if !stopping.Load() {
						t.Error(err)
					}
					return
				}
				l := newLine(c)
				for {
					h, err := l.ask("/", dataCentre.next())
					if err != nil {
						// What comes as the listener closes was never accepted; half an
						// answer would be one lost.
						if !stopping.Load() || errors.Is(err, io.ErrUnexpectedEOF) {
							t.Error(err)
						}
						late.Add(1)
						break
					}
					answered.Add(1)
					if h.Get("X-Ipwarden-Status") != "403" {
						t.Errorf("%v", h)
					}
					if h.Get("Connection") == "close" {
						break
					}
				}
				c.Close()
			}
		})
	}
	proxytest.Eventually(t, "there is load", func() bool { return decided.Load() > 100 && answered.Load() > 1000 })
	stopping.Store(true)
	begun := time.Now()
	n.Signal(syscall.SIGTERM)
	proxytest.Eventually(t, "the node has ended", func() bool { return errors.Is(syscall.Kill(n.Pid(), 0), syscall.ESRCH) })
	took := time.Since(begun)
	before := unasked.Load()
	proxytest.Eventually(t, "requests pass unasked", func() bool { return unasked.Load() > before+30 })
	stop.Store(true)
	clients.Wait()
	t.Logf("%d decided, %d unasked; %d answered on connections of one's own, %d came too late; it ended in %v", decided.Load(), unasked.Load(), answered.Load(), late.Load(), took)
	if late.Load() > 4 { // one a client, at the very end
		t.Errorf("%d questions were not answered", late.Load())
	}
	if took > 3*time.Second {
		t.Errorf("it ended after %v", took)
	}
	if strings.Contains(n.Output(), "panic") || strings.Contains(n.Output(), "level=ERROR") {
		t.Errorf("it said:\n%s", n.Output())
	}
}
