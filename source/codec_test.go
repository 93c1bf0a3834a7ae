package source

import (
	"bytes"
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
)

var then = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// everything is an answer with something in every part.
func everything() ipwarden.Full {
	f := ipwarden.Full{
		Network: netip.MustParsePrefix("52.93.7.0/24"), Traits: ipwarden.VPN | ipwarden.Hosting, Date: then,
		Location: ipwarden.Location{
			ContinentCode: "EU", Continent: "Europe", CountryCode: "SE", Country: "Sweden", IsEU: true, RegionCode: "AC", Region: "Västerbotten",
			City: "Umeå", Postal: "903 26", HasCoordinates: true, Latitude: 63.8, Longitude: -20.25, AccuracyKM: 20,
			TimeZone: ipwarden.TimeZone{ID: "Europe/Stockholm", Zone: zone("Europe/Stockholm")},
			Currency: ipwarden.Currency{Code: "SEK", Name: "Swedish Krona", Symbol: "kr"}, CallingCode: "46", Flag: "🇸🇪",
			Languages: []ipwarden.Language{{Code: "sv", Name: "Swedish", Native: "svenska"}, {Code: "fi"}},
		},
		ASN:     ipwarden.ASN{Number: 64500, Name: "An AS", Domain: "example.net", Route: netip.MustParsePrefix("52.93.0.0/16"), Kind: "isp", Registry: "arin"},
		Company: ipwarden.Company{Name: "Example AB", Domain: "example.com", Kind: "business"},
		Carrier: ipwarden.Carrier{Name: "Tele", MCC: "240", MNC: "01"},
		Security: ipwarden.Security{
			VPN: "Hider", Crawler: ipwarden.CrawlerInfo{Name: "Bot", Purpose: "search"}, Hosting: ipwarden.HostingInfo{Name: "Cloud", Region: "north", Service: "compute"},
			Listings: []ipwarden.Listing{{Name: "list", Type: "abuser", URL: "https://example.org/", Date: then}},
		},
	}
	claim := ipwarden.Claim{Feed: "vendor", Date: then, Licence: "terms", Match: "52.93.7.0/24", Value: "SE"}
	f.Evidence = []ipwarden.Evidence{
		{Field: ipwarden.FieldCountryCode, Value: "SE", By: []ipwarden.Claim{claim}},
		{Field: ipwarden.FieldIsTor, Value: "false", By: []ipwarden.Claim{{Feed: "vendor", Date: then, Licence: "terms", Match: "52.93.7.0/24", Value: "false"}}},
		{Field: ipwarden.FieldCity, Value: "Umeå", By: []ipwarden.Claim{claim}, Lost: []ipwarden.Claim{{Feed: "other", Value: "Skellefteå", Note: "older"}}},
	}
	return f
}

func valueOf(t testing.TB, k *keyer, name string) []byte {
	t.Helper()
	a := newAnswer(everything())
	a.asked, a.fresh, a.stale, a.took = then.UnixNano(), then.Add(time.Hour).UnixNano(), then.Add(2*time.Hour).UnixNano(), int64(time.Second)
	b, ok := k.appendValue(nil, name, a)
	if !ok {
		t.Fatal("the value is too long")
	}
	return b
}

func TestValue(t *testing.T) {
	k := newKeyer([]byte("seed"))
	b := valueOf(t, k, "vendor")
	t.Logf("%d bytes", len(b))
	a, err := k.readValue(bytes.Clone(b), "vendor", then.UnixNano())
	if err != nil {
		t.Fatal(err)
	}
	if want := everything(); !reflect.DeepEqual(a.full, want) {
		t.Errorf("got  %+v\nwant %+v", a.full, want)
	}
	if a.asked != then.UnixNano() || a.stale-a.asked != int64(2*time.Hour) || a.took != int64(time.Second) || a.denies != ipwarden.Tor {
		t.Errorf("asked %d, stale %d, took %d, denies %v", a.asked, a.stale, a.took, a.denies.Names())
	}
	refused := func(what string, b []byte, k *keyer, name string, now time.Time) {
		t.Helper()
		if _, err := k.readValue(b, name, now.UnixNano()); err == nil {
			t.Errorf("%s is believed", what)
		}
	}
	refused("another provider's", bytes.Clone(b), k, "other", then)
	refused("one of another seed", bytes.Clone(b), newKeyer([]byte("seeds")), "vendor", then)
	refused("one of tomorrow", bytes.Clone(b), k, "vendor", then.Add(-time.Hour))
	refused("one that is longer than any", append(bytes.Clone(b), make([]byte, MaxValue)...), k, "vendor", then)
	for i := range b {
		spoiled := bytes.Clone(b)
		spoiled[i] ^= 0x40
		refused(fmt.Sprintf("with a bit of byte %d turned", i), spoiled, k, "vendor", then)
		refused(fmt.Sprintf("cut at byte %d", i), bytes.Clone(b[:i]), k, "vendor", then)
	}
}

