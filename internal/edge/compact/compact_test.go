package compact_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"iter"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/edge/compact"
	"github.com/ipwarden/ipwarden/internal/edge/edgetest"
)

// parts is a world of some networks; all else is unknown.
type parts map[netip.Prefix]ipwarden.Full

func (w parts) Date() time.Time { return time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC) }

// Networks yields them in order, with what is between as prefixes of its own.
func (w parts) Networks(within netip.Prefix) iter.Seq2[netip.Prefix, ipwarden.Record] {
	return func(yield func(netip.Prefix, ipwarden.Record) bool) { w.below(within, nil, yield) }
}

func (w parts) below(p netip.Prefix, have *ipwarden.Store, yield func(netip.Prefix, ipwarden.Record) bool) bool {
	if f, ok := w[p]; ok {
		own := ipwarden.NewRecord(p.Addr(), f)
		b, _ := own.Answer()
		have = ipwarden.NewStore(b, nil)
	}
	inside := false
	for q := range w {
		inside = inside || q.Bits() > p.Bits() && p.Contains(q.Addr())
	}
	if !inside {
		return yield(p, ipwarden.MakeRecord(p.Addr(), have, 0))
	}
	left, _ := p.Addr().Prefix(p.Bits() + 1)
	b := p.Addr().AsSlice()
	b[p.Bits()/8] |= 1 << (7 - p.Bits()%8)
	a, _ := netip.AddrFromSlice(b)
	return w.below(left, have, yield) && w.below(netip.PrefixFrom(a, p.Bits()+1), have, yield)
}

// everything is all that can be kept.
func everything() compact.Needs {
	n := compact.Needs{Traits: ipwarden.AllTraits}
	n.KeepScore()
	for f := range ipwarden.AllFields() {
		n.Keep(f)
	}
	return n
}

// In a /64 with several answers each address has its own, and what is behind goes on.
func TestInsideOfOneNetwork(t *testing.T) {
	land := func(c string) ipwarden.Full { return ipwarden.Full{Location: ipwarden.Location{CountryCode: c}} }
	w := parts{}
	for p, c := range map[string]string{
		"2001:db8::/32": "SE", "2001:db8:0:1::/64": "NO", "2001:db8:0:1::5/128": "DK", "2001:db8:0:1::8/125": "FI", "2001:db8:0:2::1/128": "IS",
		"2001:db8:0:4::/64": "DE", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128": "US", "::1/128": "GB", "10.0.0.0/8": "FR", "10.1.2.3/32": "NL", "255.255.255.255/32": "AU",
	} {
		w[netip.MustParsePrefix(p)] = land(c)
	}
	b, err := compact.Encode(&storeless{w}, everything())
	if err != nil {
		t.Fatal(err)
	}
	d, err := compact.Open(b)
	if err != nil {
		t.Fatal(err)
	}
	for a, want := range map[string]string{
		"2001:db8::": "SE", "2001:db8:0:1::": "NO", "2001:db8:0:1::4": "NO", "2001:db8:0:1::5": "DK", "2001:db8:0:1::6": "NO", "2001:db8:0:1::9": "FI",
		"2001:db8:0:1::10": "NO", "2001:db8:0:1:ffff::": "NO", "2001:db8:0:2::": "SE", "2001:db8:0:2::1": "IS", "2001:db8:0:2::2": "SE", "2001:db8:0:3::": "SE",
		"2001:db8:0:4::9": "DE", "2001:db8:0:5::": "SE", "2001:db9::": "", "::": "", "::1": "GB", "::2": "", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff": "US",
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe": "", "9.255.255.255": "", "10.0.0.0": "FR", "10.1.2.2": "FR", "10.1.2.3": "NL", "10.1.2.4": "FR", "11.0.0.0": "", "255.255.255.255": "AU",
	} {
		if got := d.Lookup(netip.MustParseAddr(a)).CountryCode(); got != want {
			t.Errorf("%s is in %q, want %q", a, got, want)
		}
	}
}

// storeless gives each answer a number of its own, as a dataset does.
type storeless struct{ parts }

func (s *storeless) Networks(within netip.Prefix) iter.Seq2[netip.Prefix, ipwarden.Record] {
	return func(yield func(netip.Prefix, ipwarden.Record) bool) {
		for p, r := range s.parts.Networks(within) {
			id := uint32(0)
			if c := r.CountryCode(); c != "" {
				id = uint32(c[0])<<8 | uint32(c[1])
			}
			if !yield(p, ipwarden.MakeRecord(p.Addr(), numbered(s.parts), id)) {
				return
			}
		}
	}
}

// numbered is a Store whose answers are numbered by their country.
func numbered(w parts) *ipwarden.Store {
	hot := make([]ipwarden.Hot, 1<<16)
	for _, f := range w {
		c := f.Location.CountryCode
		hot[uint32(c[0])<<8|uint32(c[1])] = ipwarden.HotOf(0, c, 0)
	}
	r := ipwarden.NewRecord(netip.Addr{}, ipwarden.Full{})
	b, _ := r.Answer()
	return ipwarden.NewStore(b, hot)
}

