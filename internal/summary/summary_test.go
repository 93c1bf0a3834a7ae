package summary

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
)

// who says of every address something that follows from its bytes.
func who(a netip.Addr) ipwarden.Record {
	b := a.As16()
	full := ipwarden.Full{
		Location: ipwarden.Location{CountryCode: []string{"SE", "DE", "US", "SG", ""}[b[14]%5]},
		ASN:      ipwarden.ASN{Number: uint32(64500 + int(b[14])%7), Name: "AS <&> " + fmt.Sprint(b[14]%7), Kind: []string{"isp", "hosting"}[b[14]%7%2]},
	}
	if b[14]%3 == 0 {
		full.Traits = ipwarden.Hosting
		full.Security.Hosting.Name = "Cloud " + fmt.Sprint(b[14]%2)
	}
	if b[14]%11 == 0 {
		full.Traits |= ipwarden.Tor | ipwarden.Attacker
	}
	return ipwarden.NewRecord(a, full)
}

func count(t testing.TB, addrs []netip.Addr) *Counter {
	t.Helper()
	c := NewCounter()
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			add := c.Each()
			for j := i; j < len(addrs); j += 3 {
				add(who(addrs[j]))
			}
		})
	}
	wg.Wait()
	return c
}

// randomAddrs draws n addresses of which a few come often.
func randomAddrs(n, of int) []netip.Addr {
	r := rand.New(rand.NewPCG(3, 4))
	addrs := make([]netip.Addr, n)
	for i := range addrs {
		v := uint32(float64(of) * math.Pow(r.Float64(), 3))
		a := netip.AddrFrom4([4]byte{20, byte(v >> 16), byte(v >> 8), byte(v)})
		if v%10 == 0 {
			a = netip.AddrFrom16([16]byte{0x20, 1, 0x0d, 0xb9, 0, byte(v >> 16), 13: byte(v >> 16), 14: byte(v >> 8), 15: byte(v)})
		}
		addrs[i] = a
	}
	return addrs
}

// Below the bounds everything is what maps count.
func TestExact(t *testing.T) {
	addrs := randomAddrs(20_000, 20_000)
	r := count(t, addrs).Report(1000, who)
	type both struct {
		requests uint64
		addrs    map[netip.Addr]uint64
	}
	of := map[string]*both{}
	tally := func(name string, a netip.Addr) {
		b := of[name]
		if b == nil {
			b = &both{addrs: map[netip.Addr]uint64{}}
			of[name] = b
		}
		b.requests++
		b.addrs[a]++
	}
	for _, a := range addrs {
		rec := who(a)
		tally("all", a)
		if a.Is6() {
			tally("ipv6", a)
		}
		if cc := rec.CountryCode(); cc != "" {
			tally("country "+cc, a)
		}
		tally(fmt.Sprint("as ", rec.ASNumber()), a)
		tally("kind "+rec.ASKind(), a)
		for _, n := range rec.Traits().Names() {
			tally("trait "+n, a)
		}
		if rec.Traits() == 0 {
			tally("trait none", a)
		}
		if rec.Traits().Has(ipwarden.Anonymous) {
			tally("trait anonymous", a)
		}
		if rec.Traits().Has(ipwarden.Threat) {
			tally("trait threat", a)
		}
		if n := rec.Security().Hosting.Name; n != "" {
			tally("provider "+n, a)
		}
		bits := 24
		if a.Is6() {
			bits = 48
		}
		tally("network "+netip.PrefixFrom(a, bits).Masked().String(), a)
	}
	seen := 0
	check := func(name string, s Share, addressesToo bool) {
		t.Helper()
		b := of[name]
		if b == nil {
			t.Errorf("%s: there is none", name)
			return
		}
		seen++
		if s.Requests != b.requests || addressesToo && s.Addresses != uint64(len(b.addrs)) {
			t.Errorf("%s: %d requests of %d addresses, want %d of %d", name, s.Requests, s.Addresses, b.requests, len(b.addrs))
		}
		if want := float64(b.requests) / float64(len(addrs)); s.Share != want {
			t.Errorf("%s: a share of %v, want %v", name, s.Share, want)
		}
	}
	check("all", r.All, true)
	check("ipv6", r.IPv6, true)
	for _, x := range r.Countries {
		check("country "+x.Code, x.Share, true)
	}
	for _, x := range r.ASNs {
		check(fmt.Sprint("as ", x.Number), x.Share, true)
	}
	for _, x := range r.Kinds {
		check("kind "+x.Name, x.Share, true)
	}
	for _, x := range r.Traits {
		check("trait "+x.Name, x.Share, true)
	}
	for _, x := range r.Providers {
		check("provider "+x.Name, x.Share, true)
	}
	for _, x := range r.Networks {
		check("network "+x.Network.String(), Share{Requests: x.Requests, Share: x.Share}, false)
	}
	if seen != len(of) {
		t.Errorf("%d groups of %d are there", seen, len(of))
	}
	if !r.Exact || r.Spread != 0 || len(r.Addresses) != 1000 || len(r.notes()) > 0 {
		t.Errorf("exact %v, spread %v, %d addresses", r.Exact, r.Spread, len(r.Addresses))
	}
	for i, x := range r.Addresses {
		if n := of["all"].addrs[x.IP]; n != x.Requests {
			t.Errorf("%v came %d times, not %d", x.IP, n, x.Requests)
		}
		if i > 0 && r.Addresses[i-1].Requests < x.Requests {
			t.Errorf("row %d has fewer than row %d", i-1, i)
		}
	}
}

