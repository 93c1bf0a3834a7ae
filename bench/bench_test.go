package main

import (
	"bytes"
	"fmt"
	"iter"
	"math"
	"math/rand"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/feed"
)

// facts makes rows of "prefix or from-to, country, AS".
func facts(t *testing.T, rows ...feed.Fact) iter.Seq2[*feed.Fact, error] {
	t.Helper()
	return func(yield func(*feed.Fact, error) bool) {
		for i := range rows {
			if !yield(&rows[i], nil) {
				return
			}
		}
	}
}

func network(prefix, country string, as uint32) (f feed.Fact) {
	f.SetPrefix(netip.MustParsePrefix(prefix))
	f.Country, f.Origin = country, as
	return f
}

func marked(f feed.Fact, t ipwarden.Traits) feed.Fact {
	f.Traits = t
	return f
}

func countryRange(t *testing.T, from, to, country string) (f feed.Fact) {
	t.Helper()
	if err := f.SetRange(netip.MustParseAddr(from), netip.MustParseAddr(to)); err != nil {
		t.Fatal(err)
	}
	f.Country = country
	return f
}

func TestOverlay(t *testing.T) {
	networks := facts(t,
		network("192.0.2.0/24", "SE", 64500),
		network("192.0.2.128/25", "", 64501), // more specific, and says nothing of a country
		network("255.255.255.0/24", "NO", 64502),
		network("2001:db8::/32", "FI", 64503),
		feed.Fact{AS: 64500, ASName: "EXAMPLE"},
		marked(network("198.51.100.0/24", "SE", 64500), ipwarden.Anycast|ipwarden.Attacker),
	)
	countries := facts(t, countryRange(t, "192.0.2.64", "192.0.2.191", "DK"), countryRange(t, "2001:db8:1::", "2001:db8:1:ffff:ffff:ffff:ffff:ffff", "IS"))
	got, err := overlay(networks, countries, func(string) string { return "EU" })
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := writeRanges(&b, got); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"192.0.2.0,192.0.2.63,SE,64500,0",
		"192.0.2.64,192.0.2.127,DK,64500,0",
		"192.0.2.128,192.0.2.191,DK,64501,0",
		"192.0.2.192,192.0.2.255,,64501,0",
		fmt.Sprintf("198.51.100.0,198.51.100.255,SE,64500,%d", ipwarden.Anycast),
		"255.255.255.0,255.255.255.255,NO,64502,0",
		"2001:db8::,2001:db8:0:ffff:ffff:ffff:ffff:ffff,FI,64503,0",
		"2001:db8:1::,2001:db8:1:ffff:ffff:ffff:ffff:ffff,IS,64503,0",
		"2001:db8:2::,2001:db8:ffff:ffff:ffff:ffff:ffff:ffff,FI,64503,0",
	}, "\n") + "\n"
	if b.String() != want {
		t.Errorf("overlay:\n%swant:\n%s", b.String(), want)
	}
}

func TestOverlayWithContinents(t *testing.T) {
	networks := func() iter.Seq2[*feed.Fact, error] {
		return facts(t, network("192.0.2.0/25", "SE", 64500), network("192.0.2.128/25", "US", 64500))
	}
	europe := countryRange(t, "192.0.2.0", "192.0.2.255", "")
	europe.Continent = "EU"
	continent := func(country string) string { return map[string]string{"SE": "EU", "US": "NA"}[country] }
	got, err := overlay(networks(), facts(t, europe), continent)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Country != "SE" || got[1].Country != "" {
		t.Errorf("a newer feed says Europe, an older one SE and US: %v", got)
	}
}

func TestRangesRoundTrip(t *testing.T) {
	spans := []span{
		{netip.MustParseAddr("192.0.2.0"), netip.MustParseAddr("192.0.2.9"), answer{"SE", 64500, ipwarden.Anycast | ipwarden.Proxy}},
		{netip.MustParseAddr("2001:db8::"), netip.MustParseAddr("2001:db8::ff"), answer{"", 4294967295, 0}},
	}
	name := filepath.Join(t.TempDir(), "ranges.csv")
	var b bytes.Buffer
	if err := writeRanges(&b, spans); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readRanges(name)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, spans) {
		t.Errorf("read %v, wrote %v", got, spans)
	}
	if err := os.WriteFile(name, []byte("192.0.2.0,192.0.2.9,SE\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readRanges(name); err == nil || !strings.Contains(err.Error(), "ranges.csv:1:") {
		t.Errorf("a short line gives the error %v, want its place", err)
	}
}