// Whatever is kept is what the whole dataset says, at every address.
func TestIsTheDataset(t *testing.T) {
	ds := edgetest.World(t)
	needs := everything()
	b, err := compact.Encode(ds, needs)
	if err != nil {
		t.Fatal(err)
	}
	again, err := compact.Encode(ds, needs)
	if err != nil || !bytes.Equal(b, again) {
		t.Errorf("the same dataset gives other bytes: %v", err)
	}
	d, err := compact.Open(b)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for i, q := range edgetest.Questions(t, ds, r, 5_000) {
		a := netip.MustParseAddr(q.Address)
		want, err := ds.Lookup(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		got := d.Lookup(a)
		if got.Hot() != want.Hot() || got.ASKind() != want.ASKind() || !reflect.DeepEqual(got.Company(), want.Company()) || got.Carrier() != want.Carrier() {
			t.Fatalf("%v: %v, want %v", a, got.Full(), want.Full())
		}
		gl, wl := got.Location(), want.Location()
		wl.TimeZone.Zone = nil
		for j := range wl.Languages {
			if j == 0 {
				wl.Languages = slices.Clone(wl.Languages)
			}
			wl.Languages[j].Name, wl.Languages[j].Native = "", ""
		}
		if !reflect.DeepEqual(gl, wl) {
			t.Fatalf("%v: %+v, want %+v", a, gl, wl)
		}
		gs, ws := got.Security(), want.Security()
		ws.Listings = slices.Clone(ws.Listings)
		for j := range ws.Listings {
			ws.Listings[j].URL = ""
		}
		if len(gs.Listings) == 0 {
			gs.Listings, ws.Listings = nil, slices.Clip(ws.Listings)
			if len(ws.Listings) == 0 {
				ws.Listings = nil
			}
		}
		if !reflect.DeepEqual(gs, ws) {
			t.Fatalf("%v: %+v, want %+v", a, gs, ws)
		}
		gn, wn := got.ASN(), want.ASN()
		wn.Route = netip.Prefix{}
		if gn != wn {
			t.Fatalf("%v: %+v, want %+v", a, gn, wn)
		}
		for tr := want.Traits(); tr != 0; tr &= tr - 1 {
			one := tr & -tr
			gf, gd := got.Asserted(one)
			wf, wd := want.Asserted(one)
			if one&(ipwarden.Anonymous|ipwarden.Threat|ipwarden.Hosting|ipwarden.Scanner|ipwarden.Crawler|ipwarden.Mobile) != 0 && (gf != wf || !gd.Equal(wd)) {
				t.Fatalf("%v %v: %s %v, want %s %v", a, one.Names(), gf, gd, wf, wd)
			}
		}
		if i == 0 && !d.Date().Equal(ds.Date()) {
			t.Errorf("the date is %v, want %v", d.Date(), ds.Date())
		}
	}
	if n := testing.AllocsPerRun(1000, func() { d.Lookup(netip.AddrFrom4([4]byte{8, 8, 8, 8})) }); n != 0 {
		t.Errorf("a look-up allocates %v times", n)
	}
}

func small(t testing.TB) []byte {
	t.Helper()
	w := parts{netip.MustParsePrefix("10.0.0.0/8"): {Location: ipwarden.Location{CountryCode: "SE"}}, netip.MustParsePrefix("2001:db8::1/128"): {Location: ipwarden.Location{CountryCode: "NO"}}}
	b, err := compact.Encode(&storeless{w}, everything())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sign(b []byte) []byte {
	if len(b) > 12 {
		binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b[12:], crc32.MakeTable(crc32.Castagnoli)))
	}
	return b
}

func TestDamaged(t *testing.T) {
	good := small(t)
	for _, c := range []struct {
		name, want string
		change     func(b []byte) []byte
	}{
		{"nothing", "no dataset", func([]byte) []byte { return nil }},
		{"another version", "another version", func(b []byte) []byte { b[4]++; return b }},
		{"a flipped bit", "checksum", func(b []byte) []byte { b[len(b)-1] ^= 1; return b }},
		{"cut and signed", "cannot be", func(b []byte) []byte { return sign(b[:len(b)-1]) }},
		{"longer and signed", "cannot be", func(b []byte) []byte { return sign(append(b, 0)) }},
		{"too large", "64 MiB", func(b []byte) []byte { return append(b, make([]byte, compact.MaxSize)...) }},
	} {
		if _, err := compact.Open(c.change(bytes.Clone(good))); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", c.name, err, c.want)
		}
	}
}

// Bytes of anybody are refused, or can be read at every address.
func FuzzOpen(f *testing.F) {
	f.Add(small(f))
	f.Fuzz(func(_ *testing.T, b []byte) {
		b = bytes.Clone(b)
		if len(b) > 5 {
			copy(b, "IPWE\x01")
		}
		d, err := compact.Open(sign(b))
		if err != nil {
			return
		}
		for _, a := range []string{"0.0.0.0", "10.0.0.1", "255.255.255.255", "::", "2001:db8::", "2001:db8::1", "2001:db8::2", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"} {
			r := d.Lookup(netip.MustParseAddr(a))
			full := r.Full()
			full.Evidence = nil
			for t := r.Traits(); t != 0; t &= t - 1 {
				r.Asserted(t & -t)
			}
		}
	})
}
