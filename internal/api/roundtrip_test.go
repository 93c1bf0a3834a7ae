package api

import (
	"context"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/api/dialect"
	"github.com/ipwarden/ipwarden/ipwardentest"
	"github.com/ipwarden/ipwarden/provider"
	"github.com/ipwarden/ipwarden/risk"
)

// A journey is one of our own clients of a vendor, pointed at our own server of
// that vendor's dialect.
type journey struct {
	name    string // of the dialect, and what follows it for the provider's kind
	kind    string
	plan    string
	mapped  string          // the map, of kind generic
	traits  ipwarden.Traits // that the vendor's answer has words for
	carried string          // fields besides, as ParseFields reads them
	differs string          // fields for which the vendor's words mean something else
}

const (
	wholePlace = "location.country_code,location.country,location.continent_code,location.continent,location.region,location.region_code," +
		"location.city,location.postal,location.latitude,location.longitude,location.time_zone.id,"
	wholeNet = "asn.number,asn.name,asn.domain,asn.route,asn.kind,company.name,company.domain,company.kind,"
	carrier  = "carrier.name,carrier.mcc,carrier.mnc,"
)

var journeys = []journey{
	{
		name: "ipdata", kind: "ipdata",
		traits:  ipwarden.VPN | ipwarden.Proxy | ipwarden.Tor | ipwarden.Relay | ipwarden.Hosting | ipwarden.Attacker | ipwarden.Abuser,
		carried: wholePlace + wholeNet + carrier + "location.is_eu,location.calling_code,location.flag,location.currency.code,location.currency.name",
	},
	{
		name: "ipinfo", kind: "ipinfo", plan: "legacy",
		traits:  ipwarden.VPN | ipwarden.Proxy | ipwarden.Tor | ipwarden.Relay | ipwarden.Hosting | ipwarden.Anycast,
		carried: "location.country_code,location.region,location.city,location.postal,location.latitude,location.longitude,location.time_zone.id,security.vpn.name," + wholeNet + carrier,
	},
	{
		name: "ipinfo", kind: "ipinfo", plan: "lite",
		carried: "location.country_code,location.country,location.continent_code,location.continent,asn.number,asn.name,asn.domain",
	},
	{
		name: "ipinfo", kind: "ipinfo", plan: "plus",
		traits:  ipwarden.VPN | ipwarden.Proxy | ipwarden.Tor | ipwarden.Relay | ipwarden.Hosting | ipwarden.Anycast | ipwarden.Mobile | ipwarden.Satellite,
		carried: wholePlace + carrier + "asn.number,asn.name,asn.domain,asn.kind",
	},
	{
		name: "maxmind", kind: "maxmind", plan: "country",
		traits: ipwarden.Anycast, carried: "network,location.country_code,location.country,location.continent_code,location.continent,location.is_eu",
	},
	{
		name: "maxmind", kind: "maxmind", plan: "city",
		traits:  ipwarden.Anycast | ipwarden.Mobile,
		carried: wholePlace + "network,location.accuracy_km,location.is_eu,asn.number,asn.name,company.name,carrier.mcc,carrier.mnc",
		// The domain may be that of the network, and the carrier goes by its network's name.
		differs: "company.domain,carrier.name",
	},
	{
		name: "maxmind", kind: "maxmind", plan: "insights",
		traits:  ipwarden.Anycast | ipwarden.Mobile | ipwarden.VPN | ipwarden.Proxy | ipwarden.ResidentialProxy | ipwarden.Tor | ipwarden.Hosting | ipwarden.Crawler,
		carried: wholePlace + "network,location.accuracy_km,location.is_eu,asn.number,asn.name,company.name,carrier.mcc,carrier.mnc,security.vpn.name,security.crawler.purpose",
		// user_type says who uses the address, not what the company is.
		differs: "company.domain,company.kind,carrier.name",
	},
	{
		name: "ip-api", kind: provider.Generic, mapped: "ip-api",
		traits:  ipwarden.Hosting | ipwarden.Mobile,
		carried: wholePlace + "asn.number,asn.name,location.currency.code",
		// The map takes the provider for the company where no organisation is known,
		// and proxy is one word for all that hides.
		differs: "company.name,security.is_proxy",
	},
	{
		name: "ipregistry", kind: provider.Generic, mapped: "ipregistry",
		traits:  ipwarden.VPN | ipwarden.Proxy | ipwarden.Tor | ipwarden.Relay | ipwarden.Hosting | ipwarden.Attacker | ipwarden.Abuser,
		carried: wholePlace + wholeNet + carrier + "location.is_eu,location.calling_code,location.flag,location.languages,location.currency.code,location.currency.name",
	},
	{
		name: "ipasis", kind: "ipasis", plan: "lookup",
		traits:  ipwarden.VPN | ipwarden.Proxy | ipwarden.Tor | ipwarden.Relay | ipwarden.Hosting | ipwarden.Abuser | ipwarden.Crawler,
		carried: "location.country_code,location.region,location.city,location.postal,location.latitude,location.longitude,location.time_zone.id," + wholeNet,
		// Abuse is one word for those who attack and those who are reported.
		differs: "security.is_abuser",
	},
	{
		name: "ipasis", kind: "ipasis", plan: "v2/ip",
		traits: ipwarden.VPN | ipwarden.Proxy, carried: "location.country_code", differs: "security.is_abuser",
	},
}

