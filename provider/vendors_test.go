package provider

import (
	"bytes"
	"flag"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden"
)

var update = flag.Bool("update", false, "write what the tests expect")

// dialects are all the ways of asking, with the address of the sample and how
// the question has to look.
var dialects = []struct {
	kind, plan, sample, addr string
	target                   string // the request's, the key replaced
	header, value            string // that holds the key
}{
	{"ipasis", "lookup", "ipasis-lookup", "136.179.39.31", "/v1/lookup?ip=136.179.39.31", "X-Api-Key", secret},
	{"ipasis", "v1", "ipasis-v1", "1.2.3.4", "/v1/1.2.3.4", "X-Api-Key", secret},
	{"ipasis", "v1/ip", "ipasis-v1-ip", "1.2.3.4", "/v1/ip/1.2.3.4", "X-Api-Key", secret},
	{"ipasis", "v2/ip", "ipasis-v2-ip", "1.2.3.4", "/v2/ip/1.2.3.4", "X-Api-Key", secret},
	{"ipdata", "", "ipdata", "69.78.70.144", "/69.78.70.144?api-key=KEY", "", ""},
	{"ipinfo", "legacy", "ipinfo-legacy", "66.87.125.72", "/66.87.125.72/json", "Authorization", "Bearer " + secret},
	{"ipinfo", "lite", "ipinfo-lite", "8.8.8.8", "/lite/8.8.8.8", "Authorization", "Bearer " + secret},
	{"ipinfo", "core", "ipinfo-core", "8.8.8.8", "/lookup/8.8.8.8", "Authorization", "Bearer " + secret},
	{"ipinfo", "plus", "ipinfo-plus", "8.8.8.8", "/lookup/8.8.8.8", "Authorization", "Bearer " + secret},
	{"maxmind", "country", "maxmind-country", "89.160.20.112", "/geoip/v2.1/country/89.160.20.112", "Authorization", "Basic NDI6aHVzaC9odXNoK2tleV8wMTIzNDU2Nzg5YWJjZGVm"},
	{"maxmind", "city", "maxmind-city", "89.160.20.112", "/geoip/v2.1/city/89.160.20.112", "Authorization", "Basic NDI6aHVzaC9odXNoK2tleV8wMTIzNDU2Nzg5YWJjZGVm"},
	{"maxmind", "insights", "maxmind-insights", "81.2.69.160", "/geoip/v2.1/insights/81.2.69.160", "Authorization", "Basic NDI6aHVzaC9odXNoK2tleV8wMTIzNDU2Nzg5YWJjZGVm"},
	{"abuseipdb", "", "abuseipdb", "118.25.6.39", "/api/v2/check?maxAgeInDays=90&ipAddress=118.25.6.39", "Key", secret},
	{"generic", "ip-api", "generic-ip-api", "8.8.8.8", "/json/8.8.8.8?fields=66846719&key=KEY", "", ""},
	{"generic", "ipregistry", "generic-ipregistry", "66.165.2.7", "/66.165.2.7", "Authorization", "ApiKey " + secret},
	{"generic", "proxycheck", "generic-proxycheck", "8.8.8.8", "/v2/8.8.8.8?vpn=1&asn=1&risk=1&key=KEY", "", ""},
}