func TestPrefixesMakeUpTheRange(t *testing.T) {
	for _, tt := range []struct{ from, to, want string }{
		{"0.0.0.0", "255.255.255.255", "0.0.0.0/0"},
		{"192.0.2.1", "192.0.2.1", "192.0.2.1/32"},
		{"192.0.2.1", "192.0.2.6", "192.0.2.1/32 192.0.2.2/31 192.0.2.4/31 192.0.2.6/32"},
		{"255.255.255.254", "255.255.255.255", "255.255.255.254/31"},
		{"::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/0"},
		{"2001:db8::", "2001:db8:0:ffff:ffff:ffff:ffff:ffff", "2001:db8::/48"},
	} {
		var got []string
		for _, p := range prefixes(netip.MustParseAddr(tt.from), netip.MustParseAddr(tt.to)) {
			got = append(got, p.String())
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s..%s is %s, want %s", tt.from, tt.to, s, tt.want)
		}
	}
}

func TestNetworkAddrsLieInside(t *testing.T) {
	spans := []span{
		{netip.MustParseAddr("192.0.2.3"), netip.MustParseAddr("192.0.2.77"), answer{AS: 1}},
		{netip.MustParseAddr("198.51.100.0"), netip.MustParseAddr("198.51.100.255"), answer{Country: "SE"}}, // announced by nobody
	}
	seen := map[netip.Addr]bool{}
	for _, a := range networkAddrs(rand.New(rand.NewSource(1)), spans, 1000) {
		if a.Less(spans[0].from) || spans[0].to.Less(a) {
			t.Fatalf("%s is outside of %s..%s", a, spans[0].from, spans[0].to)
		}
		seen[a] = true
	}
	if len(seen) != 75 {
		t.Errorf("%d of 75 addresses occur", len(seen))
	}
}

func TestStats(t *testing.T) {
	if m := (stats{3, 1, 2}).median(); m != 2 {
		t.Errorf("median %v, want 2", m)
	}
	if m := (stats{4, 1, 2, 3}).median(); m != 2.5 {
		t.Errorf("median %v, want 2.5", m)
	}
	if m := (stats{}).median(); !math.IsNaN(m) {
		t.Errorf("median of nothing %v, want NaN", m)
	}
	// A round that was slow for both says nothing about either.
	if r := (stats{10, 30, 10}).ratio(stats{20, 60, 20}); r.min() != 0.5 || r.max() != 0.5 {
		t.Errorf("ratios %v, want 0.5 each", r)
	}
}

func TestCompare(t *testing.T) {
	addrs := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")}
	want := []answer{{"SE", 1, ipwarden.Anycast}, {"NO", 2, 0}}
	have := []answer{{"SE", 1, 0}, {"DK", 2, ipwarden.Hosting}}
	for _, tt := range []struct {
		kind kind
		want int
	}{
		{kind{country: true}, 1},
		{kind{as: true}, 0},
		{kind{country: true, as: true, traits: true}, 2},
	} {
		if got := compare(&tt.kind, addrs, want, have); len(got) != tt.want {
			t.Errorf("%+v: %d disagreements, want %d", tt.kind, len(got), tt.want)
		}
	}
}

func TestAllocationsFailTheRun(t *testing.T) {
	row := &lookupRow{kind: kind{name: "x"}, allocs: map[string]float64{random4: 0.5}}
	if err := assertAllocs([]*lookupRow{row}); err == nil {
		t.Error("half an allocation a look-up passes for none")
	}
	row.allocs[random4] = 0.00001
	if err := assertAllocs([]*lookupRow{row}); err != nil {
		t.Error(err)
	}
	row.kind.allocs, row.allocs[random4] = -1, 5
	if err := assertAllocs([]*lookupRow{row}); err != nil {
		t.Error(err)
	}
}

func TestVerdict(t *testing.T) {
	v := verdict{bar: bar{row: "a", goal: 60, peer: "b", peerCost: 300}, own: stats{19, 19, 30}, peer: stats{100, 100, 100}}
	if !v.met() {
		t.Errorf("0.19 of the peer does not meet 0.20")
	}
	v.own = stats{21, 21, 10}
	if v.met() {
		t.Errorf("0.21 of the peer meets 0.20")
	}
}

func TestFigures(t *testing.T) {
	for v, want := range map[float64]string{1.234: "1.23", 12.34: "12.3", 123.4: "123", 1234.5: "1,235", 1234567: "1,234,567"} {
		if got := figure(v); got != want {
			t.Errorf("%v is written %s, want %s", v, got, want)
		}
	}
}
