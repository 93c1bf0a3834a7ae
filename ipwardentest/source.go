package ipwardentest

import (
	"context"
	"net/netip"
	"sync"
	"testing"

	"github.com/ipwarden/ipwarden"
)

// TestSource checks that a [ipwarden.Source] keeps its contract: spellings of
// one address are one answer, ignorance is no error, answers name a network
// that holds the address, and all of it holds under concurrency. known are
// addresses that the Source has something to say about.
//
// Implementations call it from a test of their own:
//
//	ipwardentest.TestSource(t, ds, netip.MustParseAddr("8.8.8.8"))
func TestSource(t *testing.T, s ipwarden.Source, known ...netip.Addr) {
	t.Helper()
	addrs := append([]netip.Addr(nil), known...)
	for _, a := range []string{"0.0.0.0", "255.255.255.255", "192.0.2.45", "198.51.100.20", "::", "::1", "fe80::1", "2001:db8::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"} {
		addrs = append(addrs, netip.MustParseAddr(a))
	}
	t.Run("any address is answered", func(t *testing.T) {
		for _, a := range addrs {
			rec, err := s.Lookup(t.Context(), a)
			if err != nil {
				t.Errorf("Lookup(%s): %v; not knowing an address is no error", a, err)
				continue
			}
			if want, _ := ipwarden.Canonical(a); rec.Addr() != want {
				t.Errorf("Lookup(%s).Addr() = %s, want %s", a, rec.Addr(), want)
			}
			if n := rec.Network(); n.IsValid() && !n.Contains(rec.Addr()) {
				t.Errorf("Lookup(%s).Network() = %s, which does not hold it", a, n)
			}
		}
	})
	t.Run("known addresses are known", func(t *testing.T) {
		for _, a := range known {
			if rec, err := s.Lookup(t.Context(), a); err == nil && !rec.Network().IsValid() {
				t.Errorf("nothing is known of %s", a)
			}
		}
	})
	t.Run("spellings of one address are one answer", func(t *testing.T) {
		for _, a := range addrs {
			want := render(t, s, a)
			for _, b := range spellings(a) {
				if got := render(t, s, b); got != want {
					t.Errorf("Lookup(%s) differs from Lookup(%s):\n%s\n%s", b, a, got, want)
				}
			}
		}
	})
	t.Run("the network's ends have the answer", func(t *testing.T) {
		for _, a := range known {
			rec, err := s.Lookup(t.Context(), a)
			if err != nil || !rec.Network().IsValid() {
				continue
			}
			n := rec.Network().Masked()
			want := render(t, s, n.Addr())
			if got := render(t, s, lastAddr(n)); got != want {
				t.Errorf("the first and the last address of %s differ:\n%s\n%s", n, want, got)
			}
		}
	})
	t.Run("concurrent use", func(t *testing.T) {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 50 {
					for _, a := range addrs {
						if _, err := s.Lookup(t.Context(), a); err != nil {
							t.Errorf("Lookup(%s): %v", a, err)
							return
						}
					}
				}
			})
		}
		wg.Wait()
	})
}

// shared are the fields that do not name the address itself.
func render(t *testing.T, s ipwarden.Source, a netip.Addr) string {
	t.Helper()
	rec, err := s.Lookup(context.WithoutCancel(t.Context()), a)
	if err != nil {
		t.Errorf("Lookup(%s): %v", a, err)
		return ""
	}
	var v ipwarden.View
	for f := range ipwarden.DefaultFields().All() {
		switch f {
		case ipwarden.FieldIP, ipwarden.FieldQuery, ipwarden.FieldTransition, ipwarden.FieldZone,
			ipwarden.FieldTimeZoneAbbr, ipwarden.FieldTimeZoneOffset, ipwarden.FieldTimeZoneIsDST:
		default:
			v.Fields = v.Fields.With(f)
		}
	}
	return string(v.AppendJSON(nil, rec))
}

// spellings returns other forms of the same address.
func spellings(a netip.Addr) []netip.Addr {
	if a.Is6() {
		return []netip.Addr{a.WithZone("eth0")}
	}
	b := a.As4()
	nat64 := [16]byte{0, 0x64, 0xff, 0x9b, 12: b[0], b[1], b[2], b[3]}
	sixToFour := [16]byte{0x20, 0x02, b[0], b[1], b[2], b[3], 15: 1}
	teredo := [16]byte{0x20, 0x01, 12: ^b[0], ^b[1], ^b[2], ^b[3]}
	return []netip.Addr{netip.AddrFrom16(a.As16()), netip.AddrFrom16(nat64), netip.AddrFrom16(sixToFour), netip.AddrFrom16(teredo)}
}

func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
