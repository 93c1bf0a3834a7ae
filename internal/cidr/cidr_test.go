package cidr

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// The oracle is a small world: the first and the last 256 addresses of each
// family, as a set with an entry for each of them.
type place struct {
	four, top bool
	n         uint8
}

func (p place) number() number {
	switch {
	case !p.top:
		return number{0, uint64(p.n)}
	case p.four:
		return number{0, 0xffffff00 | uint64(p.n)}
	}
	return number{^uint64(0), ^uint64(0xff) | uint64(p.n)}
}

func randomRange(r *rand.Rand) (Range, []place) {
	p := place{four: r.IntN(2) == 0, top: r.IntN(2) == 0}
	from := r.IntN(256)
	to := min(255, from+r.IntN(1<<r.IntN(8)))
	var all []place
	for n := from; n <= to; n++ {
		all = append(all, place{p.four, p.top, uint8(n)})
	}
	return Range{all[0].number(), all[len(all)-1].number(), p.four}, all
}

// world yields each address of the oracle.
func world() (all []place) {
	for i := range 1024 {
		all = append(all, place{i&256 != 0, i&512 != 0, uint8(i)})
	}
	return all
}

func TestAgainstSlowSets(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 300 {
		var g Aggregator
		var ranges []Range
		slow := map[place]bool{}
		for range r.IntN(40) + 1 {
			x, all := randomRange(r)
			g.Add(x)
			ranges = append(ranges, x)
			for _, p := range all {
				slow[p] = true
			}
		}
		prefixes := slices.Collect(g.Prefixes())
		s := NewSet(ranges)
		for _, p := range world() {
			a := p.number().addr(p.four)
			n := 0
			for _, q := range prefixes {
				if q.Contains(a) {
					n++
				}
			}
			if want := slow[p]; (n == 1) != want || n > 1 {
				t.Fatalf("round %d: %d networks hold %s, want %v", round, n, a, want)
			}
			if s.Has(a) != slow[p] { // none of these is a wrapping
				t.Fatalf("round %d: Has(%s) is not %v", round, a, slow[p])
			}
		}
		// They are the fewest: no two are halves of one, and none is in another.
		for i, p := range prefixes {
			if p != p.Masked() || i > 0 && p.Bits() > 0 && prefixes[i-1].Bits() == p.Bits() &&
				netip.PrefixFrom(p.Addr(), p.Bits()-1).Masked() == netip.PrefixFrom(prefixes[i-1].Addr(), p.Bits()-1).Masked() {
				t.Fatalf("round %d: %v and %v", round, prefixes[i-1], p)
			}
		}
		for range 20 {
			x, all := randomRange(r)
			want := !slices.ContainsFunc(all, func(p place) bool { return !slow[p] })
			if s.Holds(x) != want {
				t.Fatalf("round %d: Holds(%s) is not %v", round, x, want)
			}
			var smallest netip.Prefix
			for _, y := range ranges {
				for q := range y.Prefixes() {
					if q.Contains(x.From()) && q.Contains(x.To()) && (!smallest.IsValid() || q.Bits() > smallest.Bits()) {
						smallest = q
					}
				}
			}
			if got, _ := s.Network(x); got != smallest {
				t.Fatalf("round %d: Network(%s) is %v, want %v", round, x, got, smallest)
			}
		}
	}
}

// What is joined is what a join at the end gives, and takes no more room than
// what is left and leastJoined.
func TestAggregatorMemory(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var g Aggregator
	for range 40 * leastJoined {
		n := number{0, uint64(r.IntN(1000))}
		g.Add(Range{n, n, true})
		g.Add(Range{n, n, false})
	}
	if n := max(cap(g.four), cap(g.six)); n > 2*leastJoined {
		t.Errorf("holds room for %d ranges", n)
	}
	for x := range g.Ranges() {
		if x.from != (number{}) || x.to != (number{0, 999}) {
			t.Errorf("got %s", x)
		}
	}
}

func text(seq func(func(netip.Prefix) bool)) string {
	var all []string
	for p := range seq {
		all = append(all, p.String())
	}
	return strings.Join(all, " ")
}

