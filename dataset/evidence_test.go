package dataset_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/feed"
)

// told writes an address's evidence for one field as a line.
func told(t *testing.T, s ipwarden.Source, addr string, f ipwarden.Field) string {
	t.Helper()
	for _, e := range lookup(t, s, addr).Evidence() {
		if e.Field != f {
			continue
		}
		var b strings.Builder
		b.WriteString(e.Value + ":")
		claims := func(cs []ipwarden.Claim) {
			for _, c := range cs {
				b.WriteString(" " + c.Feed + "[" + c.Match + "]=" + c.Value)
				if c.Note != "" {
					b.WriteString("(" + c.Note + ")")
				}
			}
		}
		claims(e.By)
		if len(e.Lost) > 0 {
			b.WriteString(" | lost:")
			claims(e.Lost)
		}
		return b.String()
	}
	return ""
}

func TestEvidence(t *testing.T) {
	d := open(t,
		given{"new", day("2026-06-01"), feed.Asserts{Fields: []string{"location.country_code"}, Trust: 60}, []feed.Fact{
			at("20.0.0.0 - 20.0.2.255", feed.Fact{Country: "SE"}),
		}},
		given{"old", day("2022-06-01"), feed.Asserts{Fields: []string{"location.country_code", "asn"}, Trust: 60}, []feed.Fact{
			at("20.0.0.0/8", feed.Fact{Country: "US", Origin: 7, ASName: "Seven"}),
			at("20.0.1.0/24", feed.Fact{Country: "SE", Origin: 8, ASName: "Eight"}),
			{AS: 9, Bits: 0, ASName: "Nine"},
		}},
		given{"claims", day("2026-07-01"), feed.Asserts{Fields: []string{"location.country_code"}, Trust: 80, Origins: []uint32{8}}, []feed.Fact{
			at("20.0.0.0/16", feed.Fact{Country: "DE"}),
		}},
		given{"names", day("2024-01-01"), feed.Asserts{Fields: []string{"asn.name", "asn.kind"}, Trust: 70, Kind: "hosting"}, []feed.Fact{
			{AS: 7, ASName: "Seven AB"},
		}},
		given{"list", day("2026-08-01"), feed.Asserts{Traits: []string{"abuser"}, Listing: "abuser", MinCount: 3}, []feed.Fact{
			at("20.0.1.1", feed.Fact{Count: 5}), at("20.0.1.2", feed.Fact{Count: 2}), at("20.0.1.53", feed.Fact{Count: 9}),
		}},
		given{"safe", day("2026-08-02"), feed.Asserts{Denies: []string{"abuser"}, DeniesListings: true}, []feed.Fact{
			at("20.0.1.53", feed.Fact{}),
		}},
		given{"vpn", day("2026-08-03"), feed.Asserts{Traits: []string{"vpn"}, Name: "Some VPN", Trust: 40}, []feed.Fact{
			at("20.0.1.0/25", feed.Fact{}),
		}},
		given{"named", day("2026-08-03"), feed.Asserts{Traits: []string{"vpn"}, Trust: 50}, []feed.Fact{
			at("20.0.1.1", feed.Fact{Name: "Other VPN"}),
		}},
	)
	for _, c := range []struct {
		addr  string
		field ipwarden.Field
		want  string
	}{
		// The newer of two equally trusted feeds wins; who agrees with it is named after it.
		{"20.0.0.1", ipwarden.FieldCountryCode, "SE: new[20.0.0.0-20.0.2.255]=SE | lost: claims[20.0.0.0/16]=DE(outside of its operator's own networks) old[20.0.0.0/8]=US(believed less)"},
		{"20.0.9.1", ipwarden.FieldCountryCode, "US: old[20.0.0.0/8]=US | lost: claims[20.0.0.0/16]=DE(outside of its operator's own networks)"},
		// Inside its operator's networks the most trusted feed wins.
		{"20.0.1.200", ipwarden.FieldCountryCode, "DE: claims[20.0.0.0/16]=DE | lost: new[20.0.0.0-20.0.2.255]=SE(believed less) old[20.0.1.0/24]=SE(believed less)"},
		{"20.0.1.1", ipwarden.FieldASNumber, "8: old[20.0.1.0/24]=8"},
		{"20.0.1.1", ipwarden.FieldASRoute, "20.0.1.0/24: old[20.0.1.0/24]=20.0.1.0/24"},
		{"20.0.1.1", ipwarden.FieldASName, "Eight: old[AS8]=Eight"},
		{"20.0.9.1", ipwarden.FieldASName, "Seven AB: names[AS7]=Seven AB | lost: old[AS7]=Seven(believed less)"},
		{"20.0.9.1", ipwarden.FieldASKind, "hosting: names[AS7]=hosting"},
		{"20.0.1.1", ipwarden.FieldIsAbuser, "true: list[20.0.1.1/32]=true(count 5)"},
		{"20.0.1.1", ipwarden.FieldListings, "list: list[20.0.1.1/32]=list(count 5)"},
		{"20.0.1.2", ipwarden.FieldIsAbuser, ""}, // seen too seldom to count
		{"20.0.1.53", ipwarden.FieldIsAbuser, "false: | lost: list[20.0.1.53/32]=true(taken back by safe (20.0.1.53/32); count 9)"},
		{"20.0.1.53", ipwarden.FieldListings, ": | lost: list[20.0.1.53/32]=list(taken back by safe (20.0.1.53/32); count 9)"},
		{"20.0.1.1", ipwarden.FieldIsVPN, "true: named[20.0.1.1/32]=true vpn[20.0.1.0/25]=true"},
		{"20.0.1.1", ipwarden.FieldVPNName, "Other VPN: named[20.0.1.1/32]=Other VPN | lost: vpn[20.0.1.0/25]=Some VPN(believed less)"},
		{"20.0.1.1", ipwarden.FieldIsAnonymous, "true: named[20.0.1.1/32]=true(vpn) vpn[20.0.1.0/25]=true(vpn)"},
	} {
		if got := told(t, d, c.addr, c.field); got != c.want {
			t.Errorf("%s %s:\n got %s\nwant %s", c.addr, c.field, got, c.want)
		}
	}
	if r := lookup(t, d, "20.0.1.53"); len(r.Security().Listings) != 0 || r.Traits().Has(ipwarden.Abuser) {
		t.Errorf("a safelisted address is listed: %+v", r.Security())
	}
	if a, ok := d.AS(9); !ok || a.Name != "Nine" {
		t.Errorf("AS9: %+v", a)
	}
	var routes []string
	for p := range d.ASPrefixes(7) {
		routes = append(routes, p.String())
	}
	if got := strings.Join(routes, " "); got != "20.0.0.0/8" {
		t.Errorf("AS7 announces %s", got)
	}
}

