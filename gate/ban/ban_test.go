package ban

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
)

// clock is a clock that a test sets.
type clock struct {
	mu  sync.Mutex // guards now
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newTable(t testing.TB, cfg Config) *Table {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	table, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = table.Close() })
	return table
}

func add(t testing.TB, table *Table, network string, life time.Duration) {
	t.Helper()
	p := netip.MustParsePrefix(network)
	if _, err := table.Add(Ban{Network: p, Action: ipwarden.Block, Until: table.cfg.Now().Add(life), Reason: "test"}); err != nil {
		t.Fatal(err)
	}
}

func found(table *Table, addr string) string {
	if b := table.Find(netip.MustParseAddr(addr), table.cfg.Now()); b != nil {
		return b.Network.String()
	}
	return ""
}

func TestBansRunAndEnd(t *testing.T) {
	c := newClock()
	table := newTable(t, Config{Now: c.Now})
	if table.live.Load() != nil || found(table, "203.0.113.7") != "" {
		t.Error("an empty table has a ban")
	}
	add(t, table, "203.0.113.7/32", time.Minute)
	add(t, table, "203.0.113.0/24", time.Hour)
	add(t, table, "2001:db8:1:2::/64", time.Hour)
	for addr, want := range map[string]string{
		"203.0.113.7": "203.0.113.7/32", "203.0.113.8": "203.0.113.0/24", "203.0.112.7": "", "2001:db8:1:2::9": "2001:db8:1:2::/64", "2001:db8:1:3::9": "",
	} {
		if got := found(table, addr); got != want {
			t.Errorf("%s: %q, not %q", addr, got, want)
		}
	}
	if found := table.Find(netip.Addr{}, c.Now()); found != nil {
		t.Error("nobody's address is banned")
	}
	c.add(time.Minute)
	if got := found(table, "203.0.113.7"); got != "203.0.113.0/24" {
		t.Errorf("when the longer one has ended: %q", got)
	}
	table.tick(t.Context())
	if s := table.Stats(); s.Bans != 2 || s.Ended != 1 || s.Made != 3 {
		t.Errorf("%+v", s)
	}
	if !table.Lift(netip.MustParsePrefix("203.0.113.0/24")) || table.Lift(netip.MustParsePrefix("203.0.113.0/24")) {
		t.Error("lifting does not lift once")
	}
	c.add(time.Hour)
	table.tick(t.Context())
	if s := table.Stats(); s.Bans != 0 || table.live.Load() != nil || len(table.entries) != 0 {
		t.Errorf("%+v", s)
	}
}

// The last word counts; a ban that is made again is the same one since then.
func TestBanAgain(t *testing.T) {
	c := newClock()
	table := newTable(t, Config{Now: c.Now})
	add(t, table, "203.0.113.7/32", time.Hour)
	c.add(time.Minute)
	add(t, table, "203.0.113.7/32", time.Minute)
	list, all := table.List(netip.Addr{}, 10)
	if all != 1 || !list[0].Until.Equal(c.Now().Add(time.Minute)) || !list[0].Since.Equal(c.Now().Add(-time.Minute)) {
		t.Errorf("%+v", list)
	}
}

// A full table evicts what ends first, and never grows.
func TestBounded(t *testing.T) {
	c := newClock()
	table := newTable(t, Config{Now: c.Now, Most: 100})
	for i := range 300 {
		add(t, table, fmt.Sprintf("10.%d.%d.1/32", i/250, i%250), time.Hour+time.Duration(i)*time.Second)
	}
	if s := table.Stats(); s.Bans != 100 || s.Evicted != 200 || len(table.entries) != 100 || len(table.ends) != 100 {
		t.Errorf("%+v", s)
	}
	if found(table, "10.0.0.1") != "" || found(table, "10.1.49.1") == "" {
		t.Error("it is not what ends first that went")
	}
	_, err := table.Add(Ban{Network: netip.MustParsePrefix("10.9.9.9/32"), Action: ipwarden.Block, Until: c.Now().Add(time.Second)})
	if !errors.Is(err, ErrFull) {
		t.Errorf("one that ends before all others: %v", err)
	}
}