// Every dialect is asked as the vendor wants it, over plain HTTP and over TLS
// with HTTP/2, and its sample becomes what is in the .want file.
func TestVendors(t *testing.T) {
	for _, d := range dialects {
		for _, secure := range []bool{false, true} {
			t.Run(d.sample, func(t *testing.T) {
				s := newStandIn(t, secure, says(200, good(t, d.sample), "Content-Type", "application/json"))
				cfg := config(t, s, d.kind, d.plan)
				cfg.Country = sweden
				p := open(t, cfg)
				rec, err := p.Lookup(t.Context(), netip.MustParseAddr(d.addr))
				if err != nil {
					t.Fatal(err)
				}
				r := s.last.Load()
				target := strings.ReplaceAll(r.RequestURI, "hush%2Fhush%2Bkey_0123456789abcdef", "KEY")
				if target != d.target || d.header != "" && r.Header.Get(d.header) != d.value || strings.Contains(target, "hush") {
					t.Errorf("asked %s with %s: %s", target, d.header, r.Header.Get(d.header))
				}
				if secure && r.ProtoMajor != 2 || r.Header.Get("User-Agent") != "ipwarden" || r.Header.Get("Accept-Encoding") != "gzip" {
					t.Errorf("asked by %s with %v", r.Proto, r.Header)
				}
				view := ipwarden.NewView(noon)
				view.Explain = true
				got := bytes.ReplaceAll(append(view.AppendJSON(nil, rec), '\n'), []byte(`},"`), []byte("},\n\""))
				file := "testdata/good/" + d.sample + ".want"
				if *update {
					if err := os.WriteFile(file, got, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, want) {
					t.Errorf("got\n%s\nwant\n%s", got, want)
				}
			})
		}
	}
}

// Each known field has evidence with the provider's name, time and terms; what
// the evidence says is what the field does.
func TestEvidence(t *testing.T) {
	s := newStandIn(t, false, says(200, good(t, "maxmind-city")))
	cfg := config(t, s, "maxmind", "city")
	cfg.Name, cfg.Country = "mm", sweden
	rec, err := open(t, cfg).Lookup(t.Context(), netip.MustParseAddr("89.160.20.112"))
	if err != nil {
		t.Fatal(err)
	}
	var view ipwarden.View
	seen := ipwarden.Fields{}
	for _, e := range rec.Evidence() {
		seen = seen.With(e.Field)
		text, _ := view.AppendText(nil, rec, e.Field)
		if string(text) != e.Value || len(e.By) != 1 || e.By[0].Feed != "mm" || !e.By[0].Date.Equal(noon) || e.By[0].Licence == "" || e.By[0].Match != "89.160.20.0/25" || e.By[0].Value != e.Value {
			t.Errorf("%v is %q, and its evidence %+v", e.Field, text, e)
		}
	}
	for _, f := range []ipwarden.Field{ipwarden.FieldCountryCode, ipwarden.FieldCurrencyCode, ipwarden.FieldCity, ipwarden.FieldASNumber, ipwarden.FieldLatitude} {
		if !seen.Has(f) {
			t.Errorf("%v has no evidence", f)
		}
	}
	if rec.Network() != netip.MustParsePrefix("89.160.20.0/25") {
		t.Errorf("the network is %v", rec.Network())
	}
	if feed, _ := rec.Asserted(ipwarden.Hosting); feed != "" {
		t.Errorf("city does not speak of hosting, and %s does", feed)
	}
}

// A network that a vendor says is believed when it holds the address and is no
// continent.
func TestNetworkOfAnswer(t *testing.T) {
	for network, want := range map[string]string{
		"89.160.20.0/25": "89.160.20.0/25", "0.0.0.0/0": "89.160.20.112/32", "89.0.0.0/7": "89.160.20.112/32",
		"10.0.0.0/8": "89.160.20.112/32", "::/0": "89.160.20.112/32", "": "89.160.20.112/32", "89.160.20.112/40": "89.160.20.112/32",
	} {
		s := newStandIn(t, false, says(200, `{"country":{"iso_code":"SE"},"traits":{"network":"`+network+`"}}`))
		rec, err := open(t, config(t, s, "maxmind", "city")).Lookup(t.Context(), netip.MustParseAddr("89.160.20.112"))
		if err != nil || rec.Network().String() != want {
			t.Errorf("%q became %v, %v", network, rec.Network(), err)
		}
	}
}

// Only the canonical text of an address is ever sent, and of those that are not
// public none.
func TestWhatIsSent(t *testing.T) {
	for _, d := range dialects {
		s := newStandIn(t, false, says(404, `{}`))
		cfg := config(t, s, d.kind, d.plan)
		p := open(t, cfg)
		for asked, sent := range map[string]string{
			"2001:4860:4860::8888%eth0/../x\r\nX: y": "2001:4860:4860::8888",
			"2606:4700:0000::1111%a/b?c":             "2606:4700::1111",
			"::ffff:8.8.8.8":                         "8.8.8.8", "64:ff9b::808:808": "8.8.8.8", "2002:808:808::1": "8.8.8.8",
			"::ffff:10.0.0.1": "-", "64:ff9b::a00:1": "-", "2002:a00:1::1": "-", "127.0.0.1": "-", "fe80::1%eth0": "-", "::1": "-", "192.0.2.1": "-",
			"100.64.0.1": "-", "224.0.0.1": "-", "255.255.255.255": "-", "0.0.0.0": "-", "::": "-", "fc00::1": "-", "2001:db8::1": "-", "169.254.169.254": "-",
		} {
			addr, err := netip.ParseAddr(asked)
			if err != nil {
				continue
			}
			before := s.calls.Load()
			rec, err := p.Lookup(t.Context(), addr)
			if sent == "-" {
				if s.calls.Load() != before || err != nil || rec.Network().IsValid() {
					t.Errorf("%s %s: %s was sent, %v", d.kind, d.plan, asked, err)
				}
				continue
			}
			target := strings.ReplaceAll(s.last.Load().RequestURI, "%3A", ":")
			if s.calls.Load() != before+1 || target != strings.Replace(strings.Replace(d.target, d.addr, sent, 1), "KEY", "hush%2Fhush%2Bkey_0123456789abcdef", 1) {
				t.Errorf("%s %s: %s was asked as %s", d.kind, d.plan, asked, target)
			}
		}
	}
}

// What is unknown of an address is no error.
func TestUnknownAddress(t *testing.T) {
	for _, c := range []struct {
		kind, plan string
		status     int
		body       string
	}{
		{"maxmind", "city", 404, `{"code":"IP_ADDRESS_NOT_FOUND","error":"The value is not in the database"}`},
		{"maxmind", "city", 400, `{"code":"IP_ADDRESS_RESERVED","error":"reserved"}`},
		{"ipdata", "", 400, `{"message":"8.8.8.8 is a private IP address"}`},
		{"ipinfo", "lite", 200, `{"ip":"8.8.8.8","bogon":true}`},
		{"abuseipdb", "", 200, `{"data":{"isPublic":false}}`},
		{"generic", "ip-api", 200, `{"status":"fail","message":"reserved range","query":"8.8.8.8"}`},
		{"generic", "ipregistry", 400, `{"code":"RESERVED_IP_ADDRESS","message":"x"}`},
		{"ipasis", "", 200, `{}`},
		{"ipinfo", "legacy", 204, ``},
	} {
		s := newStandIn(t, false, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			_, _ = w.Write([]byte(c.body))
		})
		rec, err := open(t, config(t, s, c.kind, c.plan)).Lookup(t.Context(), google)
		if err != nil || rec.Network().IsValid() || rec.Addr() != google || s.calls.Load() != 1 {
			t.Errorf("%s %d %s: %v, %v", c.kind, c.status, c.body, rec.Full(), err)
		}
	}
}

// From which confidence on AbuseIPDB means an abuser is the operator's to say.
func TestAbuseFrom(t *testing.T) {
	s := newStandIn(t, false, says(200, `{"data":{"isPublic":true,"abuseConfidenceScore":80,"totalReports":9}}`))
	for from, want := range map[int]bool{0: true, 80: true, 81: false} {
		cfg := config(t, s, "abuseipdb", "")
		cfg.AbuseFrom = from
		rec, err := open(t, cfg).Lookup(t.Context(), google)
		if err != nil || rec.Traits().Has(ipwarden.Abuser) != want || (len(rec.Security().Listings) == 1) != want {
			t.Errorf("from %d: %v, %v", from, rec.Traits().Names(), err)
		}
	}
}
