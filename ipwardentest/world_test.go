package ipwardentest_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden/ipwardentest"
)

func TestSampleKeepsTheContract(t *testing.T) {
	ipwardentest.TestSource(t, ipwardentest.Sample(),
		netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("185.220.101.4"), netip.MustParseAddr("2001:4860:4860::8888"))
}

func TestNetworks(t *testing.T) {
	w := ipwardentest.NewWorld([]ipwardentest.Row{
		{Prefix: netip.MustParsePrefix("10.0.0.0/8")},
		{Prefix: netip.MustParsePrefix("10.64.0.0/10")},
		{Prefix: netip.MustParsePrefix("192.0.2.0/24")},
	})
	for _, tt := range []struct{ within, want string }{
		{"10.0.0.0/8", "10.0.0.0/10 10.64.0.0/10 10.128.0.0/9"},
		{"10.64.1.0/24", "10.64.1.0/24"},
		{"0.0.0.0/0", "10.0.0.0/10 10.64.0.0/10 10.128.0.0/9 192.0.2.0/24"},
		{"198.51.100.0/24", ""},
	} {
		var got []string
		for p, rec := range w.Networks(netip.MustParsePrefix(tt.within)) {
			got = append(got, p.String())
			if !rec.Network().Contains(p.Addr()) {
				t.Errorf("%s: the answer of %s is that of %s", tt.within, p, rec.Network())
			}
		}
		if g := strings.Join(got, " "); g != tt.want {
			t.Errorf("Networks(%s) = %q, want %q", tt.within, g, tt.want)
		}
	}
}

func TestASPrefixes(t *testing.T) {
	var got []string
	for p := range ipwardentest.Sample().ASPrefixes(15169) {
		got = append(got, p.String())
	}
	if g := strings.Join(got, " "); g != "8.8.8.0/24 66.249.64.0/19 2001:4860::/32" {
		t.Errorf("ASPrefixes(15169) = %q", g)
	}
}
