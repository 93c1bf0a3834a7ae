package rediscallers

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
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

// What a server has that is none of ours changes nothing by half; many counts
// go at once; and a server that throws keys away is refused, also
// when it begins to later.
func TestHostile(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	proxytest.Redis(t, addr)
	s := open(t, addr)
	cli := func(args ...string) string { return strings.TrimSpace(proxytest.RedisCLI(t, addr, args...)) }
	mark := usage.Mark{Node: 7, Region: "eu"}
	day := uint32(20_000)
	host := usage.Caller{Day: day, Host: "shop.example"}
	other := usage.Caller{Day: day, Host: "other.example"}
	_, part := field(other)
	cli("SET", s.key(day, false, part), "a text")
	add := func(from, to uint64) error {
		return s.AddCallers(t.Context(), map[usage.Caller]int64{host: 5, other: 3}, map[usage.Mark]uint64{mark: from}, map[usage.Mark]uint64{mark: to})
	}
	for range 3 {
		if err := add(0, 1); err == nil || !strings.Contains(err.Error(), "no hash of counts") {
			t.Fatalf("a text where counts are: %v", err)
		}
	}
	if marks, err := s.CallerMarks(t.Context()); err != nil || len(marks) != 0 {
		t.Errorf("the marks moved: %v, %v", marks, err)
	}
	cli("DEL", s.key(day, false, part))
	cli("HSET", s.key(day, false, part), "other.example", "many")
	if err := add(0, 1); err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	if err := s.Callers(t.Context(), day, day, false, func(c usage.Caller, n int64) bool { got[c.Host] += n; return true }); err != nil {
		t.Fatal(err)
	}
	if got["shop.example"] != 5 || got["other.example"] != 3 || len(got) != 2 {
		t.Errorf("counted %v", got)
	}

	many := map[usage.Caller]int64{}
	for i := range 20_000 {
		many[usage.Caller{Day: day, Client: uint64(i + 1000)}] = int64(i + 1)
	}
	if err := s.AddCallers(t.Context(), many, map[usage.Mark]uint64{mark: 1}, map[usage.Mark]uint64{mark: 2}); err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := s.Callers(t.Context(), day, day, true, func(c usage.Caller, count int64) bool {
		if n++; count != many[c] {
			t.Fatalf("%+v is counted %d times", c, count)
		}
		return true
	}); err != nil || n != len(many) {
		t.Errorf("%d counts, %v", n, err)
	}

	cli("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	if _, err := s.CallerMarks(t.Context()); err != nil {
		t.Errorf("it has no bound, and throws nothing away: %v", err)
	}
	cli("CONFIG", "SET", "maxmemory", "1gb")
	if _, err := s.CallerMarks(t.Context()); err == nil || !strings.Contains(err.Error(), "noeviction") {
		t.Errorf("a server that throws away: %v", err)
	}
	if again, err := Open("redis://" + addr); err == nil {
		again.Close()
		t.Error("it is opened")
	}
	cli("CONFIG", "SET", "maxmemory-policy", "noeviction")
	cli("CONFIG", "SET", "maxmemory", "1")
	if err := add(2, 3); err == nil || !strings.Contains(err.Error(), "OOM") {
		t.Errorf("a server that is full: %v", err)
	}
	cli("CONFIG", "SET", "maxmemory", "0")
	if err := add(2, 3); err != nil {
		t.Errorf("a server that has room again: %v", err)
	}
}

// A server that has become a replica is connected to anew: what is in front of it leads
// to the new one.
func TestBecomesReplica(t *testing.T) {
	first, second := proxytest.FreeAddr(t), proxytest.FreeAddr(t)
	proxytest.Redis(t, first)
	proxytest.Redis(t, second)
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer front.Close()
	var to atomic.Pointer[string]
	to.Store(&first)
	go func() {
		for {
			c, err := front.Accept()
			if err != nil {
				return
			}
			back, err := net.Dial("tcp", *to.Load())
			if err != nil {
				c.Close()
				continue
			}
			go func() { _, _ = io.Copy(back, c); back.Close() }()
			go func() { _, _ = io.Copy(c, back); c.Close() }()
		}
	}()
	s := open(t, front.Addr().String())
	host, port, err := net.SplitHostPort(second)
	if err != nil {
		t.Fatal(err)
	}
	proxytest.RedisCLI(t, first, "REPLICAOF", host, port)
	to.Store(&second) // and the connection of before stays
	mark := usage.Mark{Node: 7, Region: "eu"}
	var said []string
	proxytest.Eventually(t, "it is written to the new one", func() bool {
		err := s.AddCallers(t.Context(), map[usage.Caller]int64{{Day: 20_000, Host: "a.example"}: 1}, map[usage.Mark]uint64{mark: 0}, map[usage.Mark]uint64{mark: 1})
		if err != nil {
			said = append(said, err.Error())
		}
		return err == nil
	})
	if len(said) == 0 || !strings.Contains(said[0], "READONLY") {
		t.Errorf("nobody noticed: %q", said)
	}
}
