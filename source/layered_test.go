package source_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/overlay"
	"github.com/ipwarden/ipwarden/source"
)

var (
	ctx = context.Background()
	now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
)

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

// sharedWorld is a dataset with one answer for every address: SE and AS7, in
// networks of /16 and /32.
type sharedWorld struct {
	ipwarden.Backing
	store *ipwarden.Store
}

func (sharedWorld) Answers() int { return 1 }

func newSharedWorld(full ipwarden.Full) *sharedWorld {
	b, _ := ipwarden.NewRecord(netip.MustParseAddr("20.0.0.1"), full).Answer()
	w := &sharedWorld{Backing: b}
	w.store = ipwarden.NewStore(w, nil)
	return w
}

func (w *sharedWorld) Network(a netip.Addr, _ uint32) netip.Prefix {
	bits := 16
	if a.Is6() {
		bits = 32
	}
	p, _ := a.Prefix(bits)
	return p
}

func (w *sharedWorld) Lookup(_ context.Context, a netip.Addr) (ipwarden.Record, error) {
	c, t := ipwarden.Canonical(a)
	return ipwarden.MakeRecord(c, w.store, 0).Asked(t, a.Zone() != ""), nil
}

// dataset is what is known here.
func dataset() *sharedWorld {
	return newSharedWorld(ipwarden.Full{
		Location: ipwarden.Location{CountryCode: "SE", Country: "Sweden", City: "Umeå"},
		ASN:      ipwarden.ASN{Number: 7, Name: "Seven"}, Date: now.AddDate(0, 0, -3),
		Evidence: []ipwarden.Evidence{
			{Field: ipwarden.FieldCountryCode, Value: "SE", By: []ipwarden.Claim{{Feed: "world", Value: "SE"}}},
			{Field: ipwarden.FieldCity, Value: "Umeå", By: []ipwarden.Claim{{Feed: "world", Value: "Umeå"}}},
			{Field: ipwarden.FieldASNumber, Value: "7", By: []ipwarden.Claim{{Feed: "world", Value: "7"}}},
		},
	})
}

// vendor is a provider that says of each /24 (or /48) the same, and counts.
type vendor struct {
	calls atomic.Int64
	full  ipwarden.Full
	bits4 int
	delay time.Duration // minds the context
	hang  chan struct{} // does not
	err   error
	each  func(netip.Addr) // told of each call
}

func (v *vendor) Lookup(ctx context.Context, a netip.Addr) (ipwarden.Record, error) {
	v.calls.Add(1)
	if v.each != nil {
		v.each(a)
	}
	if v.hang != nil {
		<-v.hang
	}
	if v.delay > 0 {
		t := time.NewTimer(v.delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return ipwarden.Record{}, ctx.Err()
		}
	}
	if v.err != nil {
		return ipwarden.Record{}, v.err
	}
	full := v.full
	bits := 48
	if a.Is4() {
		if bits = 24; v.bits4 != 0 {
			bits = v.bits4
		}
	}
	full.Network, _ = a.Prefix(bits)
	return ipwarden.NewRecord(a, full), nil
}

func vpn() *vendor {
	return &vendor{full: ipwarden.Full{
		Traits: ipwarden.VPN, Security: ipwarden.Security{VPN: "Hider"}, Location: ipwarden.Location{CountryCode: "NL", City: "Delft"},
		ASN: ipwarden.ASN{Number: 9, Name: "Nine"},
	}}
}

