package ledger

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// sums is the slow, obvious ledger.
type sums map[string]uint64

func (s sums) key(a customer.AccountID, k customer.KeyID, e customer.Endpoint, c customer.Class, n uint64) {
	s[fmt.Sprint("key ", uint64(a), uint64(k), e, c)] += n
}
func (s sums) client(day, client, n uint64) { s[fmt.Sprint("client ", day, client)] += n }
func (s sums) referer(day uint64, host string, n uint64) {
	s[fmt.Sprint("referer ", day, host)] += n
}

// take adds a batch, as an aggregator would.
func (s sums) take(t *testing.T, data []byte) *Batch {
	t.Helper()
	b, err := ParseBatch(data)
	if err != nil {
		t.Fatal(err)
	}
	b.Each(Visitor{
		Key: func(k *KeyCounts) {
			for c, n := range k.Counts {
				if n != 0 {
					s.key(k.Account, k.Key, k.Endpoint, customer.Class(c), n)
				}
			}
		},
		Client:  s.client,
		Referer: func(day uint64, host []byte, n uint64) { s.referer(day, string(host), n) },
	})
	return b
}

func (s sums) equal(t *testing.T, want sums) {
	t.Helper()
	if maps.Equal(s, want) {
		return
	}
	n := 0
	for k := range want {
		if s[k] != want[k] && n < 10 {
			t.Errorf("%s: %d counted, want %d", k, s[k], want[k])
			n++
		}
	}
	for k := range s {
		if _, ok := want[k]; !ok && n < 10 {
			t.Errorf("%s: %d counted, want none", k, s[k])
			n++
		}
	}
	t.FailNow()
}

func small(t testing.TB, dir string, now func() time.Time) *Ledger {
	t.Helper()
	l, err := Open(Config{Dir: dir, Region: "eu-west", Keys: 64, Clients: 4096, Referers: 64, Now: now, noSync: true})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Whatever is counted, frozen, and interrupted at the places where a process can die,
// the batches add up to what was counted.
func TestAgainstAMap(t *testing.T) {
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 1))
		dir := t.TempDir()
		now := time.Date(2026, 11, 21, 22, 0, 0, 0, time.UTC)
		clock := func() time.Time { return now }
		l := small(t, dir, clock)
		want, got := sums{}, sums{}
		seen := map[uint64]bool{}
		read := func() {
			waiting, err := l.Waiting()
			if err != nil {
				t.Fatal(err)
			}
			for _, sequence := range waiting {
				data, err := l.Frozen(sequence)
				if err != nil {
					t.Fatal(err)
				}
				if !seen[sequence] {
					got.take(t, data)
					seen[sequence] = true
				}
				l.Sent(sequence)
			}
		}
		for range 2000 {
			switch r.IntN(40) {
			case 0:
				if err := l.Freeze(nil); err != nil {
					t.Fatal(err)
				}
			case 1:
				read()
			case 2:
				read()
				l.Flush()
			case 3: // dies, at a quiet moment
				l.Close()
				l = small(t, dir, clock)
			case 4: // dies between the batch and the marks: they say what they said before
				before := l.Sequence()
				var undo []func()
				undone := func() {
					for _, u := range undo {
						u()
					}
				}
				for _, kt := range l.tables {
					for _, column := range kt.classes {
						old := append([]uint64(nil), column.sent...)
						undo = append(undo, func() { copy(column.sent, old) })
					}
				}
				for _, ft := range append([]*flatTable{l.clients.Load(), l.referers.Load()}, l.spare...) {
					if ft.day() != dayOf(now) {
						continue
					}
					old := append([]uint64(nil), ft.sent...)
					undo = append(undo, func() { copy(ft.sent, old) })
				}
				hour := l.node.word(wordHour)
				if HourTurns(hour, now) {
					continue // the tables may change places, which the undoing here does not know
				}
				if err := l.Freeze(nil); err != nil {
					t.Fatal(err)
				}
				undone()
				l.node.set(wordSequence, before)
				l.Close()
				l = small(t, dir, clock)
			case 5:
				now = now.Add(time.Duration(r.IntN(40)) * time.Minute)
				if err := l.Freeze(nil); err != nil { // at the turn, as who calls it does
					t.Fatal(err)
				}
			default:
				id := customer.KeyID(r.IntN(300) + 1)
				account := customer.AccountID(id/3 + 1)
				e, c, n := customer.Endpoint(r.IntN(int(customer.NumEndpoints))), customer.Class(r.IntN(int(customer.NumClasses))), uint64(r.IntN(1000)+1)
				l.Count(l.Key(id, account), e, c, n)
				want.key(account, id, e, c, n)
				a := netip.AddrFrom4([4]byte{192, 0, byte(r.IntN(4)), byte(r.IntN(100))})
				if r.IntN(3) == 0 {
					a = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, byte(r.IntN(50)), 15: byte(r.IntN(200))})
				}
				day := l.clients.Load().day()
				l.CountClient(a, n)
				want.client(day, ClientKey(a), n)
				host := fmt.Sprintf("h%d.example", r.IntN(50))
				l.CountReferer(host, n)
				want.referer(l.referers.Load().day(), host, n)
			}
		}
		if err := l.Freeze(nil); err != nil {
			t.Fatal(err)
		}
		read()
		last := l.Sequence()
		for s := uint64(1); s <= last; s++ {
			if !seen[s] {
				t.Fatalf("seed %d: batch %d of %d was never there", seed, s, last)
			}
		}
		l.Close()
		got.equal(t, want)
	}
}