func TestPrefixesOfRanges(t *testing.T) {
	for in, want := range map[string]string{
		"0.0.0.0-255.255.255.255":                        "0.0.0.0/0",
		"255.255.255.255":                                "255.255.255.255/32",
		"10.0.0.1-10.0.0.6":                              "10.0.0.1/32 10.0.0.2/31 10.0.0.4/31 10.0.0.6/32",
		"10.0.0.0 - 10.0.0.255":                          "10.0.0.0/24",
		"::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff":     "::/0",
		"8000::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff": "8000::/1",
		"::ffff:1.2.3.0/120":                             "1.2.3.0/24",
		"fe80::1%eth-0":                                  "fe80::1/128",
	} {
		r, err := Parse(in, false)
		if err != nil {
			t.Error(err)
		} else if got := text(r.Prefixes()); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestMistakes(t *testing.T) {
	for in, want := range map[string]string{
		"10.0.0.1/8":               `"10.0.0.1/8" has bits set beyond its prefix; the network is 10.0.0.0/8, and --mask takes it for that`,
		"10.0.0.0/33":              `"10.0.0.0/33" is no network; write 203.0.113.0/24 or 2001:db8::/32`,
		"::ffff:0:0/95":            `"::ffff:0:0/95" begins at an IPv4 address inside IPv6 and goes beyond them; write the IPv4 network`,
		"10.0.0.9-10.0.0.1":        `"10.0.0.9-10.0.0.1" ends before it begins; the other way round it is 10.0.0.1-10.0.0.9`,
		"10.0.0.9-2001:db8::":      `"10.0.0.9-2001:db8::" begins in one family and ends in the other; write 10.0.0.1-10.0.0.9 or 2001:db8::1-2001:db8::9`,
		"010.0.0.1":                `"010.0.0.1" is not an IPv4 address in four plain decimal parts or an IPv6 address; write 8.8.8.8 or 2001:4860:4860::8888`,
		"1.1.1.1:53":               `"1.1.1.1:53" carries a port or brackets, give the address alone; write 8.8.8.8 or 2001:4860:4860::8888`,
		"10.0.0.1-x":               `"10.0.0.1-x" is no range such as 10.0.0.1-10.0.0.9: "x" is not an IPv4 address in four plain decimal parts or an IPv6 address; write 8.8.8.8 or 2001:4860:4860::8888`,
		"1.2.3.4 5.6.7.8":          `"1.2.3.4 5.6.7.8" is more than an address, a network or a range; keep the column that has them, as with cut -f1`,
		strings.Repeat("9", 1<<20): `"` + strings.Repeat("9", 80) + `…" is longer than any address; write 8.8.8.8 or 2001:4860:4860::8888`,
	} {
		if _, _, _, err := ParseLine([]byte(in), false); err == nil || err.Error() != want {
			t.Errorf("%.40s: got %v\nwant %s", in, err, want)
		}
	}
	if r, err := Parse("10.0.0.1/8", true); err != nil || text(r.Prefixes()) != "10.0.0.0/8" {
		t.Errorf("masked: got %v, %v", r, err)
	}
}

func TestWrapped(t *testing.T) {
	s := NewSet([]Range{Of(netip.MustParsePrefix("8.8.8.0/24")), Of(netip.MustParsePrefix("2002::/17"))})
	for in, want := range map[string]bool{
		"8.8.8.8": true, "::ffff:8.8.8.8": true, "64:ff9b::808:808": true, "2002:808:808::1": true, "2002:101:101::1": true,
		"2002:f01:101::1": true, "2002:8001:101::1": false, "64:ff9b::101:101": false, "8.8.9.8": false,
	} {
		if got := s.Has(netip.MustParseAddr(in)); got != want {
			t.Errorf("%s: got %v", in, got)
		}
	}
}

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		network string
		length  int
		want    string
	}{
		{"10.0.0.0/30", 31, "10.0.0.0/31 10.0.0.2/31"},
		{"10.0.0.0/30", 30, "10.0.0.0/30"},
		{"10.0.0.0/30", 29, ""},
		{"10.0.0.0/30", 33, ""},
		{"::/0", 1, "::/1 8000::/1"},
		{"255.255.255.254/31", 32, "255.255.255.254/32 255.255.255.255/32"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127", 128, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/128 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"},
	} {
		if got := text(Split(netip.MustParsePrefix(c.network), c.length)); got != c.want {
			t.Errorf("%s into /%d: got %s", c.network, c.length, got)
		}
	}
}

func TestParts(t *testing.T) {
	p := netip.MustParsePrefix("192.0.2.0/28")
	for n := uint64(1); n <= 16; n++ {
		seq, ok := Parts(p, n)
		all := slices.Collect(seq)
		var g Aggregator
		least, most := 32, 0
		for _, q := range all {
			g.Add(Of(q))
			least, most = min(least, q.Bits()), max(most, q.Bits())
		}
		if !ok || uint64(len(all)) != n || text(g.Prefixes()) != p.String() || most-least > 1 {
			t.Errorf("%d parts: %v, %v", n, all, ok)
		}
	}
	for _, n := range []uint64{0, 17, 1 << 63, ^uint64(0)} {
		if _, ok := Parts(p, n); ok {
			t.Errorf("%d parts of 16 addresses", n)
		}
	}
	if _, ok := Parts(netip.MustParsePrefix("::/0"), ^uint64(0)); !ok {
		t.Error("IPv6 has room for any number of parts")
	}
}