// Every field of an answer has evidence, and the value that it states.
func TestEveryFieldHasEvidence(t *testing.T) {
	d := open(t, tiny()...)
	view := ipwarden.NewView(day("2026-03-03"))
	none := ipwarden.FieldsOf(ipwarden.FieldIP, ipwarden.FieldVersion, ipwarden.FieldNetwork, ipwarden.FieldDatasetDate,
		ipwarden.FieldTimeZoneAbbr, ipwarden.FieldTimeZoneOffset, ipwarden.FieldTimeZoneIsDST)
	for _, addr := range []string{"20.0.0.1", "20.0.1.7", "20.0.2.9", "2a00::1", "2a00:0:1::5"} {
		r := lookup(t, d, addr)
		said := map[ipwarden.Field]ipwarden.Evidence{}
		for _, e := range r.Evidence() {
			said[e.Field] = e
		}
		for f := range view.Fields.All() {
			text, ok := view.AppendText(nil, r, f)
			if !ok || none.Has(f) || f.Traits() != 0 && string(text) == "false" {
				continue
			}
			e, ok := said[f]
			if !ok || len(e.By) == 0 || e.Value != string(text) {
				t.Errorf("%s: %s is %s, and the evidence is %+v", addr, f, text, e)
			}
		}
	}
}

func TestFeedNetworks(t *testing.T) {
	many := manyRows(5000)
	d := open(t,
		given{"cloud", day("2026-06-01"), feed.Asserts{Fields: []string{"security.hosting"}, Traits: []string{"hosting"}, Name: "Cloud", Trust: 50}, []feed.Fact{
			at("20.0.0.0/16", feed.Fact{CloudService: "EDGE"}),
			at("20.0.1.0/24", feed.Fact{CloudService: "VM", CloudRegion: "north"}),
			at("20.0.3.0/24", feed.Fact{CloudService: "VM", CloudRegion: "north"}),
			at("30.0.0.1 - 30.0.0.4", feed.Fact{}),
			at("2600:9000::/36", feed.Fact{CloudService: "EDGE"}),
			at("255.255.255.0/24", feed.Fact{}),
		}},
		given{"louder", day("2026-06-02"), feed.Asserts{Fields: []string{"security.hosting"}, Traits: []string{"hosting"}, Name: "Louder", Trust: 90}, []feed.Fact{
			at("20.0.0.0/8", feed.Fact{}),
		}},
		given{"many", day("2026-06-03"), feed.Asserts{Traits: []string{"vpn"}}, many},
	)
	var got []string
	for p, h := range d.FeedNetworks("cloud") {
		got = append(got, strings.Join([]string{p.String(), h.Name, h.Region, h.Service}, " "))
	}
	want := []string{
		"20.0.0.0/16 Cloud  EDGE", "20.0.1.0/24 Cloud north VM", "20.0.3.0/24 Cloud north VM",
		"30.0.0.1/32 Cloud  ", "30.0.0.2/31 Cloud  ", "30.0.0.4/32 Cloud  ", "255.255.255.0/24 Cloud  ", "2600:9000::/36 Cloud  EDGE",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	n := 0
	for p := range d.FeedNetworks("many") { // more than one block of the evidence
		if want := many[n].From; p.Addr() != want || p.Bits() != 32 {
			t.Fatalf("%s, want %s", p, want)
		}
		n++
	}
	if n != len(many) {
		t.Errorf("%d networks of 5000", n)
	}
	for range d.FeedNetworks("many") {
		break
	}
	for p := range d.FeedNetworks("nobody") {
		t.Errorf("%s of a feed that is not there", p)
	}
}

// manyRows is n addresses, every second one.
func manyRows(n int) (rows []feed.Fact) {
	for i := range n {
		rows = append(rows, at(netip.AddrFrom4([4]byte{40, 0, byte(i >> 7), byte(i << 1)}).String(), feed.Fact{}))
	}
	return rows
}