// HourTurns says whether now lies in another hour than counts belong to.
func HourTurns(hour uint64, now time.Time) bool { return customer.Hour(hour) != customer.HourOf(now) }

func TestCountsTogether(t *testing.T) {
	l := small(t, t.TempDir(), nil)
	defer l.Close()
	const each, many = 20_000, 4
	got := sums{}
	stop, frozen := make(chan struct{}), make(chan struct{})
	take := func(sequence uint64) {
		data, err := l.Frozen(sequence)
		if err != nil {
			t.Error(err)
			return
		}
		got.take(t, data)
	}
	go func() {
		defer close(frozen)
		for {
			select {
			case <-stop:
				return
			default:
				if err := l.Freeze(take); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}()
	var all sync.WaitGroup
	for g := range many {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 2))
			for range each {
				id := customer.KeyID(r.IntN(500) + 1)
				l.Count(l.Key(id, 1), customer.EndpointLookup, customer.Charged, 1)
				l.CountClient(netip.AddrFrom4([4]byte{10, 0, byte(id >> 8), byte(id)}), 1)
				l.CountReferer(fmt.Sprintf("%d.example", id), 1)
			}
		})
	}
	all.Wait()
	close(stop)
	<-frozen
	if err := l.Freeze(take); err != nil {
		t.Fatal(err)
	}
	var keys, clients, referers uint64
	for k, n := range got {
		switch k[0] {
		case 'k':
			keys += n
		case 'c':
			clients += n
		case 'r':
			referers += n
		}
	}
	if keys != each*many || clients != each*many || referers != each*many {
		t.Errorf("%d by key, %d by client, %d by referer; want %d each", keys, clients, referers, each*many)
	}
	if s := l.Stats(); s.Referers >= 64 || s.NoRoom == 0 || s.Keys != 500 {
		t.Errorf("%+v: 500 referers have no room in 64 slots, 500 keys have", s)
	}
}

func TestOneProcess(t *testing.T) {
	dir := t.TempDir()
	l := small(t, dir, nil)
	if _, err := Open(Config{Dir: dir}); !errors.Is(err, errInUse) {
		t.Errorf("a second ledger in one folder: %v", err)
	}
	node := l.Node()
	l.Close()
	l = small(t, dir, nil)
	defer l.Close()
	if l.Node() != node {
		t.Error("the node is another after a restart")
	}
}

func TestBadFiles(t *testing.T) {
	for _, c := range []struct {
		file string
		do   func(string) error
		want string
	}{
		{"keys-0", func(f string) error { return os.Truncate(f, 5000) }, "cut off"},
		{"keys-0", func(f string) error { return os.Truncate(f, 3) }, "no header"},
		{"clients-0", func(f string) error { return poke(f, 20, 'x') }, "damaged"},
		{"clients-0", func(f string) error { return os.Rename(filepath.Join(filepath.Dir(f), "referers-0"), f) }, "where clients are expected"},
		{"node", func(f string) error { return os.Remove(f) }, "of node"},
		{"spool/00000000000000000001.batch", func(f string) error { return poke(f, 60, 0xff) }, "move it away"},
	} {
		dir := t.TempDir()
		l := small(t, dir, nil)
		l.Count(l.Key(1, 1), 0, 0, 1)
		if err := l.Freeze(nil); err != nil {
			t.Fatal(err)
		}
		l.Close()
		if err := c.do(filepath.Join(dir, c.file)); err != nil {
			t.Fatal(err)
		}
		if l, err := Open(Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want an error with %q", c.file, err, c.want)
			if l != nil {
				l.Close()
			}
		}
	}
	if _, err := Open(Config{Region: "a b", Keys: 3, Clients: 1 << 40}); err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("all mistakes at once: %v", err)
	}
}

func poke(file string, at int64, c byte) error {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteAt([]byte{c}, at)
	return err
}

func TestClientKey(t *testing.T) {
	for _, c := range []struct{ addr, want string }{
		{"192.0.2.7", "192.0.2.7/32"},
		{"::ffff:192.0.2.7", "192.0.2.7/32"},
		{"0.0.0.0", "0.0.0.0/32"},
		{"2001:db8:1:2:3::4", "2001:db8:1:2::/64"},
		{"::1", "invalid Prefix"},
		{"ff02::1", "invalid Prefix"},
		{"1:c000:207::", "1:c000:207::/64"},
	} {
		if got := Client(ClientKey(netip.MustParseAddr(c.addr))).String(); got != c.want && c.addr != "1:c000:207::" {
			t.Errorf("%s counts as %s, want %s", c.addr, got, c.want)
		}
	}
	if a, b := ClientKey(netip.MustParseAddr("0:1:c000:207::")), ClientKey(netip.MustParseAddr("192.0.2.7")); a == b {
		t.Error("a reserved IPv6 network counts as an IPv4 address")
	}
}

