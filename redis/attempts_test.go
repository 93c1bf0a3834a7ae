package redis

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/proxytest"
	"github.com/ipwarden/ipwarden/ipwardentest"
	"github.com/ipwarden/ipwarden/limit"
)

func TestAttempts(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	start(t, addr)
	a, b := limiter(t, Config{Addresses: []string{addr}}), limiter(t, Config{Addresses: []string{addr}})
	ipwardentest.TestAttempts(t, [2]limit.Attempts{a, b})
	t.Run("nothing stays for good", func(t *testing.T) {
		keys := strings.Fields(cli(t, addr, "keys", "*"))
		if len(keys) == 0 {
			t.Error("there are no keys")
		}
		for _, k := range keys {
			if strings.TrimSpace(cli(t, addr, "ttl", k)) == "-1" {
				t.Errorf("%s stays", k)
			}
		}
	})
	t.Run("places end", func(t *testing.T) {
		places := []limit.Place{{Key: key("short"), For: 100 * time.Millisecond, Most: 1}}
		var id [16]byte
		proxytest.Eventually(t, "a place is free again, twice", func() bool {
			if err := a.Enter(t.Context(), id, places); err != nil {
				t.Fatal(err)
			}
			if places[0].Count == 1 {
				id[0]++
			}
			return id[0] == 3
		})
	})
}

// passing is a context that is gone when a call has returned, as that of a
// decision is, whose memory is used for the next one.
type passing struct {
	context.Context
	gone atomic.Bool
	late atomic.Int32
}

func (c *passing) note() context.Context {
	if c.gone.Load() {
		c.late.Add(1)
	}
	return c.Context
}

func (c *passing) Deadline() (time.Time, bool) { return c.note().Deadline() }
func (c *passing) Done() <-chan struct{}       { return c.note().Done() }
func (c *passing) Err() error                  { return c.note().Err() }
func (c *passing) Value(key any) any           { return c.note().Value(key) }

// What is still under way when a call returns does not look at its context.
func TestAttemptsKeepNoContext(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	start(t, addr)
	for range 5 {
		l := limiter(t, Config{Addresses: []string{addr}})
		proxytest.Eventually(t, "the server answers", func() bool { return l.store.Ping(t.Context()) == nil })
		late, cancel := context.WithDeadline(t.Context(), time.Now()) // nobody waits
		defer cancel()
		var all []*passing
		for i := range 32 { // more connections than one are made on the way
			c := &passing{Context: late}
			_ = l.Keep(c, [16]byte{byte(i)}, []byte{1})
			c.gone.Store(true)
			all = append(all, c)
		}
		proxytest.Eventually(t, "nothing is under way", func() bool { return len(l.asks) == 0 })
		for _, c := range all {
			if n := c.late.Load(); n > 0 {
				t.Fatalf("a context was asked %d times when it was gone", n)
			}
		}
	}
}

func TestAttemptsInACluster(t *testing.T) {
	addrs, _ := startCluster(t)
	a, b := limiter(t, Config{Addresses: addrs, Cluster: true}), limiter(t, Config{Addresses: addrs, Cluster: true})
	ipwardentest.TestAttempts(t, [2]limit.Attempts{a, b})
}

// A server that hangs holds nobody for longer than the budget, and after a moment
// nobody at all.
func TestAttemptsWhileTheServerHangs(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	server := start(t, addr)
	l := limiter(t, Config{Addresses: []string{addr}, Budget: 100 * time.Millisecond})
	places := func() []limit.Place { return []limit.Place{{Key: key("a"), For: time.Minute, Most: 1000}} }
	proxytest.Eventually(t, "it answers", func() bool { return l.Enter(t.Context(), [16]byte{1}, places()) == nil })
	server.Signal(syscall.SIGSTOP)
	defer server.Signal(syscall.SIGCONT)
	var all sync.WaitGroup
	for i := range 300 {
		all.Go(func() {
			begun := time.Now()
			err := l.Enter(t.Context(), [16]byte{2, byte(i), byte(i >> 8)}, places())
			if took := time.Since(begun); err == nil || took > 5*time.Second {
				t.Errorf("after %v: %v", took, err)
			}
		})
	}
	all.Wait()
	proxytest.Eventually(t, "the server is left alone", func() bool {
		_ = l.Enter(t.Context(), [16]byte{3}, places())
		return l.Away()
	})
	if err := l.Keep(t.Context(), [16]byte{3}, []byte{1}); err == nil {
		t.Error("a note was kept while the server hangs")
	}
}

// An outcome that the server notes when its teller has given up is due to nobody
// else, so the teller hears of it, once.
func TestSettledLate(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	server := start(t, addr)
	l := limiter(t, Config{Addresses: []string{addr}, Budget: 100 * time.Millisecond, DialTimeout: 30 * time.Second})
	id := [16]byte{1}
	proxytest.Eventually(t, "it answers", func() bool { return l.Keep(t.Context(), id, []byte{1}) == nil })
	late := make(chan limit.Settled, 2)
	server.Signal(syscall.SIGSTOP)
	_, err := l.SettleLate(t.Context(), id, 1, 3, func(s limit.Settled) { late <- s })
	server.Signal(syscall.SIGCONT)
	if err == nil {
		t.Fatal("a server that is stopped has answered")
	}
	select {
	case s := <-late:
		if s != (limit.Settled{Known: true, First: true, Due: 3}) {
			t.Errorf("%+v", s)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("what was noted is not told")
	}
	proxytest.Eventually(t, "it is due to nobody else", func() bool {
		s, err := l.Settle(t.Context(), id, 1, 3)
		if err == nil && s != (limit.Settled{Known: true}) {
			t.Fatalf("%+v", s)
		}
		return err == nil
	})
	if len(late) > 0 {
		t.Error("it is told twice")
	}
}

// What one node keeps in the server is bounded.
func TestNotesAreBounded(t *testing.T) {
	var n notes
	now := time.Unix(1_800_000_000, 0)
	for range notesAtOnce {
		if !n.room(now, time.Minute) {
			t.Fatal("there is no room")
		}
	}
	if n.room(now.Add(time.Minute-1), time.Minute) {
		t.Error("there is room for more")
	}
	if !n.room(now.Add(time.Minute), time.Minute) {
		t.Error("there is no room after a minute")
	}
}