// Beyond the bounds memory stays, numbers are estimates as good as they say, and no
// frequent address is lost.
func TestBeyondTheBounds(t *testing.T) {
	const n, most = 150_000, 512
	c := newCounter(most)
	add := c.Each()
	often := map[netip.Addr]uint64{}
	total := uint64(0)
	for i := range n {
		a := netip.AddrFrom4([4]byte{byte(20 + i>>24), byte(i >> 16), byte(i >> 8), byte(i)})
		add(who(a))
		total++
		if i%100 == 0 {
			o := netip.AddrFrom4([4]byte{9, 9, 9, byte(i / 100 % 5)})
			add(who(o))
			often[o]++
			total++
		}
	}
	for i := range c.talkers.shards {
		for _, held := range []table{c.talkers.shards[i].table, c.networks.shards[i].table, c.distinct.shards[i].table} {
			if held.n >= most || len(held.slots) > 2*most {
				t.Fatalf("%d keys in %d slots", held.n, len(held.slots))
			}
		}
	}
	r := c.Report(5, who)
	if r.All.Requests != total {
		t.Errorf("%d requests, want %d", r.All.Requests, total)
	}
	if r.Exact || r.Spread < 0.003 || r.Spread > 0.03 || len(r.notes()) == 0 {
		t.Errorf("exact %v, spread %v, %q", r.Exact, r.Spread, r.notes())
	}
	if off := math.Abs(float64(r.All.Addresses)/(n+5) - 1); off > 10*r.Spread {
		t.Errorf("%d addresses are estimated, there are %d; %.1f times the error that it says", r.All.Addresses, n+5, off/r.Spread)
	}
	for _, x := range r.Addresses {
		if want := often[x.IP]; want == 0 || x.Requests > want || x.Requests+r.Missed.Address < want {
			t.Errorf("%v: %d or up to %d more, want %d", x.IP, x.Requests, r.Missed.Address, want)
		}
	}
	if r.Missed.Address > n/100 {
		t.Errorf("up to %d more says nothing", r.Missed.Address)
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("it is not %s (UPDATE=1 writes it):\n%s", name, got)
	}
}

func report(t *testing.T) *Report {
	t.Helper()
	r := count(t, randomAddrs(2000, 60_000)).Report(4, who)
	r.Made, r.Dataset = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC), "2026-11-20"
	r.Files, r.Where = []string{"a\x1b[31m.log", "b.log", "c.log", "d.log"}, "ip.asn.number > 1"
	r.Rows = Rows{Read: 2100, Malformed: 90, Left: 10}
	return r
}

func TestText(t *testing.T) {
	var out bytes.Buffer
	if err := report(t).WriteText(&out, Style{}); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/report.txt", out.Bytes())
	for line := range strings.Lines(out.String()) {
		if n := len([]rune(line)) - 1; n > 80 && !strings.Contains(line, "answered from") {
			t.Errorf("%d characters: %s", n, line)
		}
	}
}

func TestJSON(t *testing.T) {
	out, err := json.MarshalIndent(report(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/report.json", append(out, '\n'))
	empty, err := json.Marshal(NewCounter().Report(3, who))
	if err != nil || bytes.Contains(empty, []byte("null")) {
		t.Errorf("%s, %v", empty, err)
	}
}

// The page has what the text has, asks nobody for anything, and lets no name out of
// its place.
func TestHTML(t *testing.T) {
	r := report(t)
	r.Title = `</title><script>alert(1)</script>`
	var out bytes.Buffer
	if err := r.WriteHTML(&out); err != nil {
		t.Fatal(err)
	}
	page := out.String()
	for _, never := range []string{"<script", "src=", "href=", "url(", "@import", "ZgotmplZ", "AS <&>"} {
		if strings.Contains(page, never) {
			t.Errorf("the page has %q", never)
		}
	}
	for _, want := range []string{
		"&lt;script&gt;", "AS &lt;&amp;&gt;", `<path class="c5" d="M`, `<circle class="c5" cx="1261" cy="421" r="6"><title>SG: `, "<title>SE: ", "2,000", "90 of 2,100 rows",
		r.Addresses[0].IP.String(), r.Networks[0].Network.String(), "prefers-color-scheme: dark",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	if len(page) > 150_000 {
		t.Errorf("%d bytes", len(page))
	}
	var empty bytes.Buffer
	if err := NewCounter().Report(3, who).WriteHTML(&empty); err != nil {
		t.Error(err)
	}
}

func TestBar(t *testing.T) {
	for share, want := range map[float64]string{0: "", 1e-9: "▏", 0.5: "████", 1: "████████", 0.25: "██", 0.2: "█▋"} {
		if got := bar(share, 8); got != want {
			t.Errorf("%v: %q, want %q", share, got, want)
		}
	}
	if got := []string{group3(0), group3(999), group3(1000), group3(1234567)}; !slices.Equal(got, []string{"0", "999", "1,000", "1,234,567"}) {
		t.Error(got)
	}
}

func BenchmarkAdd(b *testing.B) {
	addrs := randomAddrs(1<<16, 30_000)
	records := make([]ipwarden.Record, len(addrs))
	for i, a := range addrs {
		records[i] = who(a)
	}
	add := NewCounter().Each()
	for i := 0; b.Loop(); i++ {
		add(records[i%len(records)])
	}
}