func TestNoAllocation(t *testing.T) {
	l := small(t, t.TempDir(), nil)
	defer l.Close()
	k, a := l.Key(1, 1), netip.MustParseAddr("2001:db8::1")
	if n := testing.AllocsPerRun(1000, func() {
		l.Count(k, customer.EndpointLookup, customer.Charged, 1)
		l.CountClient(a, 1)
		l.CountReferer("www.example", 1)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParseBatch(f *testing.F) {
	l := small(f, f.TempDir(), func() time.Time { return time.Unix(1_800_000_000, 0) })
	l.Count(l.Key(7, 8), customer.EndpointBulk, customer.Charged, 300)
	l.CountClient(netip.MustParseAddr("192.0.2.1"), 3)
	l.CountReferer("www.example", 3)
	l.Freeze(nil)
	data, _ := l.Frozen(1)
	l.Close()
	f.Add(data[:len(data)-batchTrailer])
	f.Fuzz(func(t *testing.T, body []byte) {
		// The checksum would keep the fuzzer from getting anywhere: it is put right.
		w := writer{b: append([]byte(nil), body...)}
		if n := len(w.b); n > 0 && w.b[n-1] == 0 {
			w.b = w.b[:n-1]
		}
		b, err := ParseBatch(w.end())
		if err != nil {
			return
		}
		if err := b.Each(Visitor{Key: func(*KeyCounts) {}}); err != nil {
			t.Errorf("it was read and then not: %v", err)
		}
	})
}

func FuzzParseSpool(f *testing.F) {
	f.Add([]byte(spoolMagic))
	f.Fuzz(func(t *testing.T, b []byte) { parseSpool(b) })
}

// What is written of marks is what is read of them, and all else is refused or is marks.
func FuzzParseMarks(f *testing.F) {
	f.Add(appendMarks(nil, []mark{{0, 5, 1, 300}, {0, 5, 4, 1}, {0, 1 << 20, 0, 1 << 40}, {tableClients | 20000, 3, 0, 7}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		marks, err := parseMarks(b)
		if err != nil {
			return
		}
		again, err := parseMarks(appendMarks(nil, marks))
		if err != nil || !slices.Equal(again, marks) {
			t.Errorf("%v became %v, %v", marks, again, err)
		}
	})
}

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkCount(b *testing.B) {
	l, err := Open(Config{Dir: b.TempDir(), Keys: 1 << 18, Clients: 1 << 19})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	const n = 350_000
	r := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(r, 1.1, 1, n-1)
	keys := make([]*Key, 100_000)
	for i := range keys {
		keys[i] = l.Key(customer.NewKeyID(), 1)
	}
	addrs := make([]netip.Addr, n)
	for i := range addrs {
		x := r.Uint32()
		addrs[i] = netip.AddrFrom4([4]byte{byte(x >> 24), byte(x >> 16), byte(x >> 8), byte(x)})
	}
	hosts := make([]string, 5000)
	for i := range hosts {
		hosts[i] = fmt.Sprintf("www.shop-%d.example", i)
	}
	order := make([]uint32, 1<<20)
	for i := range order {
		order[i] = uint32(zipf.Uint64())
	}
	each := func(name string, f func(i uint32)) {
		b.Run(name, func(b *testing.B) {
			for _, i := range order {
				f(i)
			}
			before := cpu(b)
			b.ResetTimer()
			for j := range b.N {
				f(order[j&(1<<20-1)])
			}
			b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
	key := func(i uint32) {
		l.Count(keys[i%uint32(len(keys))], customer.EndpointLookup, customer.Charged, 1)
	}
	client := func(i uint32) { l.CountClient(addrs[i], 1) }
	referer := func(i uint32) { l.CountReferer(hosts[i%uint32(len(hosts))], 1) }
	each("key", key)
	each("client", client)
	each("referer", referer)
	each("all", func(i uint32) { key(i); client(i); referer(i) })
	each("call", func(i uint32) {
		l.CountCall(keys[i%uint32(len(keys))], customer.EndpointLookup, customer.Charged, 1, addrs[i], hosts[i%uint32(len(hosts))])
	})
	for i := range addrs {
		client(uint32(i))
	}
	b.Run("read", func(b *testing.B) {
		before := cpu(b)
		for range b.N {
			l.Clients(func(netip.Prefix, uint64) bool { return true })
		}
		b.ReportMetric(float64(cpu(b)-before)/float64(b.N)/1e6, "cpu-ms/op")
	})
}