// A value that is signed as it should be, and is nonsense inside.
func FuzzValue(f *testing.F) {
	k := newKeyer(nil)
	f.Add(valueOf(f, k, "vendor"))
	f.Add([]byte{valueVersion})
	f.Add(bytes.Repeat([]byte{0xff}, 64))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < valueHead || len(b) > MaxValue {
			return
		}
		b[0] = valueVersion
		tag := k.sum(keyTag, "vendor", netip.Prefix{})
		copy(b[1:9], tag[:])
		sum := k.checksum(b)
		copy(b[checksumAt:], sum[:])
		a, err := k.readValue(b, "vendor", then.UnixNano())
		if err != nil {
			return
		}
		if a.full.Traits.Has(ipwarden.Bogon) {
			t.Error("somebody outside says what is nobody's")
		}
		again, ok := k.appendValue(nil, "vendor", a)
		if !ok {
			return
		}
		if _, err := k.readValue(again, "vendor", then.UnixNano()); err != nil {
			t.Errorf("what was read cannot be read again: %v", err)
		}
	})
}

// Keys are of tuples that cannot be confused (C11).
func TestKeys(t *testing.T) {
	k := newKeyer([]byte("seed"))
	p, q := netip.MustParsePrefix("1.1.1.0/24"), netip.MustParsePrefix("1.1.1.0/25")
	seen := map[Key]string{}
	for _, kind := range []string{"a", "ab", "answer"} {
		for _, name := range []string{"", "b", "ba", "answer", "r"} {
			for _, net := range []netip.Prefix{{}, p, q, netip.MustParsePrefix("::/24"), netip.MustParsePrefix("::101:100:0/120")} {
				key := k.key(kind, name, net, p)
				if was := seen[key]; was != "" {
					t.Errorf("%s %s %s has the key of %s", kind, name, net, was)
				}
				seen[key] = fmt.Sprint(kind, " ", name, " ", net)
			}
		}
	}
	if newKeyer([]byte("other")).key("a", "b", p, p) == k.key("a", "b", p, p) {
		t.Error("another seed has the same key")
	}
	if a, b := k.key("a", "b", p, p), k.key("a", "c", q, p); a.Group == b.Group {
		t.Error("two providers are in one group")
	} else if text := string(a.AppendText(nil)); len(text) != MaxKeyText {
		t.Errorf("%q has %d bytes", text, len(text))
	}
}

// What a Store has a network under is all of it, and no address of another.
func TestPieces(t *testing.T) {
	for _, c := range []struct {
		network string
		n       int
		first   string
		last    string
	}{
		{"10.0.0.0/16", 1, "10.0.0.0/16", "10.0.0.0/16"},
		{"10.0.4.0/22", 4, "10.0.4.0/24", "10.0.7.0/24"},
		{"10.0.4.7/32", 1, "10.0.4.7/32", "10.0.4.7/32"},
		{"10.0.4.8/29", 8, "10.0.4.8/32", "10.0.4.15/32"},
		{"2a00:1:2::/47", 2, "2a00:1:2::/48", "2a00:1:3::/48"},
		{"2a00:1:2:3::/64", 1, "2a00:1:2:3::/64", "2a00:1:2:3::/64"},
		{"255.255.252.0/22", 4, "255.255.252.0/24", "255.255.255.0/24"},
	} {
		var got []netip.Prefix
		for p := range func(yield func(netip.Prefix) bool) { pieces(netip.MustParsePrefix(c.network), yield) } {
			got = append(got, p)
		}
		if len(got) != c.n || got[0].String() != c.first || got[len(got)-1].String() != c.last {
			t.Errorf("%s: %v", c.network, got)
		}
	}
	for addr, want := range map[string]string{"1.2.3.4 0.0.0.0/0": "1.2.0.0/16", "1.2.3.4 1.2.3.0/24": "1.2.3.0/24", "1.2.3.4 9.0.0.0/8": "1.2.3.4/32", "2a00::1 2a00::1/128": "2a00::/64"} {
		var a, p string
		fmt.Sscan(addr, &a, &p)
		if got := clip(netip.MustParseAddr(a), netip.MustParsePrefix(p)); got.String() != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}

func BenchmarkValue(b *testing.B) {
	k := newKeyer(nil)
	v := valueOf(b, k, "vendor")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.readValue(v, "vendor", then.UnixNano()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkKey(b *testing.B) {
	k := newKeyer(nil)
	p, top := netip.MustParsePrefix("52.93.7.0/24"), netip.MustParsePrefix("52.93.0.0/16")
	b.ReportAllocs()
	for b.Loop() {
		_ = k.key(keyAnswer, "vendor", p, top)
	}
}
