package provider

import (
	"github.com/ipwarden/ipwarden"
)

// abuseIPDB is AbuseIPDB's check of one address, API v2.
func abuseIPDB() *vendor {
	return &vendor{
		base: "https://api.abuseipdb.com", terms: "AbuseIPDB terms of service",
		keyIn: []string{inHeader}, header: "Key", needsKey: true,
		target: func(*Config) string { return "/api/v2/check?maxAgeInDays=90&ipAddress={ip}" },
		read:   readAbuseIPDB,
		refused: func(status int, d node) (meaning, string) {
			if status == 200 && d.get("data.isPublic").text() == "false" {
				return meansUnknown, ""
			}
			return meansFine, ""
		},
	}
}

func readAbuseIPDB(a *answer, top node) {
	d := top.get("data")
	a.set(ipwarden.FieldCountryCode, d.get("countryCode"))
	a.set(ipwarden.FieldCountry, d.get("countryName"))
	a.set(ipwarden.FieldCompanyName, d.get("isp"))
	a.set(ipwarden.FieldCompanyDomain, d.get("domain"))
	a.set(ipwarden.FieldCompanyKind, d.get("usageType"))
	switch d.get("usageType").text() {
	case "Data Center/Web Hosting/Transit", "Content Delivery Network":
		a.trait(ipwarden.Hosting, node{true})
	case "Mobile ISP":
		a.trait(ipwarden.Mobile, node{true})
	case "Search Engine Spider":
		a.trait(ipwarden.Crawler, node{true})
		a.set(ipwarden.FieldCrawlerPurpose, node{"search"})
	}
	a.trait(ipwarden.Tor, d.get("isTor"))
	score, ok := d.get("abuseConfidenceScore").number()
	if !ok {
		return
	}
	abuser := score >= float64(a.cfg.AbuseFrom) && !d.get("isWhitelisted").isTrue()
	a.trait(ipwarden.Abuser, node{abuser})
	a.note(ipwarden.FieldIsAbuser, "confidence "+d.get("abuseConfidenceScore").text()+" of 100, reports "+d.get("totalReports").text())
	if abuser {
		a.listing(ipwarden.Listing{
			Name: "abuseipdb", Type: "abuser", URL: "https://www.abuseipdb.com/check/" + a.addr.String(), Date: day(d.get("lastReportedAt")),
		})
	}
}