func cached(t testing.TB, cfg source.CachedConfig) *source.Cached {
	t.Helper()
	if cfg.Name == "" {
		cfg.Name = "vendor"
	}
	c, err := source.NewCached(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func layered(t testing.TB, cfg source.LayeredConfig) *source.Layered {
	t.Helper()
	if cfg.Source == nil {
		cfg.Source = dataset()
	}
	l, err := source.NewLayered(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLayeredMerges(t *testing.T) {
	v := vpn()
	l := layered(t, source.LayeredConfig{Providers: []*source.Cached{cached(t, source.CachedConfig{Source: v})}, Intelligence: ipwarden.IntelligenceStrict, Budget: time.Minute})
	for range 3 {
		r := ask(t, l, "::ffff:20.1.2.3")
		loc := r.Location()
		// The provider is asked first about the location; Umeå is in another country.
		if loc.CountryCode != "NL" || loc.City != "Delft" || loc.Country != "" || r.Traits() != ipwarden.VPN || r.Security().VPN != "Hider" ||
			r.Network().String() != "20.1.2.0/24" || r.ASNumber() != 9 || r.ASN().Name != "Nine" || r.Addr().String() != "20.1.2.3" {
			t.Fatalf("%+v", r.Full())
		}
	}
	if n := v.calls.Load(); n != 1 {
		t.Errorf("%d calls", n)
	}
	view := ipwarden.NewView(now)
	view.Explain = true
	got := string(view.AppendJSON(nil, ask(t, l, "20.1.2.3")))
	for _, want := range []string{
		`"location.country_code":{"value":"NL","contested":true,"by":[{"feed":"vendor"`, `"lost":[{"feed":"world","value":"SE","note":"another goes first"}]`,
		`"security.is_vpn":{"value":"true","by":[{"feed":"vendor"`,
		`"asn.number":{"value":"9","contested":true,`, `{"feed":"world","value":"7","note":"another speaks of a smaller network"}`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
}

func TestModes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := vpn()
		v.delay = 50 * time.Millisecond
		c := cached(t, source.CachedConfig{Source: v})
		l := layered(t, source.LayeredConfig{Providers: []*source.Cached{c}})
		addr := netip.MustParseAddr("20.1.2.3")
		look := func(how ipwarden.Intelligence, budget, took time.Duration, vpn, wantPending bool, wantErr error) {
			t.Helper()
			start := time.Now()
			r, pending, err := l.Ask(ctx, addr, how, budget)
			if d := time.Since(start); d != took || r.Traits().Has(ipwarden.VPN) != vpn || pending != wantPending || !errors.Is(err, wantErr) {
				t.Errorf("%s: took %v, vpn %v, pending %v, error %v; want %v, %v, %v, %v", how, d, r.Traits().Has(ipwarden.VPN), pending, err, took, vpn, wantPending, wantErr)
			}
		}
		look(ipwarden.IntelligenceLocal, 0, 0, false, false, nil)
		look(ipwarden.IntelligenceAsync, 0, 0, false, true, nil)
		look(ipwarden.IntelligenceSync, 20*time.Millisecond, 20*time.Millisecond, false, true, nil)
		look(ipwarden.IntelligenceStrict, 20*time.Millisecond, 20*time.Millisecond, false, true, source.ErrPending)
		look(ipwarden.IntelligenceSync, time.Second, 10*time.Millisecond, true, false, nil)
		look(ipwarden.IntelligenceStrict, time.Second, 0, true, false, nil)
		look(ipwarden.IntelligenceLocal, 0, 0, true, false, nil)
		if n := v.calls.Load(); n != 1 {
			t.Errorf("%d calls", n)
		}
		c.Close()
		synctest.Wait()
	})
}

func TestOverlayStaysOnTop(t *testing.T) {
	v := vpn()
	o, err := overlay.New(overlay.Config{Source: dataset(), Entries: []overlay.Entry{
		on("20.1.2.0/25", fact(ipwarden.FieldIsVPN, false), fact(ipwarden.FieldCity, "Breda")),
	}})
	if err != nil {
		t.Fatal(err)
	}
	l := layered(t, source.LayeredConfig{Source: o, Providers: []*source.Cached{cached(t, source.CachedConfig{Source: v})}, Intelligence: ipwarden.IntelligenceStrict, Budget: time.Minute})
	r := ask(t, l, "20.1.2.3")
	if loc := r.Location(); r.Traits() != 0 || loc.City != "Breda" || loc.CountryCode != "NL" || r.Security().VPN != "" || r.Network().String() != "20.1.2.0/25" {
		t.Errorf("%+v", r.Full())
	}
	if r = ask(t, l, "20.1.2.200"); r.Traits() != ipwarden.VPN || r.Location().City != "Delft" || r.Network().String() != "20.1.2.128/25" {
		t.Errorf("%+v", r.Full())
	}
	if n := v.calls.Load(); n != 1 {
		t.Errorf("%d calls", n)
	}
}

func BenchmarkLayered(b *testing.B) {
	l := layered(b, source.LayeredConfig{Providers: []*source.Cached{cached(b, source.CachedConfig{Source: vpn()})}, Intelligence: ipwarden.IntelligenceStrict, Budget: time.Minute})
	addr := netip.MustParseAddr("20.1.2.3")
	b.ReportAllocs()
	for b.Loop() {
		if r, err := l.Lookup(ctx, addr); err != nil || r.ASNumber() != 9 {
			b.Fatal(r, err)
		}
	}
}
