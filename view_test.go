package ipwarden_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// full is an answer in which every field is known.
func full(t testing.TB) ipwarden.Record {
	t.Helper()
	stockholm, err := time.LoadLocation("Europe/Stockholm")
	if err != nil {
		t.Fatal(err)
	}
	return ipwarden.NewRecord(netip.MustParseAddr("203.0.112.66"), ipwarden.Full{
		Network: netip.MustParsePrefix("203.0.112.0/24"),
		Traits:  ipwarden.AllTraits,
		Location: ipwarden.Location{
			ContinentCode: "EU", Continent: "Europe", CountryCode: "SE", Country: "Sweden", IsEU: true, RegionCode: "AC",
			Region: "Västerbotten", City: "Umeå", Postal: "903 26", HasCoordinates: true, Latitude: 63.82842, Longitude: 20.25972,
			AccuracyKM: 20, TimeZone: ipwarden.TimeZone{ID: "Europe/Stockholm", Zone: stockholm},
			Currency:    ipwarden.Currency{Code: "SEK", Name: "Swedish Krona", Symbol: "kr"},
			Languages:   []ipwarden.Language{{Code: "sv", Name: "Swedish", Native: "svenska"}, {Code: "fi"}},
			CallingCode: "46", Flag: "🇸🇪",
		},
		ASN: ipwarden.ASN{
			Number: 64500, Name: `An "AS"`, Domain: "example.net", Route: netip.MustParsePrefix("203.0.112.0/20"),
			Kind: "isp", Registry: "ripencc",
		},
		Company: ipwarden.Company{Name: "Example\nAB", Domain: "example.com", Kind: "business"},
		Carrier: ipwarden.Carrier{Name: "Tele", MCC: "240", MNC: "01"},
		Security: ipwarden.Security{
			VPN: "Some VPN", Crawler: ipwarden.CrawlerInfo{Name: "Bot", Purpose: "search"},
			Hosting:  ipwarden.HostingInfo{Name: "Cloud", Region: "north", Service: "compute"},
			Bogon:    ipwarden.BogonInfo{Name: "Test", RFC: "RFC0000"},
			Listings: []ipwarden.Listing{{Name: "list", Type: "abuser", URL: "https://example.org/", Date: noon}, {Name: "other", Type: "spam"}},
		},
		Date: noon,
		Evidence: []ipwarden.Evidence{{
			Field: ipwarden.FieldCountryCode, Value: "SE",
			By:   []ipwarden.Claim{{Feed: "a", Date: noon, Licence: "CC0-1.0", Match: "203.0.112.0/24", Value: "SE"}},
			Lost: []ipwarden.Claim{{Feed: "b", Value: "NO", Note: "believed less"}},
		}},
	}).Asked(ipwarden.Mapped, true)
}

const fullJSON = `{"ip":"203.0.112.66","query":"::ffff:203.0.112.66%x","version":4,"network":"203.0.112.0/24","transition":"mapped","zone":true,` +
	`"location":{"continent_code":"EU","continent":"Europe","country_code":"SE","country":"Sweden","is_eu":true,"region_code":"AC",` +
	`"region":"Västerbotten","city":"Umeå","postal":"903 26","latitude":63.82842,"longitude":20.25972,"accuracy_km":20,` +
	`"time_zone":{"id":"Europe/Stockholm","abbr":"CEST","offset":7200,"is_dst":true},"currency":{"code":"SEK","name":"Swedish Krona","symbol":"kr"},` +
	`"languages":[{"code":"sv","name":"Swedish","native":"svenska"},{"code":"fi"}],"calling_code":"46","flag":"🇸🇪"},` +
	`"asn":{"number":64500,"name":"An \"AS\"","domain":"example.net","route":"203.0.112.0/20","kind":"isp","registry":"ripencc"},` +
	`"company":{"name":"Example\u000aAB","domain":"example.com","kind":"business"},"carrier":{"name":"Tele","mcc":"240","mnc":"01"},` +
	`"security":{"is_vpn":true,"is_proxy":true,"is_residential_proxy":true,"is_tor":true,"is_relay":true,"is_hosting":true,"is_crawler":true,` +
	`"is_anonymous":true,"is_attacker":true,"is_abuser":true,"is_scanner":true,"is_threat":true,"is_bogon":true,"is_anycast":true,"is_satellite":true,` +
	`"is_mobile":true,"vpn":{"name":"Some VPN"},"crawler":{"name":"Bot","purpose":"search"},"hosting":{"name":"Cloud","region":"north","service":"compute"},` +
	`"bogon":{"name":"Test","rfc":"RFC0000"},"listings":[{"name":"list","type":"abuser","url":"https://example.org/","date":"2026-07-01"},{"name":"other","type":"spam"}],` +
	`"scores":{"vpn":1,"proxy":2,"threat":3,"trust":4}},"dataset":{"date":"2026-07-01"},` +
	`"evidence":{"location.country_code":{"value":"SE","contested":true,"by":[{"feed":"a","date":"2026-07-01","licence":"CC0-1.0","match":"203.0.112.0/24","value":"SE"}],` +
	`"lost":[{"feed":"b","value":"NO","note":"believed less"}]}}}`