func TestMistakes(t *testing.T) {
	c := newClock()
	table := newTable(t, Config{Now: c.Now})
	good := Ban{Network: netip.MustParsePrefix("203.0.113.7/32"), Action: ipwarden.Block, Until: c.Now().Add(time.Hour)}
	for want, change := range map[string]func(*Ban){
		"no network to ban":          func(b *Ban) { b.Network = netip.Prefix{} },
		"bits behind its length":     func(b *Ban) { b.Network = netip.MustParsePrefix("203.0.113.7/24") },
		"0.0.0.0/0 is too wide":      func(b *Ban) { b.Network = netip.MustParsePrefix("0.0.0.0/0") },
		"10.0.0.0/7 is too wide":     func(b *Ban) { b.Network = netip.MustParsePrefix("10.0.0.0/7") },
		"2a00::/18 is too wide":      func(b *Ban) { b.Network = netip.MustParsePrefix("2a00::/18") },
		"2002:cb00:7100::/40 is a w": func(b *Ban) { b.Network = netip.MustParsePrefix("2002:cb00:7100::/40") },
		"is none of a ban":           func(b *Ban) { b.Action = ipwarden.Allow },
		"from 1s to 30d":             func(b *Ban) { b.Until = c.Now().Add(31 * 24 * time.Hour) },
		"1s to 30d, such":            func(b *Ban) { b.Until = c.Now() },
		"has 201 bytes":              func(b *Ban) { b.Reason = strings.Repeat("x", 201) },
		"one line of text":           func(b *Ban) { b.Reason = "a\nb" },
	} {
		b := good
		change(&b)
		if _, err := table.Add(b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
	if _, err := table.Add(Ban{Network: netip.MustParsePrefix("0.0.0.0/0")}); err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("not all mistakes at once: %v", err)
	}
	if _, err := New(t.Context(), Config{Most: -1}); err == nil {
		t.Error("a negative number of bans")
	}
	if s := table.Stats(); s.Bans != 0 || s.Made != 0 {
		t.Errorf("%+v", s)
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"203.0.113.7": "203.0.113.7/32", "203.0.113.0/24": "203.0.113.0/24", "2001:db8::7": "2001:db8::/64", "2001:db8::7/128": "2001:db8::7/128",
		"::ffff:203.0.113.7": "203.0.113.7/32", "::ffff:203.0.113.0/120": "203.0.113.0/24", "2002:cb00:7107::1": "203.0.113.7/32", "64:ff9b::203.0.113.7/128": "203.0.113.7/32",
		"203.0.113.7/24": "", "0.0.0.0/0": "", "::/0": "", "8.0.0.0/7": "", "64:ff9b::/96": "", "example.org": "", "": "", "/": "", "1.2.3": "",
	} {
		p, err := ParseNetwork(text)
		if err == nil && p.String() != want || err != nil && want != "" {
			t.Errorf("%q: %v, %v", text, p, err)
		}
	}
	for text, want := range map[string]time.Duration{
		"1s": time.Second, "3600": time.Hour, "30d": 720 * time.Hour, "1h30m": 90 * time.Minute,
		"": 0, "0": 0, "-1": 0, "31d": 0, "-1d": 0, "721h": 0, "999ms": 0, "99999999999999999999": 0, "9223372036854775807": 0, "9223372036854775807d": 0, "d": 0, "forever": 0,
	} {
		d, err := ParseTime(text)
		if d != want || (err == nil) != (want != 0) {
			t.Errorf("%q: %v, %v", text, d, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"203.0.113.7", "::ffff:0:0/96", "2002::/16", "1.2.3.4/33", "fe80::1%eth0", "64:ff9b::/97"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := ParseNetwork(text); err == nil {
			if checkNetwork(p) != nil {
				t.Errorf("%q: %v is no network for a ban", text, p)
			}
			if again, err := ParseNetwork(p.String()); err != nil || again != p {
				t.Errorf("%q: %v, and again %v %v", text, p, again, err)
			}
		}
		if d, err := ParseTime(text); err == nil && (d < Shortest || d > Longest) {
			t.Errorf("%q: %v", text, d)
		}
	})
}

// Bans outlive the process, those that have ended do not, and a file that is none
// is not begun over.
func TestRestart(t *testing.T) {
	c := newClock()
	name := filepath.Join(t.TempDir(), "bans.json")
	first := newTable(t, Config{Now: c.Now, File: name})
	add(t, first, "203.0.113.7/32", time.Hour)
	add(t, first, "2001:db8::/64", time.Minute)
	first.tick(t.Context()) // as if the process were killed: it is in the file
	text, err := os.ReadFile(name)
	if err != nil || !strings.Contains(string(text), `"network":"203.0.113.7/32","action":"block"`) {
		t.Fatalf("%v: %s", err, text)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	c.add(2 * time.Minute)
	second := newTable(t, Config{Now: c.Now, File: name})
	list, all := second.List(netip.Addr{}, 10)
	if all != 1 || list[0].Network.String() != "203.0.113.7/32" || list[0].Reason != "test" || list[0].Action != ipwarden.Block || !list[0].Until.Equal(c.Now().Add(58*time.Minute)) {
		t.Errorf("%+v", list)
	}
	// A second process on the same file takes nothing away from the first.
	third := newTable(t, Config{Now: c.Now, File: name})
	add(t, second, "203.0.113.8/32", time.Hour)
	second.tick(t.Context())
	add(t, third, "203.0.113.9/32", time.Hour)
	third.tick(t.Context())
	if s := third.Stats(); s.FileErrors != 1 {
		t.Errorf("two processes write one file: %+v", s)
	}
	_ = second.Close()
	if err := third.Close(); err != nil {
		t.Error("the lock was not given back:", err)
	}
	for _, bad := range []string{"", "{", `{"version":2}`, `{"version":1,"bans":[{"network":"0.0.0.0/0","action":"block","until":"2026-11-21T13:00:00Z","stamp":1}]}`, `{"version":1,"bans":[{"network":"1.2.3.4/32","action":"allow","until":"2026-11-21T13:00:00Z","stamp":1}]}`} {
		if err := os.WriteFile(name, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := New(t.Context(), Config{Now: c.Now, File: name}); err == nil || !strings.Contains(err.Error(), "move it away") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzFile(f *testing.F) {
	f.Add([]byte(`{"version":1,"bans":[{"network":"1.2.3.4/32","action":"block","since":"2026-11-21T12:00:00Z","until":"2026-11-21T13:00:00Z","reason":"x","stamp":1}]}`))
	now := newClock().now
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, err := parseFile(text, now)
		for i := range entries {
			if err == nil && !entries[i].believable(now) {
				t.Errorf("%+v", entries[i])
			}
		}
	})
}

// memory is a Store for tests: the same rule as the real one, slow and obvious.
type memory struct {
	mu     sync.Mutex // guards what is below
	log    []Entry
	latest map[netip.Prefix]Entry
	epoch  int
	away   error
}

func (m *memory) Exchange(_ context.Context, changes []Entry, since string) (Exchanged, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away != nil {
		return Exchanged{}, m.away
	}
	var epoch, from int
	_, _ = fmt.Sscanf(since, "%d %d", &epoch, &from)
	got := Exchanged{Anew: since != "" && epoch != m.epoch}
	if got.Anew {
		from = 0
	}
	for _, e := range changes {
		if old, ok := m.latest[e.Network]; !ok || e.Stamp > old.Stamp {
			if m.latest == nil {
				m.latest = map[netip.Prefix]Entry{}
			}
			m.latest[e.Network] = e
			m.log = append(m.log, e)
		}
	}
	to := min(from+10, len(m.log))
	got.Entries, got.More = append(got.Entries, m.log[from:to]...), to < len(m.log)
	got.Mark = fmt.Sprintf("%d %d", m.epoch, to)
	return got, nil
}

func (m *memory) lose() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.log, m.latest, m.epoch = nil, nil, m.epoch+1
}

func (m *memory) setAway(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.away = err
}

func text(table *Table) string {
	list, _ := table.List(netip.Addr{}, 1000)
	s := ""
	for _, e := range list {
		s += fmt.Sprint(e.Network, " ", e.Action, " ", e.Until.Unix(), "; ")
	}
	return s
}

// Nodes that share a store come to have the same bans, through a store that is
// away and one that loses everything.
func TestShared(t *testing.T) {
	c, m := newClock(), &memory{}
	a, b := newTable(t, Config{Now: c.Now, Store: m}), newTable(t, Config{Now: c.Now, Store: m})
	both := func() {
		for range 2 {
			a.share(t.Context())
			b.share(t.Context())
		}
	}
	add(t, a, "203.0.113.7/32", time.Hour)
	both()
	if found(b, "203.0.113.7") == "" {
		t.Fatal("the other node does not know")
	}
	b.Lift(netip.MustParsePrefix("203.0.113.7/32"))
	both()
	if found(a, "203.0.113.7") != "" {
		t.Error("it is lifted on the other node alone")
	}
	m.setAway(errors.New("away"))
	add(t, a, "203.0.113.8/32", time.Hour)
	both()
	if found(a, "203.0.113.8") == "" || found(b, "203.0.113.8") != "" || a.Stats().ShareErrors == 0 {
		t.Error("a store that is away")
	}
	m.setAway(nil)
	both()
	if found(b, "203.0.113.8") == "" {
		t.Error("what was said meanwhile is lost")
	}
	m.lose()
	both()
	late := newTable(t, Config{Now: c.Now, Store: m})
	if found(late, "203.0.113.8") == "" || found(late, "203.0.113.7") != "" {
		t.Errorf("what the store has lost is not told again: %s", text(late))
	}
	// The node that was away with its file does not bring back what was lifted.
	if len(late.entries) != 2 {
		t.Errorf("%d entries", len(late.entries))
	}
}

// Whatever happens in whatever order, all nodes end with the same.
func TestSharedConverges(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		c, m := newClock(), &memory{}
		var nodes []*Table
		for range 3 {
			nodes = append(nodes, newTable(t, Config{Now: c.Now, Store: m}))
		}
		for range 200 {
			n := nodes[r.IntN(len(nodes))]
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(20))}), 32)
			switch r.IntN(8) {
			case 0, 1, 2:
				_, _ = n.Add(Ban{Network: p, Action: ipwarden.Block, Until: c.Now().Add(time.Duration(1+r.IntN(5)) * time.Minute)})
			case 3:
				n.Lift(p)
			case 4:
				c.add(time.Duration(r.IntN(20)) * time.Second)
			case 5:
				if r.IntN(10) == 0 {
					m.lose()
				}
			default:
				n.share(t.Context())
			}
		}
		for range 4 {
			for _, n := range nodes {
				n.share(t.Context())
			}
		}
		for _, n := range nodes[1:] {
			if text(n) != text(nodes[0]) {
				t.Fatalf("seed %d:\n%s\n%s", seed, text(nodes[0]), text(n))
			}
		}
	}
}

