package overlay_test

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/overlay"
)

var (
	ctx = context.Background()
	now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
)

// world answers SE and AS7 everywhere, hosting, in networks of /16 and /32.
func world() ipwarden.Source {
	return ipwarden.SourceFunc(func(_ context.Context, a netip.Addr) (ipwarden.Record, error) {
		a, _ = ipwarden.Canonical(a)
		bits := 16
		if a.Is6() {
			bits = 32
		}
		p, _ := a.Prefix(bits)
		return ipwarden.NewRecord(a, ipwarden.Full{
			Network: p, Traits: ipwarden.Hosting, Security: ipwarden.Security{Hosting: ipwarden.HostingInfo{Name: "Cloud"}}, ASN: ipwarden.ASN{Number: 7, Name: "Seven"},
			Location: ipwarden.Location{CountryCode: "SE", Country: "Sweden", City: "Umeå"},
			Evidence: []ipwarden.Evidence{
				{Field: ipwarden.FieldCountryCode, Value: "SE", By: []ipwarden.Claim{{Feed: "world", Value: "SE"}}},
				{Field: ipwarden.FieldIsHosting, Value: "true", By: []ipwarden.Claim{{Feed: "world", Value: "true"}}},
			},
		}), nil
	})
}

func laid(t testing.TB, entries ...overlay.Entry) *overlay.Overlay {
	t.Helper()
	o, err := overlay.New(overlay.Config{
		Source: world(), Entries: entries, Now: func() time.Time { return now },
		Country: func(cc string) (ipwarden.Location, bool) {
			return ipwarden.Location{CountryCode: cc, Country: "Country " + cc}, true
		},
		AS: func(n uint32) (ipwarden.ASN, bool) { return ipwarden.ASN{Number: n, Name: "Known"}, n == 9 },
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func ask(t testing.TB, s ipwarden.Source, addr string) ipwarden.Record {
	t.Helper()
	r, err := s.Lookup(ctx, netip.MustParseAddr(addr))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func on(network string, facts ...overlay.Fact) overlay.Entry {
	return overlay.Entry{Network: netip.MustParsePrefix(network), Facts: facts, Reason: "ticket 1", Owner: "noc"}
}

func fact(f ipwarden.Field, v any) overlay.Fact { return overlay.Fact{Field: f, Value: v} }

func TestOverlayLaysEntriesOverAnswers(t *testing.T) {
	as := overlay.Entry{ASN: 7, Facts: []overlay.Fact{fact(ipwarden.FieldIsVPN, true), fact(ipwarden.FieldVPNName, "of the AS")}}
	old := on("20.9.0.0/16", fact(ipwarden.FieldIsTor, true))
	old.Expires = now
	o := laid(t, as, old,
		on("20.0.0.0/8", fact(ipwarden.FieldCountryCode, "DE"), fact(ipwarden.FieldIsHosting, false)),
		on("20.1.2.0/24", fact(ipwarden.FieldCity, "Bonn"), fact(ipwarden.FieldVPNName, "of the network"), fact(ipwarden.FieldASNumber, uint64(9))),
		on("20.1.2.3/32", fact(ipwarden.FieldIsTor, true)),
		on("20.1.2.3/32", fact(ipwarden.FieldIsTor, false)),
		on("2a00:1::/48", fact(ipwarden.FieldLatitude, 1.5), fact(ipwarden.FieldLongitude, 2.0), fact(ipwarden.FieldAccuracyKM, uint64(3))),
	)
	for _, c := range []struct {
		addr, network, country, city, vpn, as string
		traits                                ipwarden.Traits
	}{
		// Only the AS's entry; nothing else of the answer changes.
		{"21.0.0.1", "21.0.0.0/16", "Sweden", "Umeå", "of the AS", "Seven", ipwarden.Hosting | ipwarden.VPN},
		// The country takes what follows from it along, and the old city away.
		{"20.2.0.1", "20.2.0.0/16", "Country DE", "", "of the AS", "Seven", ipwarden.VPN},
		// The most specific entry is on top.
		{"20.1.2.9", "20.1.2.8/29", "Country DE", "Bonn", "of the network", "Known", ipwarden.VPN},
		// Of two entries on one network, the later.
		{"20.1.2.3", "20.1.2.3/32", "Country DE", "Bonn", "of the network", "Known", ipwarden.VPN},
		// The network is narrowed where an entry begins beside it.
		{"20.1.3.1", "20.1.3.0/24", "Country DE", "", "of the AS", "Seven", ipwarden.VPN},
		// Expired at this very moment.
		{"20.9.0.1", "20.9.0.0/16", "Country DE", "", "of the AS", "Seven", ipwarden.VPN},
		{"::ffff:20.2.0.1", "20.2.0.0/16", "Country DE", "", "of the AS", "Seven", ipwarden.VPN},
		{"2a00:1::9", "2a00:1::/48", "Sweden", "Umeå", "of the AS", "Seven", ipwarden.Hosting | ipwarden.VPN},
	} {
		r := ask(t, o, c.addr)
		l := r.Location()
		if r.Network().String() != c.network || l.Country != c.country || l.City != c.city || r.Security().VPN != c.vpn || r.ASN().Name != c.as || r.Traits() != c.traits {
			t.Errorf("%s: %s %q %q %q %q %v", c.addr, r.Network(), l.Country, l.City, r.Security().VPN, r.ASN().Name, r.Traits().Names())
		}
	}
	if l := ask(t, o, "2a00:1::9").Location(); !l.HasCoordinates || l.Latitude != 1.5 || l.AccuracyKM != 3 {
		t.Errorf("coordinates: %+v", l)
	}
}

func TestOverlayIsVisibleInTheEvidence(t *testing.T) {
	e := on("20.0.0.0/8", fact(ipwarden.FieldCountryCode, "DE"), fact(ipwarden.FieldIsVPN, true), fact(ipwarden.FieldIsHosting, false))
	e.Expires = now.AddDate(0, 1, 0)
	later := on("20.2.0.0/16", fact(ipwarden.FieldLanguages, []ipwarden.Language{{Code: "de"}, {Code: "en"}}), fact(ipwarden.FieldIsVPN, false))
	r := ask(t, laid(t, e, later), "20.2.0.1")
	const first = "ticket 1 (noc), until 2026-12-20T12:00:00Z"
	claim := func(match, value, note string) string {
		return overlay.Feed + " " + match + " " + value + " " + note
	}
	want := map[ipwarden.Field][2][]string{
		ipwarden.FieldCountryCode: {{claim("20.0.0.0/8", "DE", first)}, {"world  SE overruled by the operator"}},
		ipwarden.FieldCountry:     {{claim("20.2.0.0/16", "Country DE", "follows from what the operator set: ticket 1 (noc)")}, nil},
		ipwarden.FieldLanguages:   {{claim("20.2.0.0/16", "de,en", "ticket 1 (noc)")}, nil},
		ipwarden.FieldIsVPN:       {{claim("20.2.0.0/16", "false", "ticket 1 (noc)")}, {claim("20.0.0.0/8", "true", first+"; overruled by a later entry")}},
		ipwarden.FieldIsHosting:   {{claim("20.0.0.0/8", "false", first)}, {"world  true overruled by the operator"}},
	}
	for _, ev := range r.Evidence() {
		w, ok := want[ev.Field]
		if !ok {
			continue
		}
		delete(want, ev.Field)
		lines := func(cs []ipwarden.Claim) (out []string) {
			for _, c := range cs {
				out = append(out, c.Feed+" "+c.Match+" "+c.Value+" "+c.Note)
			}
			return out
		}
		if got := [2][]string{lines(ev.By), lines(ev.Lost)}; !slices.Equal(got[0], w[0]) || !slices.Equal(got[1], w[1]) {
			t.Errorf("%s: %q, want %q", ev.Field, got, w)
		}
	}
	if len(want) != 0 {
		t.Errorf("no evidence for %v", want)
	}
	if h := r.Security().Hosting; h.Name != "" {
		t.Errorf("it is no data centre, and its name is %q", h.Name)
	}
}

// An answer no entry touches is the Source's own: nothing is built.
func TestOverlayLeavesOthersAlone(t *testing.T) {
	o := laid(t, on("20.0.0.0/8", fact(ipwarden.FieldIsVPN, true)))
	r := ask(t, o, "30.0.0.1")
	if r.Network().String() != "30.0.0.0/16" || len(r.Evidence()) != 2 {
		t.Errorf("%+v", r.Full())
	}
	wide := ipwarden.SourceFunc(func(_ context.Context, a netip.Addr) (ipwarden.Record, error) {
		return ipwarden.NewRecord(a, ipwarden.Full{Network: netip.MustParsePrefix("0.0.0.0/0")}), nil
	})
	narrow, err := overlay.New(overlay.Config{Source: wide, Entries: []overlay.Entry{on("20.0.0.0/8", fact(ipwarden.FieldIsVPN, true))}})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for range 500 {
		a := netip.AddrFrom4([4]byte{byte(rng.IntN(256)), byte(rng.IntN(256)), 1, 1})
		n := ask(t, narrow, a.String()).Network()
		if in := a.As4()[0] == 20; !n.Contains(a) || in && n.Bits() != 8 || !in && n.Overlaps(netip.MustParsePrefix("20.0.0.0/8")) {
			t.Fatalf("%s is in %s", a, n)
		}
	}
}

func TestOverlayRefusesMistakes(t *testing.T) {
	_, err := overlay.New(overlay.Config{Source: world(), Entries: []overlay.Entry{
		{},
		{ASN: 7, Network: netip.MustParsePrefix("20.0.0.0/8")},
		on("20.0.0.0/8", fact(ipwarden.FieldIsAnonymous, true)),
		on("20.0.0.0/8", fact(ipwarden.FieldCountryCode, 7)),
		on("20.0.0.0/8", fact(ipwarden.FieldLatitude, 500.0)),
		on("::ffff:20.0.0.0/104", fact(ipwarden.FieldIsVPN, true)),
	}})
	for _, want := range []string{
		"entry 0: give either a network or an AS", "entry 1: give either a network or an AS",
		"entry 2: security.is_anonymous cannot be set to true (bool)", "entry 3: location.country_code cannot be set to 7 (int)",
		"entry 4: location.latitude cannot be set to 500 (float64)", "entry 5: ::ffff:20.0.0.0/104 is IPv4 inside IPv6",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
	if _, err := overlay.New(overlay.Config{}); err == nil {
		t.Error("no Source, and no error")
	}
}