// Each address comes as often as any other, whichever ranges overlap: the sum
// of the squares of what is too many or too few is about that of chance.
func TestPoolIsUniform(t *testing.T) {
	r := []Range{
		Of(netip.MustParsePrefix("10.0.0.0/30")), Of(netip.MustParsePrefix("10.0.0.0/29")), Of(netip.MustParsePrefix("10.9.0.1/32")),
		Of(netip.MustParsePrefix("2001:db8::/127")),
	}
	p, err := NewPool(r, rand.NewPCG(5, 6), false)
	if err != nil {
		t.Fatal(err)
	}
	const each, addrs = 10_000, 11
	seen := map[netip.Addr]int{}
	for range each * addrs {
		a, _ := p.Next()
		seen[a]++
	}
	sum := 0.0
	for a, n := range seen {
		if !slices.ContainsFunc(r, func(r Range) bool { return !numberOf(a).less(r.from) && !r.to.less(numberOf(a)) && a.Is4() == r.four }) {
			t.Errorf("%s is from nowhere", a)
		}
		sum += float64((n-each)*(n-each)) / each
	}
	if len(seen) != addrs || sum > 35 { // chi-squared of 10 degrees: 1 in 8,000, and the seed is fixed
		t.Errorf("%v: %f", seen, sum)
	}
}

func TestPoolUnique(t *testing.T) {
	p, err := NewPool([]Range{Of(netip.MustParsePrefix("10.0.0.0/24")), Of(netip.MustParsePrefix("10.0.0.128/25"))}, rand.NewPCG(7, 8), true)
	if err != nil || p.Fewer(256) || !p.Fewer(257) || p.Fewer(0) {
		t.Fatal(err)
	}
	seen := map[netip.Addr]bool{}
	ordered := true
	var before netip.Addr
	for a, ok := p.Next(); ok; a, ok = p.Next() {
		ordered = ordered && before.Less(a)
		before, seen[a] = a, true
	}
	if len(seen) != 256 || ordered || len(p.drawn) != 0 {
		t.Errorf("%d addresses, in order: %v, %d kept", len(seen), ordered, len(p.drawn))
	}
}

func TestPoolLimits(t *testing.T) {
	all6, all4 := Of(netip.MustParsePrefix("::/0")), Of(netip.MustParsePrefix("0.0.0.0/0"))
	for _, c := range []struct {
		ranges []Range
		ok     bool
	}{{nil, false}, {[]Range{all4, all6}, false}, {[]Range{all6}, true}, {[]Range{all4, Of(netip.MustParsePrefix("8000::/1"))}, true}} {
		p, err := NewPool(c.ranges, rand.NewPCG(1, 1), false)
		if (err == nil) != c.ok {
			t.Errorf("%v: %v", c.ranges, err)
		}
		if err == nil {
			if a, ok := p.Next(); !ok || !a.IsValid() || p.Fewer(^uint64(0)) && len(c.ranges) > 1 {
				t.Errorf("%v: %v", c.ranges, a)
			}
		}
	}
}

func FuzzParseLine(f *testing.F) {
	for _, s := range []string{
		"8.8.8.8", "10.0.0.0/8 # ten", "10.0.0.1-10.0.0.9", "10.0.0.1 - 10.0.0.9;x", "2001:db8::/32", "::ffff:1.2.3.4", "fe80::1%e-0",
		"::-::", "1.2.3.4/32-1", "0/0", "::/0", "::ffff:0:0/96", "\t\r", "1.2.3.4,5",
	} {
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, line []byte, mask bool) {
		r, item, ok, err := ParseLine(line, mask)
		if !ok || err != nil {
			return
		}
		if r.to.less(r.from) || len(item) == 0 {
			t.Fatalf("%q: %s", line, r)
		}
		// What is written is read again, and its networks are the range.
		again, err := Parse(r.String(), false)
		if err != nil || again != r {
			t.Fatalf("%q: %s, then %s: %v", line, r, again, err)
		}
		var g Aggregator
		n := 0
		for p := range r.Prefixes() {
			g.Add(Of(p))
			n++
		}
		for x := range g.Ranges() {
			if x != r || n > 254 {
				t.Fatalf("%q: %s in %d networks became %s", line, r, n, x)
			}
		}
	})
}

func BenchmarkAggregate(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	lines := make([][]byte, 1_000_000)
	for i := range lines {
		lines[i] = []byte(number{0, uint64(r.Uint32())}.addr(true).String())
	}
	for b.Loop() {
		var g Aggregator
		for _, line := range lines {
			x, _, _, _ := ParseLine(line, false)
			g.Add(x)
		}
		for range g.Prefixes() {
		}
	}
	b.ReportMetric(float64(b.N*len(lines))/b.Elapsed().Seconds(), "lines/s")
}