// The vocabulary, word for word: clients depend on it.
func TestJSON(t *testing.T) {
	v := ipwarden.NewView(noon)
	v.Query, v.Explain = "::ffff:203.0.112.66%x", true
	v.Scores = func(ipwarden.Record, time.Time) ipwarden.Scores {
		return ipwarden.Scores{VPN: 1, Proxy: 2, Threat: 3, Trust: 4}
	}
	if got := string(v.AppendJSON(nil, full(t))); got != fullJSON {
		t.Errorf("got  %s\nwant %s", got, fullJSON)
	}
	if !json.Valid([]byte(fullJSON)) {
		t.Error("what is wanted is no JSON")
	}
}

func TestAbsentIsAbsent(t *testing.T) {
	v := ipwarden.NewView(noon)
	for addr, want := range map[string]string{
		"8.8.8.8": `{"ip":"8.8.8.8","version":4,"network":"8.8.8.8/32",`,
		"2a00::1": `{"ip":"2a00::1","version":6,"network":"2a00::1/128",`,
	} {
		want += `"security":{"is_vpn":false,"is_proxy":false,"is_residential_proxy":false,"is_tor":false,"is_relay":false,"is_hosting":false,` +
			`"is_crawler":false,"is_anonymous":false,"is_attacker":false,"is_abuser":false,"is_scanner":false,"is_threat":false,"is_bogon":false,` +
			`"is_anycast":false,"is_satellite":false,"is_mobile":false}}`
		if got := string(v.AppendJSON(nil, ipwarden.NewRecord(netip.MustParseAddr(addr), ipwarden.Full{}))); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	var none ipwarden.View
	if got := string(none.AppendJSON(nil, full(t))); got != "{}" {
		t.Errorf("a View of nothing shows %s", got)
	}
	// Every method of the zero Record answers.
	var zero ipwarden.Record
	if f := zero.Full(); f.Network.IsValid() || f.Traits != 0 || zero.Addr().IsValid() {
		t.Errorf("the zero Record knows %+v", f)
	}
}

// Any choice of fields is valid JSON with just those fields.
func TestEveryChoiceOfFields(t *testing.T) {
	r := full(t)
	var all []ipwarden.Field
	for f := range ipwarden.AllFields() {
		all = append(all, f)
	}
	for i, a := range all {
		for _, b := range all[i:] {
			v := ipwarden.View{Fields: ipwarden.FieldsOf(a, b), Now: noon, Query: "x", Scores: func(ipwarden.Record, time.Time) ipwarden.Scores { return ipwarden.Scores{} }}
			out := v.AppendJSON(nil, r)
			var tree any
			if err := json.Unmarshal(out, &tree); err != nil {
				t.Fatalf("%s,%s: %s: %v", a, b, out, err)
			}
			for _, f := range []ipwarden.Field{a, b} {
				at := tree
				for key := range strings.SplitSeq(f.String(), ".") {
					m, _ := at.(map[string]any)
					at = m[key]
				}
				if at == nil {
					t.Fatalf("%s,%s: %s lacks %s", a, b, out, f)
				}
			}
		}
	}
}

func TestParseFields(t *testing.T) {
	for in, want := range map[string]string{
		"ip":                                "ip",
		"asn":                               "asn.number asn.name asn.domain asn.route asn.kind asn.registry",
		" ip , asn.number":                  "ip asn.number",
		"security.vpn,security.vpn.name":    "security.vpn.name",
		"location.time_zone":                "location.time_zone.id location.time_zone.abbr location.time_zone.offset location.time_zone.is_dst",
		"location.time_zone.current_time":   "location.time_zone.current_time",
		"security.scores,location.currency": "location.currency.code location.currency.name location.currency.symbol security.scores.vpn security.scores.proxy security.scores.threat security.scores.trust",
	} {
		s, err := ipwarden.ParseFields(in)
		var names []string
		for f := range s.All() {
			names = append(names, f.String())
		}
		if got := strings.Join(names, " "); err != nil || got != want || s.Len() != len(names) {
			t.Errorf("%q: %s %v", in, got, err)
		}
	}
	for in, want := range map[string]string{
		"":             `unknown field ""`,
		"ip,":          `unknown field ""`,
		"country_code": `unknown field "country_code", did you mean "location.country_code"?`,
		"loc":          `unknown field "loc", did you mean "location.continent_code"?`,
		"security.":    `unknown field "security."`,
		"xyzzy":        `unknown field "xyzzy"`,
	} {
		_, err := ipwarden.ParseFields(in)
		if !errors.Is(err, ipwarden.ErrUnknownField) || err.Error() != want {
			t.Errorf("%q: %v", in, err)
		}
	}
	if _, err := ipwarden.ParseFields(strings.Repeat("ip,", 5000)); err == nil || len(err.Error()) > 200 {
		t.Errorf("an endless list: %v", err)
	}
	if ipwarden.DefaultFields().Has(ipwarden.FieldTimeZoneCurrentTime) {
		t.Error("the current time is shown by default")
	}
}

func TestAppendText(t *testing.T) {
	v := ipwarden.NewView(noon)
	for f, want := range map[ipwarden.Field]string{
		ipwarden.FieldIP: "203.0.112.66", ipwarden.FieldLanguages: "sv,fi", ipwarden.FieldListings: "list,other",
		ipwarden.FieldLatitude: "63.82842", ipwarden.FieldIsVPN: "true", ipwarden.FieldDatasetDate: "2026-07-01",
		ipwarden.FieldTimeZoneCurrentTime: "2026-07-01T14:00:00+02:00", ipwarden.FieldTimeZoneOffset: "7200",
	} {
		if got, ok := v.AppendText(nil, full(t), f); !ok || string(got) != want {
			t.Errorf("%s: %q", f, got)
		}
	}
	if _, ok := v.AppendText(nil, ipwarden.Record{}, ipwarden.FieldCity); ok {
		t.Error("nothing known, and a city")
	}
}

func FuzzAppendString(f *testing.F) {
	f.Add("a\"b\\c\x00\xff\u2028é")
	f.Fuzz(func(t *testing.T, s string) {
		out := ipwarden.AppendString(nil, s)
		var back string
		if err := json.Unmarshal(out, &back); err != nil {
			t.Fatalf("%q: %s: %v", s, out, err)
		}
		if back != string(bytes.ToValidUTF8([]byte(s), []byte("\ufffd"))) && strings.ToValidUTF8(s, "") == s {
			t.Errorf("%q came back as %q", s, back)
		}
	})
}

func TestTraits(t *testing.T) {
	if n := len(ipwarden.AllTraits.Names()); n != 14 {
		t.Errorf("%d names", n)
	}
	for _, n := range ipwarden.AllTraits.Names() {
		a, ok := ipwarden.TraitNamed(n)
		b, _ := ipwarden.TraitNamed("is_" + n)
		if !ok || a != b || a.Names()[0] != n || ipwarden.FieldOf(a).String() != "security.is_"+n {
			t.Errorf("%s: %v %v %s", n, a, b, ipwarden.FieldOf(a))
		}
	}
	if _, ok := ipwarden.TraitNamed("anonymous"); ok {
		t.Error("a union is no trait")
	}
}

// A Row writes what AppendText writes, also after another Record.
func TestRow(t *testing.T) {
	v := ipwarden.View{Now: noon, Query: "::ffff:203.0.112.66%x", Scores: func(ipwarden.Record, time.Time) ipwarden.Scores {
		return ipwarden.Scores{VPN: 1, Proxy: 2, Threat: 3, Trust: 4}
	}}
	for f := range ipwarden.DefaultFields().With(ipwarden.FieldTimeZoneCurrentTime).All() {
		v.Fields = v.Fields.With(f)
	}
	var row ipwarden.Row
	for _, r := range []ipwarden.Record{full(t), {}, ipwarden.NewRecord(netip.MustParseAddr("2001:db8::1"), ipwarden.Full{}), full(t)} {
		row.Read(&v, r)
		for f := range v.Fields.All() {
			want, known := v.AppendText([]byte("x"), r, f)
			got, ok := row.AppendText([]byte("x"), f)
			if string(got) != string(want) || ok != known {
				t.Errorf("%v of %v: %q, %v; want %q, %v", f, r.Addr(), got, ok, want, known)
			}
		}
	}
}