var journeyAddrs = []string{
	"8.8.8.8", "2001:4860:4860::8888", "1.1.1.1", "81.2.69.142", "185.220.101.4", "146.70.1.1", "66.249.66.1", "126.1.2.3", "9.9.9.9",
}

// What we know survives a vendor's wire format, there and back: no fact gets
// lost that the format has a word for, and none is another one afterwards.
func TestRoundTrip(t *testing.T) {
	set, err := dialect.New(dialect.Config{Scores: risk.Scores})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(newAPI(t, func(c *Config) { c.Dialects = set }).Handler())
	t.Cleanup(server.Close)
	world := ipwardentest.Sample()
	for _, j := range journeys {
		t.Run(strings.Trim(j.name+" "+j.plan, " "), func(t *testing.T) {
			p := j.client(t, server.URL)
			carried, err := ipwarden.ParseFields(strings.Trim(j.carried, ","))
			if err != nil {
				t.Fatal(err)
			}
			var differs ipwarden.Fields
			if j.differs != "" {
				if differs, err = ipwarden.ParseFields(j.differs); err != nil {
					t.Fatal(err)
				}
			}
			for _, text := range journeyAddrs {
				addr := netip.MustParseAddr(text)
				want, err := world.Lookup(context.Background(), addr)
				if err != nil {
					t.Fatal(err)
				}
				got, err := p.Lookup(context.Background(), addr)
				if err != nil {
					t.Errorf("%s: %v", text, err)
					continue
				}
				sameFacts(t, text, got, want, carried, differs, j.traits)
			}
		})
	}
}

// client makes the provider.
func (j *journey) client(t *testing.T, url string) *provider.Provider {
	t.Helper()
	cfg := provider.Config{Kind: j.kind, Plan: j.plan, Key: "k", Account: "42", BaseURL: url + "/compat/" + j.name, Country: country}
	if j.mapped != "" {
		m, err := provider.ShippedMap(j.mapped)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Map, cfg.Account = m, ""
		cfg.BaseURL += map[string]string{"ip-api": "/json/{ip}?fields=66846719&key={key}", "ipregistry": "/{ip}"}[j.mapped]
	} else if j.kind != "maxmind" {
		cfg.Account = ""
	}
	p, err := provider.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// country is what follows from a country's code.
func country(code string) (ipwarden.Location, bool) {
	for _, text := range journeyAddrs {
		rec, err := ipwardentest.Sample().Lookup(context.Background(), netip.MustParseAddr(text))
		if loc := rec.Location(); err == nil && loc.CountryCode == code {
			return ipwarden.Location{
				ContinentCode: loc.ContinentCode, Continent: loc.Continent, CountryCode: code, Country: loc.Country, IsEU: loc.IsEU,
				Currency: loc.Currency, Languages: loc.Languages, CallingCode: loc.CallingCode, Flag: loc.Flag,
			}, true
		}
	}
	return ipwarden.Location{}, false
}

func sameFacts(t *testing.T, addr string, got, want ipwarden.Record, carried, differs ipwarden.Fields, traits ipwarden.Traits) {
	t.Helper()
	v := ipwarden.View{Fields: ipwarden.DefaultFields(), Now: noon}
	// What an answer of a provider has of itself.
	own := []ipwarden.Field{ipwarden.FieldDatasetDate, ipwarden.FieldNetwork, ipwarden.FieldListings}
	for f := range v.Fields.All() {
		g, gotIt := v.AppendText(nil, got, f)
		w, wantIt := v.AppendText(nil, want, f)
		switch {
		case f.Traits() != 0 || differs.Has(f):
		case carried.Has(f) && string(g) != string(w):
			t.Errorf("%s: %s is %q after the journey, %q before", addr, f, g, w)
		case gotIt && (!wantIt || string(g) != string(w)) && !slices.Contains(own, f):
			t.Errorf("%s: %s is %q after the journey, %q before", addr, f, g, w)
		}
	}
	lost, made := want.Traits()&^got.Traits()&traits, got.Traits()&^want.Traits()
	for f := range differs.All() {
		made &^= f.Traits()
	}
	if lost != 0 || made != 0 {
		t.Errorf("%s: the journey loses %v and makes %v", addr, lost.Names(), made.Names())
	}
}
