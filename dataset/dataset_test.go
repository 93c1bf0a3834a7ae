package dataset_test

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/dataset"
	"github.com/ipwarden/ipwarden/feed"
)

var ctx = context.Background()

// given is a feed in a test: its meaning and its rows.
type given struct {
	name    string
	date    time.Time
	asserts feed.Asserts
	rows    []feed.Fact
}

func (g *given) facts() iter.Seq2[*feed.Fact, error] {
	return func(yield func(*feed.Fact, error) bool) {
		for _, f := range g.rows {
			if !yield(&f, nil) {
				return
			}
		}
	}
}

// at makes a fact about a prefix, an address or a range.
func at(place string, f feed.Fact) feed.Fact {
	if p, err := netip.ParsePrefix(place); err == nil {
		f.SetPrefix(p)
	} else if a, err := netip.ParseAddr(place); err == nil {
		f.SetAddr(a)
	} else {
		var from, to string
		if _, err := fmt.Sscanf(place, "%s - %s", &from, &to); err != nil {
			panic(place)
		}
		if err := f.SetRange(netip.MustParseAddr(from), netip.MustParseAddr(to)); err != nil {
			panic(err)
		}
	}
	return f
}

func day(s string) time.Time {
	d, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return d
}

func compile(t testing.TB, feeds ...given) []byte {
	t.Helper()
	var cfg dataset.BuildConfig
	for i := range feeds {
		g := &feeds[i]
		cfg.Inputs = append(cfg.Inputs, dataset.Input{
			Spec: feed.Spec{Name: g.name, Licence: "CC0-1.0", Asserts: g.asserts}, Date: g.date, Facts: g.facts(),
		})
	}
	var buf bytes.Buffer
	if _, err := dataset.Build(ctx, &buf, cfg); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func open(t testing.TB, feeds ...given) *dataset.Dataset {
	t.Helper()
	d, err := dataset.OpenData(compile(t, feeds...))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func lookup(t testing.TB, s ipwarden.Source, addr string) ipwarden.Record {
	t.Helper()
	r, err := s.Lookup(ctx, netip.MustParseAddr(addr))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// random feeds: nested and touching prefixes, single addresses and ranges,
// crowded into a few blocks so that everything meets everything.
func randomFeeds(rng *rand.Rand) []given {
	countries := []string{"SE", "US", "DE", "JP"}
	place := func() string {
		if rng.IntN(2) == 0 {
			a := netip.AddrFrom4([4]byte{byte(20 + rng.IntN(2)), byte(rng.IntN(3)), byte(rng.IntN(256)), byte(rng.IntN(256))})
			switch rng.IntN(4) {
			case 0:
				return a.String()
			case 1:
				b := a.As4()
				b[3] |= byte(rng.IntN(256))
				b[2] |= byte(rng.IntN(4))
				return a.String() + " - " + netip.AddrFrom4(b).String()
			}
			return netip.PrefixFrom(a, 8+rng.IntN(25)).Masked().String()
		}
		var b [16]byte
		b[0], b[1] = 0x2a, byte(rng.IntN(2))
		for i := 2; i < 16; i++ {
			if rng.IntN(3) == 0 {
				b[i] = byte(rng.IntN(256))
			}
		}
		return netip.PrefixFrom(netip.AddrFrom16(b), 20+rng.IntN(109)).Masked().String()
	}
	rows := func(n int, make func(i int) feed.Fact) (out []feed.Fact) {
		seen := map[string]bool{} // what wins on the very same prefix is another test's matter
		for i := range n {
			p := place()
			if f := at(p, make(i)); !seen[f.From.String()+f.To.String()] {
				seen[f.From.String()+f.To.String()] = true
				out = append(out, f)
			}
		}
		return out
	}
	return []given{
		{
			"low", day("2026-01-01"),
			feed.Asserts{Fields: []string{"location.country_code", "asn.number"}, Trust: 20},
			rows(300, func(int) feed.Fact {
				return feed.Fact{Country: countries[rng.IntN(4)], Origin: uint32(1 + rng.IntN(5))}
			}),
		},
		{
			"high", day("2026-01-02"),
			feed.Asserts{Fields: []string{"location.country_code"}, Trust: 60},
			rows(200, func(int) feed.Fact { return feed.Fact{Country: countries[rng.IntN(4)]} }),
		},
		{
			"vpns", day("2026-01-03"),
			feed.Asserts{Traits: []string{"vpn"}, Trust: 50},
			rows(100, func(int) feed.Fact { return feed.Fact{} }),
		},
		{
			"bad", day("2026-01-04"),
			feed.Asserts{Traits: []string{"abuser"}, Listing: "abuser", Trust: 50},
			rows(100, func(int) feed.Fact { return feed.Fact{} }),
		},
		{
			"good", day("2026-01-05"),
			feed.Asserts{Denies: []string{"abuser"}, DeniesListings: true, Trust: 50},
			rows(60, func(int) feed.Fact { return feed.Fact{Denied: ipwarden.Abuser} }),
		},
	}
}

// oracle answers slowly and obviously: of each feed, the row that begins last
// among those that hold the address (the shortest of those that begin together).
func oracle(feeds []given, a netip.Addr) (country string, origin uint32, traits ipwarden.Traits, listed bool) {
	row := func(g *given) *feed.Fact {
		var best *feed.Fact
		for i := range g.rows {
			f := &g.rows[i]
			if f.From.BitLen() != a.BitLen() || a.Less(f.From) || f.To.Less(a) || tooWide(g, f) {
				continue
			}
			if best == nil || best.From.Less(f.From) || best.From == f.From && f.To.Less(best.To) {
				best = f
			}
		}
		return best
	}
	if f := row(&feeds[1]); f != nil {
		country = f.Country
	}
	if f := row(&feeds[0]); f != nil {
		if country == "" {
			country = f.Country
		}
		origin = f.Origin
	}
	if row(&feeds[2]) != nil {
		traits |= ipwarden.VPN
	}
	if row(&feeds[3]) != nil && row(&feeds[4]) == nil {
		traits |= ipwarden.Abuser
		listed = true
	}
	return country, origin, traits, listed
}

func tooWide(g *given, f *feed.Fact) bool {
	return len(g.asserts.Traits)+len(g.asserts.Denies) > 0 && f.From.Is6() && f.Bits < 19
}

// overlapping ranges are resolved by where they begin; nested ones as usual.
func TestAnswersAreTheOracles(t *testing.T) {
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 1))
		feeds := randomFeeds(rng)
		d := open(t, feeds...)
		var addrs []netip.Addr
		for _, g := range feeds {
			for _, f := range g.rows {
				addrs = append(addrs, f.From, f.To, f.From.Prev(), f.To.Next())
			}
		}
		for range 3000 {
			addrs = append(addrs, netip.AddrFrom4([4]byte{byte(20 + rng.IntN(2)), byte(rng.IntN(3)), byte(rng.IntN(256)), byte(rng.IntN(256))}))
		}
		for _, a := range addrs {
			if !a.IsValid() {
				continue
			}
			if c, tr := ipwarden.Canonical(a); tr != ipwarden.NotWrapped {
				a = c
			}
			country, origin, traits, listed := oracle(feeds, a)
			r := lookup(t, d, a.String())
			if r.CountryCode() != country || r.ASNumber() != origin || r.Traits() != traits || (len(r.Security().Listings) == 1) != listed {
				t.Fatalf("seed %d: %s: got %q AS%d %v %v, want %q AS%d %v %v", seed, a, r.CountryCode(), r.ASNumber(), r.Traits().Names(),
					r.Security().Listings, country, origin, traits.Names(), listed)
			}
			checkNetwork(t, d, r)
		}
	}
}

