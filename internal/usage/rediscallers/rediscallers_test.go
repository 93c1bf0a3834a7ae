package rediscallers

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/proxytest"
	"github.com/ipwarden/ipwarden/internal/usage"
	"github.com/ipwarden/ipwarden/internal/usage/ledger"
	"github.com/ipwarden/ipwarden/internal/usage/usagetest"
	"github.com/ipwarden/ipwarden/internal/usage/wan"
)

func open(t *testing.T, addr string) *Store {
	t.Helper()
	s, err := Open("redis://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestStore(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	proxytest.Redis(t, addr)
	usagetest.TestCallerStore(t, open(t, addr), open(t, addr))
}

func TestOpen(t *testing.T) {
	for _, url := range []string{"", "http://a", "redis://a:x"} {
		if s, err := Open(url); err == nil {
			s.Close()
			t.Errorf("%q is opened", url)
		}
	}
}

// The server is killed and started again while calls are counted, with what it has on
// its disk: in the end each call is counted once.
func TestRestarted(t *testing.T) {
	addr, dir := proxytest.FreeAddr(t), t.TempDir()
	args := []string{"--appendonly", "yes", "--appendfsync", "always", "--dir", dir}
	server := proxytest.Redis(t, addr, args...)
	l, err := ledger.Open(ledger.Config{Dir: filepath.Join(t.TempDir(), "ledger"), Region: "a", Keys: 256, Clients: 4096, Referers: 64})
	if err != nil {
		t.Fatal(err)
	}
	log := &wan.Log{}
	m, err := usage.New(t.Context(), usage.Config{Ledger: l, Region: "a", Freeze: 10 * time.Millisecond, Stream: log.From(0)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	store := open(t, addr)
	counts := usage.CountCallers(usage.CallersConfig{Sources: []usage.Source{{Region: "a", Stream: log.From(0)}}, Store: store, Flush: 10 * time.Millisecond})
	t.Cleanup(counts.Close)
	deadline := time.NewTimer(5 * time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	want := map[string]int64{}
	count := func() {
		for i := range 2000 {
			a := netip.AddrFrom4([4]byte{192, 0, byte(i % 3), byte(i % 250)})
			host := fmt.Sprintf("shop-%d.example", i%30)
			m.Record(m.Key(1, 1), customer.EndpointLookup, customer.Charged, 1, a, host)
			want[a.String()]++
			want[host]++
		}
	}
	all := func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		got := map[string]int64{}
		for _, clients := range []bool{true, false} {
			today := uint32(time.Now().Unix() / 86400)
			if store.Callers(ctx, today-1, today, clients, func(c usage.Caller, n int64) bool { got[c.String()] += n; return true }) != nil {
				return false
			}
		}
		for who, n := range want {
			if got[who] > n {
				t.Fatalf("%s is counted %d times, and called %d times", who, got[who], n)
			}
			if got[who] != n {
				return false
			}
		}
		return len(got) == len(want)
	}
	wait := func(what string, ok func() bool) {
		t.Helper()
		for !ok() {
			select {
			case <-tick.C:
			case <-deadline.C:
				t.Fatalf("%s: %v", what, counts.Err())
			}
		}
	}
	for range 3 {
		count()
		wait("not all is counted", all)
		count()
		server.Signal(syscall.SIGKILL)
		server.Stop() // waits
		count()
		wait("nobody notices that the server is away", func() bool { return counts.Err() != nil })
		server = proxytest.Redis(t, addr, args...)
		count()
	}
	wait("not all is counted after the restarts", all)
}
