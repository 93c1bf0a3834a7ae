package provider

import (
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ipwarden/ipwarden"
)

// FuzzAnswers reads any bytes as the answer of every vendor. Whatever they are,
// what comes out is a Record as the contract has it.
func FuzzAnswers(f *testing.F) {
	for i, d := range dialects {
		f.Add(uint8(i), []byte(good(f, d.sample)))
	}
	f.Add(uint8(0), []byte(`{"loc":"NaN,Inf","asn":{"ASN":"AS99999999999"},"privacy":{"VPN":"yes"}}`))
	f.Add(uint8(9), []byte(`{"traits":{"network":"8.8.8.8/0"},"location":{"latitude":1e999,"accuracy_radius":-1,"time_zone":"../x"}}`))
	var ps []*Provider
	for _, d := range dialects {
		cfg := Config{Kind: d.kind, Plan: d.plan, Key: "k", Country: sweden}
		if d.kind == "maxmind" {
			cfg.Account = "1"
		}
		if d.kind == Generic {
			m, err := ShippedMap(d.plan)
			if err != nil {
				f.Fatal(err)
			}
			cfg.Map, cfg.Plan = m, ""
		}
		ps = append(ps, open(f, cfg))
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		p := ps[int(which)%len(ps)]
		doc, err := parse(body)
		if err != nil || !doc.object() {
			return
		}
		addr := netip.MustParseAddr(dialects[int(which)%len(ps)].addr)
		_, message := p.meaning(&response{status: 200, doc: doc})
		if err := p.clean(message); err != nil && (len(err.Error()) > maxMessage+8 || !utf8.ValidString(err.Error()) || strings.ContainsAny(err.Error(), "\r\n")) {
			t.Fatalf("an error says %q", err)
		}
		a := &answer{cfg: &p.cfg, zones: &p.zones, addr: addr}
		p.vendor.read(a, doc)
		rec := a.record(p.vendor.terms, noon)
		if n := rec.Network(); n.IsValid() && (!n.Contains(addr) || n.Bits() < 8) {
			t.Fatalf("network %v", n)
		}
		full := rec.Full()
		if l := full.Location; l.HasCoordinates && !(l.Latitude >= -90 && l.Latitude <= 90 && l.Longitude >= -180 && l.Longitude <= 180) {
			t.Fatalf("at %v, %v", l.Latitude, l.Longitude)
		}
		if len(full.Security.Listings) > maxItems || len(full.Location.Languages) > maxItems || full.ASN.Route.IsValid() && !full.ASN.Route.Contains(addr) {
			t.Fatalf("%+v", full)
		}
		var view ipwarden.View
		for _, e := range full.Evidence {
			text, _ := view.AppendText(nil, rec, e.Field)
			if string(text) != e.Value || len(e.By) != 1 || !utf8.Valid(text) {
				t.Fatalf("%v is %q, and its evidence %+v", e.Field, text, e)
			}
		}
	})
}
