package feed

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
)

// addrTexts are spellings whose reading must agree with netip's.
var addrTexts = []string{
	"", "0.0.0.0", "255.255.255.255", "1.2.3.4", "1.2.3", "1.2.3.4.5", "1..2.3", ".1.2.3", "1.2.3.", "256.1.1.1", "01.2.3.4", "1.2.3.00",
	"1.2.3.4 ", "0x1.2.3.4", "16909060", "::", "::1", "1::", ":1", "1:", ":::", "1:::2", "1::2::3", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7",
	"1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1::2:3:4:5:6:7:8", "1:2:3:4::5:6:7:8", "12345::", "g::", "2001:DB8::A",
	"::ffff:1.2.3.4", "::1.2.3.4", "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4", "1::1.2.3", "::1.2.3.4:5", "::01.2.3.4", "1.2.3.4::",
	"64:ff9b::192.0.2.33", "::ffff:102:304", "2001:db8::\x00", "١.2.3.4",
}

func TestParseAddr(t *testing.T) {
	for _, s := range addrTexts {
		checkAddr(t, s)
	}
	if a, ok := parseAddr([]byte("fe80::1%eth0")); ok {
		t.Errorf("a zone was read: %v", a)
	}
}

// checkAddr compares with net/netip, which reads the same but for zones.
func checkAddr(t *testing.T, s string) {
	t.Helper()
	want, err := netip.ParseAddr(s)
	if strings.Contains(s, "%") {
		return
	}
	got, ok := parseAddr([]byte(s))
	if ok != (err == nil) || ok && got != want.Unmap() {
		t.Errorf("parseAddr(%q) = %v, %v; netip has %v, %v", s, got, ok, want, err)
	}
}

func FuzzParseAddr(f *testing.F) {
	for _, s := range addrTexts {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		checkAddr(t, s)
		p, masked, why := parsePrefix([]byte(s))
		if (why == "") != p.IsValid() || p.IsValid() && (p != p.Masked() || p.Addr().Zone() != "") {
			t.Errorf("parsePrefix(%q) = %v, %v, %q", s, p, masked, why)
		}
		if want, err := netip.ParsePrefix(s); err == nil && !want.Addr().Is4In6() && (p != want.Masked() || masked != (want != want.Masked())) {
			t.Errorf("parsePrefix(%q) = %v, %v, %q; netip has %v", s, p, masked, why, want)
		}
	})
}

func TestParsePrefix(t *testing.T) {
	tests := []struct {
		in, want string
		masked   bool
		why      string // part of it
	}{
		{in: "192.0.2.0/24", want: "192.0.2.0/24"},
		{in: "192.0.2.7/24", want: "192.0.2.0/24", masked: true},
		{in: "192.0.2.7", want: "192.0.2.7/32"},
		{in: "0.0.0.0/0", want: "0.0.0.0/0"},
		{in: "255.255.255.255/0", want: "0.0.0.0/0", masked: true},
		{in: "2001:DB8::1/32", want: "2001:db8::/32", masked: true},
		{in: "::/0", want: "::/0"},
		{in: "2001:db8::1", want: "2001:db8::1/128"},
		{in: "2001:db8::1:2:3/96", want: "2001:db8::1:0:0/96", masked: true},
		{in: "::ffff:192.0.2.1", want: "192.0.2.1/32"},
		{in: "::ffff:192.0.2.0/120", why: "IPv4-mapped"},
		{in: "192.0.2.0/33", why: "goes to 32"},
		{in: "2001:db8::/129", why: "prefix length"},
		{in: "192.0.2.0/024", why: "prefix length"},
		{in: "192.0.2.0/+4", why: "prefix length"},
		{in: "192.0.2.0/", why: "prefix length"},
		{in: "192.0.02.0/24", why: "leading zero"},
		{in: "192.0.2.0.24", why: "neither"},
		{in: "fe80::1%eth0/64", why: "zone"},
		{in: "/24", why: "missing"},
		{in: "", why: "missing"},
	}
	for _, tt := range tests {
		p, masked, why := parsePrefix([]byte(tt.in))
		if tt.why != "" {
			if !strings.Contains(why, tt.why) || p.IsValid() {
				t.Errorf("%q: %v, %q; want a reason with %q", tt.in, p, why, tt.why)
			}
			continue
		}
		if why != "" || p.String() != tt.want || masked != tt.masked {
			t.Errorf("%q: %v, %v, %q; want %s, %v", tt.in, p, masked, why, tt.want, tt.masked)
		}
	}
}

