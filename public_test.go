package ipwarden

import (
	"encoding/csv"
	"net/netip"
	"os"
	"strings"
	"testing"
)

// Public agrees with IANA's registries of special-purpose addresses, of which the
// longest block decides.
func TestPublicIsAsIANASays(t *testing.T) {
	var blocks []addressBlock
	for _, name := range []string{"iana-ipv4-special.csv", "iana-ipv6-special.csv"} {
		f, err := os.Open("feed/testdata/good/" + name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		rows, err := csv.NewReader(f).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows[1:] {
			for text := range strings.SplitSeq(row[0], ",") {
				text, _, _ = strings.Cut(strings.TrimSpace(text), " ")
				p, err := netip.ParsePrefix(text)
				if err != nil {
					t.Fatal(err)
				}
				if p.Addr().Is4In6() || p == netip.MustParsePrefix("64:ff9b::/96") || p == netip.MustParsePrefix("2002::/16") || p == netip.MustParsePrefix("2001::/32") {
					continue // the address inside decides
				}
				blocks = append(blocks, addressBlock{p, strings.HasPrefix(row[8], "True")})
			}
		}
	}
	if len(blocks) < 35 {
		t.Fatalf("only %d blocks", len(blocks))
	}
	for _, b := range blocks {
		for _, addr := range []netip.Addr{b.prefix.Addr(), lastOf(b.prefix)} {
			want, bits := b.public, b.prefix.Bits()
			for _, other := range blocks {
				if other.prefix.Contains(addr) && other.prefix.Bits() > bits {
					want, bits = other.public, other.prefix.Bits()
				}
			}
			if got := Public(addr); got != want {
				t.Errorf("Public(%v) = %v, of %v", addr, got, b.prefix)
			}
		}
	}
	for addr, want := range map[string]bool{
		"8.8.8.8": true, "223.255.255.255": true, "224.0.0.0": false, "239.255.255.255": false, "1.0.0.0": true, "2001:200::1": true, "2a00::1": true,
		"3ffe:ffff::1": true, "4000::1": false, "1fff::1": false, "ff02::1": false, "fec0::1": false, "::ffff:192.168.0.1": false, "::ffff:1.1.1.1": true,
		"172.31.0.1": false, "172.32.0.1": true, "100.63.255.255": true, "198.19.0.1": false, "100::1": false, "5f00::1": false, "2001:2::1": false,
		"64:ff9b::10.0.0.1": false, "64:ff9b::8.8.8.8": true, "2002:7f00:1::1": false, "2001:0:4136:e378:8000:63bf:f5ff:fffd": false,
	} {
		if got := Public(netip.MustParseAddr(addr)); got != want {
			t.Errorf("Public(%s) = %v", addr, got)
		}
	}
	if Public(netip.Addr{}) {
		t.Error("no address is public")
	}
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
