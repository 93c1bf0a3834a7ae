package ipwardentest

import (
	"net/netip"
	"time"

	"github.com/ipwarden/ipwarden"
)

// SampleDate returns the date of the data in [Sample].
func SampleDate() time.Time { return time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC) }

// Sample returns a world of a few networks that between them have every kind
// of answer: a resolver on anycast, a home line, a Tor exit, a VPN in a data
// centre, a crawler, a mobile carrier, special-purpose space, IPv6, and names
// with quotes, commas and other scripts in them. Facts are made up where that
// serves a test.
func Sample() *World {
	return NewWorld([]Row{
		row("8.8.8.0/24", google("8.8.8.0/24")),
		row("2001:4860::/32", google("2001:4860::/32")),
		row("1.1.1.0/24", func(f *ipwarden.Full) {
			f.Traits = ipwarden.Anycast | ipwarden.Hosting
			f.Location = australia()
			f.ASN = as(13335, "CLOUDFLARENET", "cloudflare.com", "1.1.1.0/24", "hosting", "apnic")
		}),
		row("81.2.69.0/24", func(f *ipwarden.Full) {
			f.Location = london()
			f.ASN = as(20712, "Andrews & Arnold Ltd", "aa.net.uk", "81.2.64.0/18", "isp", "ripencc")
			f.Company = ipwarden.Company{Name: `Quoted "Inc", Ltd`, Domain: "example.com", Kind: "business"}
		}),
		row("185.220.101.0/24", func(f *ipwarden.Full) {
			f.Traits = ipwarden.Tor | ipwarden.Hosting | ipwarden.Attacker
			f.Location = germany()
			f.ASN = as(60729, "TORSERVERS-NET", "torservers.net", "185.220.101.0/24", "hosting", "ripencc")
			f.Security.Listings = []ipwarden.Listing{
				{Name: "tor-exits", Type: "proxy", URL: "https://check.torproject.org/", Date: SampleDate()},
				{Name: "ipsum", Type: "attacker", URL: "https://github.com/stamparm/ipsum", Date: SampleDate().AddDate(0, 0, -2)},
			}
			f.Evidence = append(f.Evidence, ipwarden.Evidence{
				Field: ipwarden.FieldIsTor, Value: "true",
				By: []ipwarden.Claim{{Feed: "tor-exits", Date: SampleDate(), Licence: "CC0-1.0", Match: "185.220.101.0/24"}},
			})
		}),
		row("146.70.0.0/16", func(f *ipwarden.Full) {
			f.Traits = ipwarden.VPN | ipwarden.Hosting
			f.Location = germany()
			f.ASN = as(9009, "M247 Europe SRL", "m247.com", "146.70.0.0/16", "hosting", "ripencc")
			f.Security.VPN = "Mullvad"
			f.Security.Hosting = ipwarden.HostingInfo{Name: "M247", Region: "fra", Service: "bare metal"}
		}),
		row("66.249.64.0/19", func(f *ipwarden.Full) {
			google("66.249.64.0/19")(f)
			f.Traits = ipwarden.Crawler
			f.Security.Crawler = ipwarden.CrawlerInfo{Name: "Googlebot", Purpose: "search"}
		}),
		row("126.0.0.0/8", func(f *ipwarden.Full) {
			f.Traits = ipwarden.Mobile
			f.Location = ipwarden.Location{
				ContinentCode: "AS", Continent: "Asia", CountryCode: "JP", Country: "Japan", City: "東京", CallingCode: "81", Flag: "🇯🇵",
				TimeZone:  zone("Asia/Tokyo"),
				Currency:  ipwarden.Currency{Code: "JPY", Name: "Japanese Yen", Symbol: "¥"},
				Languages: []ipwarden.Language{{Code: "ja", Name: "Japanese", Native: "日本語"}},
			}
			f.ASN = as(17676, "SoftBank Corp.", "softbank.jp", "126.0.0.0/8", "isp", "apnic")
			f.Carrier = ipwarden.Carrier{Name: "SoftBank", MCC: "440", MNC: "20"}
		}),
		row("10.0.0.0/8", bogon("Private-Use", "RFC1918")),
		row("100.64.0.0/10", bogon("Shared Address Space", "RFC6598")),
		row("127.0.0.0/8", bogon("Loopback", "RFC1122")),
		row("169.254.0.0/16", bogon("Link Local", "RFC3927")),
		row("192.0.2.0/24", bogon("Documentation (TEST-NET-1)", "RFC5737")),
		row("203.0.113.0/24", bogon("Documentation (TEST-NET-3)", "RFC5737")),
		row("224.0.0.0/4", bogon("Multicast", "RFC1112")),
		row("::1/128", bogon("Loopback Address", "RFC4291")),
		row("fe80::/10", bogon("Link-Local Unicast", "RFC4291")),
		row("2001:db8::/32", bogon("Documentation", "RFC3849")),
	}, ipwarden.ASN{Number: 64500, Name: "EXAMPLE-AS", Kind: "business", Registry: "ripencc"})
}

