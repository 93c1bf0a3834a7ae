package shield

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// memory is a Place of a test.
type memory struct {
	mu   sync.Mutex // guards what is below
	text string
	away bool
}

func (*memory) Name() string { return "the memory of a test" }

func (m *memory) Load(context.Context) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
		return "", errors.New("away")
	}
	return m.text, nil
}

func (m *memory) Swap(_ context.Context, before, after string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away {
		return false, errors.New("away")
	}
	if m.text != before {
		return false, nil
	}
	m.text = after
	return true, nil
}

func (m *memory) leave(away bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.away = away
}

func guard(t *testing.T, cfg Config) *Guard {
	t.Helper()
	cfg.Log = slog.New(slog.DiscardHandler)
	g, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	return g
}

// said is what nodes were told.
type said struct {
	mu  sync.Mutex // guards all
	all [3]string
}

func (s *said) set(i int, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[i] = text
}

func (s *said) get() [3]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all
}

// What is said in one place is in force within a second at all nodes, also at those
// that share only another place with who does.
func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cli, db, store := new(memory), new(memory), new(memory)
		var told said
		var nodes [3]*Guard
		for i, places := range [][]Place{{cli, db}, {db, store}, {store}} {
			nodes[i] = guard(t, Config{Places: places, Changed: func(ms []Measure) { told.set(i, names(ms)) }})
		}
		now := time.Now()
		se := Measure{Kind: Country, Value: "SE", Action: Block, Since: now, Until: now.Add(time.Hour)}
		if _, err := Change(t.Context(), cli, now, func(s *State) error { return s.Set(now, se) }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // of the bubble's clock
		synctest.Wait()
		for i, g := range nodes {
			if len(g.Active()) != 1 || told.get()[i] != "country:SE/block" {
				t.Errorf("node %d: %q", i, told.get()[i])
			}
		}
		// While a place is away, the rest goes on; when it is back, it is told.
		db.leave(true)
		if err := nodes[2].Change(func(s *State) error { _, err := s.Undo(time.Now()); return err }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if told.get()[2] != "" || told.get()[1] != "" || told.get()[0] == "" || nodes[0].Errors() == 0 {
			t.Errorf("with the middle away: %q, %d errors", told.get(), nodes[0].Errors())
		}
		db.leave(false)
		time.Sleep(time.Second)
		synctest.Wait()
		if told.get()[0] != "" || nodes[0].view.Load() != nil {
			t.Errorf("after it is back: %q", told.get())
		}
		// A measure ends by itself, and that is told too.
		now = time.Now()
		if err := nodes[0].Change(func(s *State) error {
			return s.Set(now, Measure{Kind: Work, From: 30, Since: now, Until: now.Add(10 * time.Second)})
		}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if told.get()[2] != "pow/" {
			t.Errorf("%q", told.get())
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if told.get() != [3]string{} {
			t.Errorf("after its end: %q", told.get())
		}
	})
}

func TestCheck(t *testing.T) {
	now := time.Now()
	g := guard(t, Config{
		Locate: func(a netip.Addr) (string, uint32) {
			if a.Is4() {
				return "SE", 64500
			}
			return "NO", 64501
		},
		Listed: func(a netip.Addr) []string {
			if a == netip.MustParseAddr("192.0.2.9") {
				return []string{"a.example", "B.example."}
			}
			return nil
		},
	})
	four, six, listed := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.9")
	check := func(addr netip.Addr, want string) {
		t.Helper()
		got := ""
		if m := g.Check(addr, now); m != nil {
			got = m.Name() + "/" + string(m.Action)
		}
		if got != want {
			t.Errorf("%s: %q, not %q", addr, got, want)
		}
	}
	set := func(ms ...Measure) {
		t.Helper()
		for i := range ms {
			ms[i].Since, ms[i].Until = now, now.Add(time.Hour)
		}
		if err := g.Change(func(s *State) error { return s.Set(now, ms...) }); err != nil {
			t.Fatal(err)
		}
	}
	check(four, "")
	set(Measure{Kind: Country, Value: "SE", Action: Challenge})
	check(four, "country:SE/challenge")
	check(six, "")
	check(netip.Addr{}, "")
	set(Measure{Kind: ASN, Value: "64500", Action: Block})
	check(four, "asn:64500/block")
	set(Measure{Kind: DNSBL, Value: "b.example", Action: Block}, Measure{Kind: ASN, Value: "64500", Action: Challenge})
	check(listed, "dnsbl:b.example/block")
	if m := g.Listed(four, now); m != nil {
		t.Errorf("%+v", m)
	}
	// At the API a challenge is a need of a key.
	for _, c := range []struct {
		addr              netip.Addr
		keyed             bool
		needsKey, refused bool
	}{{four, true, false, false}, {four, false, true, true}, {listed, true, false, true}, {listed, false, false, true}, {six, false, false, false}, {six, true, false, false}} {
		_, needsKey, refused := g.Refuses(c.addr, c.keyed, now)
		if needsKey != c.needsKey && refused || refused != c.refused {
			t.Errorf("%s keyed=%v: needs key %v, refused %v", c.addr, c.keyed, needsKey, refused)
		}
	}
	set(Measure{Kind: RequireKeys}, Measure{Kind: Work, Bits: 3, From: NoScore})
	if _, needsKey, refused := g.Refuses(six, false, now); !needsKey || !refused {
		t.Error("a call without a key is let in")
	}
	if g.Bits() != 3 || g.KeysNeeded(now.Add(2*time.Hour)) != nil || g.Check(four, now.Add(2*time.Hour)) != nil {
		t.Error("bits, or ends")
	}
}

func TestNothingInForceCostsNothing(t *testing.T) {
	g := guard(t, Config{Locate: func(netip.Addr) (string, uint32) { t.Error("asked"); return "", 0 }})
	addr, now := netip.MustParseAddr("192.0.2.1"), time.Now()
	if n := testing.AllocsPerRun(100, func() { g.Refuses(addr, false, now); g.Check(addr, now); g.Bits() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), FileName)
	p := File(name)
	var writers sync.WaitGroup
	for i := range 8 {
		writers.Go(func() {
			for range 10 {
				now := time.Now()
				if _, err := Change(t.Context(), p, now, func(s *State) error {
					return s.Set(now, Measure{Kind: ASN, Value: string(rune('1' + i)), Action: Block, Since: now, Until: now.Add(time.Hour)})
				}); err != nil && !strings.Contains(err.Error(), "try again") {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	s, err := Change(t.Context(), p, time.Now(), nil)
	if err != nil || len(s.Active(time.Now())) == 0 {
		t.Error(err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	if err := os.WriteFile(name, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), Config{Places: []Place{p}, Log: slog.New(slog.DiscardHandler)}); !errors.Is(err, errJunk) {
		t.Errorf("a Guard begins with %v", err)
	}
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(name), ".shield-*"))
	if len(left) > 0 {
		t.Errorf("%v", left)
	}
}