// What another node, or who can write to the store, says is checked.
func TestJunkIsPassedOver(t *testing.T) {
	c := newClock()
	good := Entry{Ban: Ban{Network: netip.MustParsePrefix("203.0.113.7/32"), Action: ipwarden.Block, Until: c.Now().Add(time.Hour)}, Stamp: c.Now().UnixMilli()}
	wide, long, allow, late := good, good, good, good
	wide.Network = netip.MustParsePrefix("0.0.0.0/0")
	long.Until = c.Now().Add(100 * 24 * time.Hour)
	allow.Action = ipwarden.Allow
	late.Stamp = c.Now().Add(48 * time.Hour).UnixMilli()
	table := newTable(t, Config{Now: c.Now, Store: &memory{log: []Entry{wide, long, allow, late, {}, good}}})
	if got := text(table); strings.Count(got, ";") != 1 || table.Stats().ShareErrors != 1 {
		t.Errorf("%s %+v", got, table.Stats())
	}
}

func TestFindDoesNotAllocate(t *testing.T) {
	c := newClock()
	table := newTable(t, Config{Now: c.Now})
	addr, now := netip.MustParseAddr("10.0.0.1"), c.Now()
	for _, n := range []int{0, 1000} {
		for i := range n {
			add(t, table, fmt.Sprintf("10.0.%d.%d/32", i/250, i%250), time.Hour)
		}
		if got := testing.AllocsPerRun(100, func() { table.Find(addr, now) }); got != 0 {
			t.Errorf("%d bans: %v allocations", n, got)
		}
	}
}