func row(prefix string, fill func(*ipwarden.Full)) Row {
	r := Row{Prefix: netip.MustParsePrefix(prefix), Full: ipwarden.Full{Date: SampleDate()}}
	fill(&r.Full)
	if c := r.Full.Location.CountryCode; c != "" {
		r.Full.Evidence = append([]ipwarden.Evidence{{
			Field: ipwarden.FieldCountryCode, Value: c,
			By:   []ipwarden.Claim{{Feed: "ipfire", Date: SampleDate(), Licence: "CC-BY-SA-4.0", Match: prefix}},
			Lost: []ipwarden.Claim{{Feed: "delegated-ripencc", Date: SampleDate(), Match: prefix, Value: "SE", Note: "registry country, lower trust"}},
		}}, r.Full.Evidence...)
	}
	return r
}

func as(number uint32, name, domain, route, kind, registry string) ipwarden.ASN {
	return ipwarden.ASN{Number: number, Name: name, Domain: domain, Route: netip.MustParsePrefix(route), Kind: kind, Registry: registry}
}

func bogon(name, rfc string) func(*ipwarden.Full) {
	return func(f *ipwarden.Full) {
		f.Traits = ipwarden.Bogon
		f.Security.Bogon = ipwarden.BogonInfo{Name: name, RFC: rfc}
	}
}

func google(route string) func(*ipwarden.Full) {
	return func(f *ipwarden.Full) {
		f.Traits = ipwarden.Hosting | ipwarden.Anycast
		f.Location = ipwarden.Location{
			ContinentCode: "NA", Continent: "North America", CountryCode: "US", Country: "United States",
			RegionCode: "CA", Region: "California", City: "Mountain View", Postal: "94043",
			HasCoordinates: true, Latitude: 37.4056, Longitude: -122.0775, AccuracyKM: 100,
			TimeZone: zone("America/Los_Angeles"), CallingCode: "1", Flag: "🇺🇸",
			Currency:  ipwarden.Currency{Code: "USD", Name: "US Dollar", Symbol: "$"},
			Languages: []ipwarden.Language{{Code: "en", Name: "English", Native: "English"}, {Code: "es", Name: "Spanish", Native: "español"}},
		}
		f.ASN = as(15169, "Google LLC", "google.com", route, "hosting", "arin")
		f.Company = ipwarden.Company{Name: "Google LLC", Domain: "google.com", Kind: "business"}
		f.Security.Hosting = ipwarden.HostingInfo{Name: "Google", Service: "Public DNS"}
	}
}

func australia() ipwarden.Location {
	return ipwarden.Location{
		ContinentCode: "OC", Continent: "Oceania", CountryCode: "AU", Country: "Australia", CallingCode: "61", Flag: "🇦🇺",
		TimeZone: zone("Australia/Sydney"),
	}
}

func london() ipwarden.Location {
	return ipwarden.Location{
		ContinentCode: "EU", Continent: "Europe", CountryCode: "GB", Country: "United Kingdom", RegionCode: "ENG", Region: "England",
		City: "London", HasCoordinates: true, Latitude: 51.5074, Longitude: -0.1278, AccuracyKM: 20,
		TimeZone: zone("Europe/London"), CallingCode: "44", Flag: "🇬🇧",
		Currency: ipwarden.Currency{Code: "GBP", Name: "British Pound", Symbol: "£"},
	}
}

func germany() ipwarden.Location {
	return ipwarden.Location{
		ContinentCode: "EU", Continent: "Europe", CountryCode: "DE", Country: "Germany", IsEU: true, CallingCode: "49", Flag: "🇩🇪",
		TimeZone:  zone("Europe/Berlin"),
		Currency:  ipwarden.Currency{Code: "EUR", Name: "Euro", Symbol: "€"},
		Languages: []ipwarden.Language{{Code: "de", Name: "German", Native: "Deutsch"}},
	}
}

func zone(id string) ipwarden.TimeZone {
	loc, err := time.LoadLocation(id)
	if err != nil {
		loc = nil // no zone rules on this machine: the fields are absent
	}
	return ipwarden.TimeZone{ID: id, Zone: loc}
}