// slowBits is rangeBits bit by bit.
func slowBits(from, to netip.Addr) int {
	for n := 0; n <= from.BitLen(); n++ {
		p := netip.PrefixFrom(from, n).Masked()
		if p.Addr() != from {
			continue
		}
		last := from.AsSlice()
		for i := n; i < from.BitLen(); i++ {
			last[i/8] |= 0x80 >> (i % 8)
		}
		if a, _ := netip.AddrFromSlice(last); a == to {
			return n
		}
	}
	return -1
}

func TestRangeBits(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	prefixes := 0
	for range 5000 {
		n, m := rnd.IntN(33), rnd.IntN(129)
		var b [16]byte
		binary.BigEndian.PutUint64(b[:], rnd.Uint64())
		binary.BigEndian.PutUint64(b[8:], rnd.Uint64())
		var f Fact
		for _, p := range []netip.Prefix{
			netip.PrefixFrom(netip.AddrFrom4([4]byte(b[:4])), n), netip.PrefixFrom(netip.AddrFrom16(b), m),
		} {
			f.SetPrefix(p)
			if got, want := rangeBits(f.From, f.To), p.Bits(); got != want || slowBits(f.From, f.To) != want {
				t.Fatalf("%v is %s-%s, and rangeBits says %d", p, f.From, f.To, got)
			}
			// A step at either end makes another range.
			for _, r := range [][2]netip.Addr{{f.From.Next(), f.To}, {f.From.Prev(), f.To}, {f.From, f.To.Next()}, {f.From, f.To.Prev()}} {
				if !r[0].IsValid() || !r[1].IsValid() || r[1].Less(r[0]) {
					continue
				}
				got, want := rangeBits(r[0], r[1]), slowBits(r[0], r[1])
				if got != want {
					t.Fatalf("rangeBits(%s, %s) = %d, want %d", r[0], r[1], got, want)
				}
				if want >= 0 {
					prefixes++
				}
			}
		}
	}
	if prefixes == 0 {
		t.Error("no stepped range was a prefix: the test tests too little")
	}
}

func TestParseCountry(t *testing.T) {
	for in, want := range map[string]string{
		"US": "US", "us": "US", "sE": "SE", "XK": "XK", "UK": "GB", "EU": "", "AP": "", "ZZ": "", "A1": "", "??": "", "": "", "USA": "", "CS": "", "@A": "", "\xc3\xa9": "",
	} {
		if got := parseCountry([]byte(in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if len(isoCodes) != 2*250 {
		t.Errorf("%d codes; ISO 3166-1 has 249, and XK", len(isoCodes)/2)
	}
}

func TestParseRegion(t *testing.T) {
	var in interner
	for _, tt := range []struct{ in, country, want string }{
		{"US-CA", "US", "US-CA"},
		{"us-ca", "US", "US-CA"},
		{"GB-DBY", "GB", "GB-DBY"},
		{"JP-13", "JP", "JP-13"},
		{"AT-9", "AT", "AT-9"},
		{"CA-ON", "US", ""},
		{"CA", "US", ""},
		{"US-", "US", ""},
		{"US-CALI", "US", ""},
		{"US_CA", "US", ""},
		{"US-C!", "US", ""},
		{"", "US", ""},
		{"US-CA", "", ""},
	} {
		if got := parseRegion([]byte(tt.in), tt.country, &in); got != tt.want {
			t.Errorf("%q of %s: %q, want %q", tt.in, tt.country, got, tt.want)
		}
	}
}

func TestParseNumbers(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "13335": 13335, "AS13335": 13335, "as1": 1, "4294967295": 4294967295,
		"4294967296": -1, "": -1, "AS": -1, "-1": -1, "+1": -1, "1.10": -1, " 1": -1, "99999999999999999999": -1, "18446744073709551617": -1,
	} {
		got, ok := parseASN([]byte(in))
		if ok != (want >= 0) || ok && int64(got) != want {
			t.Errorf("%q: %d, %v; want %d", in, got, ok, want)
		}
	}
}

func TestParsesWithoutAllocation(t *testing.T) {
	rows := [][]byte{[]byte("192.0.2.0/24"), []byte("2001:db8::/32"), []byte("::ffff:192.0.2.1"), []byte("no address")}
	if n := testing.AllocsPerRun(100, func() {
		for _, r := range rows {
			parsePrefix(r)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