// checkNetwork makes sure that an answer's network is one answer, and the
// largest prefix that is.
func checkNetwork(t *testing.T, d *dataset.Dataset, r ipwarden.Record) {
	t.Helper()
	n := r.Network()
	if !n.Contains(r.Addr()) {
		t.Fatalf("%s is not in its network %s", r.Addr(), n)
	}
	var inside int
	for range d.Networks(n) {
		inside++
	}
	if inside != 1 {
		t.Fatalf("the network %s of %s holds %d answers", n, r.Addr(), inside)
	}
	if n.Bits() == 0 {
		return
	}
	wider, _ := n.Addr().Prefix(n.Bits() - 1)
	inside = 0
	for range d.Networks(wider) {
		inside++
	}
	if inside < 2 {
		t.Fatalf("the network of %s could be %s and is %s", r.Addr(), wider, n)
	}
}

func TestNetworksTileThePrefix(t *testing.T) {
	d := open(t, randomFeeds(rand.New(rand.NewPCG(7, 7)))...)
	for _, within := range []string{"0.0.0.0/0", "20.0.0.0/7", "20.1.7.0/24", "20.1.7.9/32", "::/0", "2a00::/15", "2a01:5::/40"} {
		p := netip.MustParsePrefix(within)
		next := p.Addr()
		for n, r := range d.Networks(p) {
			if n.Addr() != next || n != n.Masked() {
				t.Fatalf("%s: %s does not begin at %s", within, n, next)
			}
			if r.Addr() != n.Addr() {
				t.Fatalf("%s: the record is of %s", n, r.Addr())
			}
			b := n.Addr().AsSlice()
			for i := n.Bits(); i < len(b)*8; i++ {
				b[i/8] |= 0x80 >> (i % 8)
			}
			last, _ := netip.AddrFromSlice(b)
			next = last.Next()
		}
		if want := lastOf(p).Next(); next != want {
			t.Errorf("%s: the networks end before %s, not %s", within, next, want)
		}
	}
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func TestBatchAndFlatAgree(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	feeds := randomFeeds(rng)
	d, flat := open(t, feeds...), open(t, feeds...)
	if err := flat.BuildFlat(); err != nil {
		t.Fatal(err)
	}
	var addrs []netip.Addr
	for i := range 5000 {
		b := [4]byte{byte(20 + rng.IntN(2)), byte(rng.IntN(4)), byte(rng.IntN(256)), byte(rng.IntN(256))}
		a := netip.AddrFrom4(b)
		if i%97 == 0 {
			a = netip.AddrFrom16(a.As16()) // mapped
		}
		if i%191 == 0 {
			a = netip.MustParseAddr("2a00::1")
		}
		addrs = append(addrs, a)
	}
	addrs[17] = netip.Addr{}
	for _, set := range []*dataset.Dataset{d, flat} {
		got := make([]ipwarden.Record, len(addrs))
		set.LookupBatch(got, addrs)
		for i, a := range addrs {
			if !a.IsValid() {
				if got[i] != (ipwarden.Record{}) {
					t.Error("an invalid address has an answer")
				}
				continue
			}
			one := lookup(t, d, a.String())
			if got[i].Network() != one.Network() || got[i].ASNumber() != one.ASNumber() || got[i].Traits() != one.Traits() ||
				got[i].CountryCode() != one.CountryCode() || got[i].Addr() != one.Addr() || got[i].Transition() != one.Transition() {
				t.Fatalf("%s: %v and %v", a, got[i].Full(), one.Full())
			}
			if alone := lookup(t, set, a.String()); alone.Hot() != one.Hot() || alone.Network() != one.Network() {
				t.Fatalf("%s, alone: %v and %v", a, alone.Full(), one.Full())
			}
		}
	}
	if !flat.Flat() || d.Flat() {
		t.Error("which one is flat?")
	}
}

func TestSameInputsSameBytes(t *testing.T) {
	feeds := randomFeeds(rand.New(rand.NewPCG(5, 5)))
	first := compile(t, feeds...)
	if !bytes.Equal(first, compile(t, feeds...)) {
		t.Fatal("two builds differ")
	}
	for _, g := range feeds { // the order of rows is not part of the input
		slices.Reverse(g.rows)
	}
	a, err := dataset.OpenData(compile(t, feeds...))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := dataset.OpenData(first)
	if d := dataset.Diff(a, b); len(d.IPv4.Changed)+len(d.IPv6.Changed) != 0 {
		t.Errorf("the order of rows changed answers: %+v", d.IPv4.Changed)
	}
}

func TestLookupDoesNotAllocate(t *testing.T) {
	d := open(t, randomFeeds(rand.New(rand.NewPCG(9, 9)))...)
	addrs := []netip.Addr{netip.MustParseAddr("20.1.2.3"), netip.MustParseAddr("2a00::1"), netip.MustParseAddr("::ffff:20.0.1.1"), netip.MustParseAddr("fe80::1%eth0")}
	var recs [4]ipwarden.Record
	view := ipwarden.NewView(day("2026-02-01"))
	buf := make([]byte, 0, 4096)
	n := testing.AllocsPerRun(200, func() {
		for _, a := range addrs {
			r, _ := d.Lookup(ctx, a)
			_, _, _ = r.CountryCode(), r.ASNumber(), r.Traits()
			_, _, _ = r.Location(), r.ASN(), r.Security()
			_ = r.Network()
			buf = view.AppendJSON(buf[:0], r)
		}
		d.LookupBatch(recs[:], addrs)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestTransitionFormsAreOneAddress(t *testing.T) {
	d := open(t, given{
		"x", day("2026-01-01"),
		feed.Asserts{Fields: []string{"location.country_code"}, Trust: 1},
		[]feed.Fact{at("203.0.112.0/24", feed.Fact{Country: "SE"})},
	})
	for _, c := range []struct {
		ask  string
		how  ipwarden.Transition
		zone bool
	}{
		{"203.0.112.66", ipwarden.NotWrapped, false},
		{"::ffff:203.0.112.66", ipwarden.Mapped, false},
		{"::ffff:203.0.112.66%eth0", ipwarden.Mapped, true},
		{"64:ff9b::cb00:7042", ipwarden.NAT64, false},
		{"2002:cb00:7042:ffff::9", ipwarden.SixToFour, false},
		{"2001:0:4136:e378:8000:63bf:34ff:8fbd", ipwarden.Teredo, false},
	} {
		r := lookup(t, d, c.ask)
		if r.Addr() != netip.MustParseAddr("203.0.112.66") || r.Transition() != c.how || r.Zone() != c.zone || r.CountryCode() != "SE" {
			t.Errorf("%s: %s %s %v %q", c.ask, r.Addr(), r.Transition(), r.Zone(), r.CountryCode())
		}
	}
	if _, err := d.Lookup(ctx, netip.Addr{}); err != dataset.ErrInvalidAddr {
		t.Errorf("the zero address: %v", err)
	}
}

func TestSpecialPurposeSpaceIsNobodys(t *testing.T) {
	d := open(t,
		given{"iana", day("2026-01-01"), feed.Asserts{Fields: []string{"security.is_bogon"}, Trust: 99}, []feed.Fact{
			at("10.0.0.0/8", feed.Fact{Traits: ipwarden.Bogon, Name: "Private-Use", RFC: "RFC1918"}),
			at("192.0.0.0/24", feed.Fact{Traits: ipwarden.Bogon, Name: "IETF Protocol Assignments", RFC: "RFC6890"}),
			at("192.0.0.9/32", feed.Fact{Denied: ipwarden.Bogon}),
		}},
		given{"geo", day("2026-01-01"), feed.Asserts{Fields: []string{"location.country_code", "asn.number"}, Trust: 60}, []feed.Fact{
			at("10.0.0.0/8", feed.Fact{Country: "US", Origin: 7}),
		}},
		given{"list", day("2026-01-01"), feed.Asserts{Traits: []string{"attacker"}, Listing: "attacker", Trust: 50}, []feed.Fact{
			at("0.0.0.0/0", feed.Fact{}), at("10.1.0.0/16", feed.Fact{}), at("8.8.8.8", feed.Fact{}), at("224.0.0.1", feed.Fact{}),
		}},
	)
	r := lookup(t, d, "10.1.2.3")
	if r.Traits() != ipwarden.Bogon || r.CountryCode() != "" || r.ASNumber() != 0 || len(r.Security().Listings) != 0 {
		t.Errorf("10.1.2.3: %+v", r.Full())
	}
	if b := r.Security().Bogon; b.Name != "Private-Use" || b.RFC != "RFC1918" {
		t.Errorf("10.1.2.3 is %+v", b)
	}
	if r := lookup(t, d, "192.0.0.9"); r.Traits() != 0 {
		t.Errorf("192.0.0.9 is reachable, not %v", r.Traits().Names())
	}
	if r := lookup(t, d, "224.0.0.1"); r.Traits() != ipwarden.Bogon {
		t.Errorf("224.0.0.1: %v", r.Traits().Names())
	}
	if r := lookup(t, d, "8.8.8.8"); r.Traits() != ipwarden.Attacker {
		t.Errorf("8.8.8.8: %v", r.Traits().Names())
	}
	if r := lookup(t, d, "9.9.9.9"); r.Traits() != 0 {
		t.Errorf("0.0.0.0/0 in a list made 9.9.9.9 %v", r.Traits().Names())
	}
	for _, e := range r.Evidence() {
		if e.Field == ipwarden.FieldIsAttacker && (e.Value != "false" || len(e.By) != 0 || len(e.Lost) != 1) {
			t.Errorf("the list's claim on 10.1.0.0/16 should be among the lost: %+v", e)
		}
	}
}

// What is kept of answers' JSON is what would be written anew.
func TestKeptJSONIsTheSame(t *testing.T) {
	feeds := append(randomFeeds(rand.New(rand.NewPCG(8, 8))), tiny()...)
	feeds[5].name, feeds[6].name, feeds[7].name = "five", "six", "seven"
	a, b := open(t, feeds...), open(t, feeds[:3]...)
	rng := rand.New(rand.NewPCG(2, 2))
	for _, list := range []string{"ip,asn", "asn.route", "asn.route,security", "ip,location.country_code,asn.number", "security,dataset", "location,query,network,transition,zone", "location.time_zone.current_time,ip"} {
		fields, err := ipwarden.ParseFields(list)
		if err != nil {
			t.Fatal(err)
		}
		kept := new(ipwarden.Kept)
		for i := range 4000 {
			d := a
			if i/700%2 == 1 { // replaced, and put back
				d = b
			}
			addr := netip.AddrFrom4([4]byte{byte(20 + rng.IntN(2)), byte(rng.IntN(3)), byte(rng.IntN(256)), byte(rng.IntN(256))}).String()
			switch rng.IntN(5) {
			case 0:
				addr = fmt.Sprintf("2a00:%x::%x", rng.IntN(3), rng.IntN(3))
			case 1:
				addr = "::ffff:" + addr + "%z"
			}
			r := lookup(t, d, addr)
			now := day("2026-03-29").Add(time.Duration(i) * time.Minute) // a change of time zones among them
			v := ipwarden.View{Fields: fields, Query: addr, Now: now}
			want := string(v.AppendJSON(nil, r))
			v.Kept = kept
			for range 2 {
				if got := string(v.AppendJSON(nil, r)); got != want {
					t.Fatalf("%s of %s:\n got %s\nwant %s", list, addr, got, want)
				}
			}
		}
	}
}