func BenchmarkFind(b *testing.B) {
	for _, n := range []int{0, 1, 10_000, 65_536} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			table := newTable(b, Config{})
			for i := range n {
				add(b, table, fmt.Sprintf("10.%d.%d.7/32", i>>8, i&255), time.Hour)
			}
			now := time.Now()
			addrs := make([]netip.Addr, 1024)
			for i := range addrs {
				addrs[i] = netip.AddrFrom4([4]byte{10, byte(i), byte(i * 7), 7})
			}
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				table.Find(addrs[i&1023], now)
				i++
			}
		})
	}
}

// BenchmarkAdd is a ban beside 10,000 others.
func BenchmarkAdd(b *testing.B) {
	table := newTable(b, Config{})
	for i := range 10_000 {
		add(b, table, fmt.Sprintf("10.%d.%d.7/32", i>>8, i&255), time.Hour)
	}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		add(b, table, fmt.Sprintf("10.%d.%d.9/32", i>>8&255, i&255), time.Hour)
		i++
	}
}

// No request gets through while a ban is told again, or others come and go.
func TestFindWhileBansChange(t *testing.T) {
	table := newTable(t, Config{})
	add(t, table, "203.0.113.7/32", time.Hour)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ban := func(network string) {
			b := Ban{Network: netip.MustParsePrefix(network), Action: ipwarden.Block, Until: time.Now().Add(time.Hour)}
			if _, err := table.Add(b); err != nil {
				t.Error(err)
			}
		}
		for i := range 500 {
			other := fmt.Sprintf("203.0.113.%d/32", 8+i%100)
			ban("203.0.113.7/32")
			ban(other)
			table.Lift(netip.MustParsePrefix(other))
		}
	}()
	for {
		select {
		case <-done:
			return
		default:
			if found(table, "203.0.113.7") == "" {
				t.Error("a request got through")
				<-done
				return
			}
		}
	}
}
