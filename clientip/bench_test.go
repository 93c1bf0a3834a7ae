package clientip_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"unsafe"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/clientip"
)

// typical is what a browser sends through one proxy.
func typical(more ...string) http.Header {
	return lines(append([]string{
		"Accept: text/html", "Accept-Language: sv", "Accept-Encoding: gzip", "Cookie: a=b", "Referer: https://example.org/",
		"User-Agent: Mozilla/5.0", "X-Forwarded-Proto: https", "Cache-Control: no-cache",
	}, more...)...)
}

func cdn() (all []netip.Prefix) {
	for i := range 150 { // as many as a CDN has
		all = append(all, netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(20 + i), byte(i * 7), 0, 0}), 20),
			netip.PrefixFrom(netip.AddrFrom16([16]byte{0x26, byte(i), 0x47}), 40))
	}
	return all
}

var cases = map[string]struct {
	trusted []netip.Prefix
	source  string
	peer    string
	header  http.Header
}{
	"direct":        {prefixes("10.0.0.0/8"), "", attacker, typical()},
	"one proxy":     {prefixes("10.0.0.0/8"), "", proxy, typical("X-Forwarded-For: " + attacker)},
	"two proxies":   {prefixes("10.0.0.0/8"), "", proxy, typical("X-Forwarded-For: 2001:db8:1:2::7, 10.0.0.9")},
	"a CDN":         {cdn(), "CF-Connecting-IP", "120.188.1.1", typical("CF-Connecting-IP: 2001:db8:1:2::7")},
	"RFC 7239":      {prefixes("10.0.0.0/8"), "Forwarded", proxy, typical(`Forwarded: for="[2001:db8:1:2::7]:4711";proto=https;by=10.0.0.5`)},
	"64 KB":         {prefixes("10.0.0.0/8"), "", proxy, typical("X-Forwarded-For: " + strings.Repeat("10.0.0.9,", 7000) + "10.0.0.9")},
	"64 KB of junk": {prefixes("10.0.0.0/8"), "Forwarded", proxy, typical("Forwarded: " + strings.Repeat(`"`, 1<<16))},
}

func TestFromDoesNotAllocate(t *testing.T) {
	for name, c := range cases {
		x := extractor(t, clientip.Config{Trusted: c.trusted, Header: c.source})
		peer := netip.MustParseAddr(c.peer)
		var h ipwarden.Header = c.header
		if n := testing.AllocsPerRun(100, func() { x.From(peer, h) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	x := extractor(t, clientip.Config{})
	junk := []string{"2001:db8::1%a-zone", "junk", "203.0.113.066", "[::1", "X-Real_IP", "X-Ipwarden-Risk", "Accept"}
	for _, v := range junk {
		var h ipwarden.Header = lines("X-Forwarded-For: " + v)
		y := extractor(t, clientip.Config{TrustPeer: true})
		if n := testing.AllocsPerRun(100, func() { y.From(netip.Addr{}, h); x.Removes(v) }); n != 0 {
			t.Errorf("%q: %v allocations", v, n)
		}
	}
	if size := unsafe.Sizeof(clientip.Client{}); size > 64 {
		t.Errorf("a Client has %d bytes", size)
	}
}

func BenchmarkFrom(b *testing.B) {
	for name, c := range cases {
		b.Run(strings.ReplaceAll(name, " ", "_"), func(b *testing.B) {
			x := extractor(b, clientip.Config{Trusted: c.trusted, Header: c.source})
			peer := netip.MustParseAddr(c.peer)
			var h ipwarden.Header = c.header
			b.ReportAllocs()
			for b.Loop() {
				x.From(peer, h)
			}
		})
	}
}

func BenchmarkRemoves(b *testing.B) {
	x := extractor(b, clientip.Config{})
	h := typical("X-Forwarded-For: " + attacker)
	b.ReportAllocs()
	for b.Loop() {
		for name := range h {
			x.Removes(name)
		}
	}
}

// BenchmarkTrusts asks a set of 300 networks.
func BenchmarkTrusts(b *testing.B) {
	x := extractor(b, clientip.Config{Trusted: cdn()})
	for name, peer := range map[string]string{"IPv4": "120.188.1.1", "IPv6": "2640:4700::1", "IPv4_other": attacker} {
		b.Run(name, func(b *testing.B) {
			a := netip.MustParseAddr(peer)
			b.ReportAllocs()
			for b.Loop() {
				x.Trusts(a)
			}
		})
	}
}
