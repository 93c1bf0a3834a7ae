package dialect

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/ipwarden/ipwarden"
)

// summary counts who a list of addresses are.
func (v ipinfo) summary(c *Call) {
	all, ok := v.read(c)
	if !ok {
		return
	}
	sum := map[string]map[string]int{}
	for _, group := range ipinfoGroups {
		sum[group] = map[string]int{}
	}
	counts := map[string]int{}
	seen := map[string]bool{}
	total := 0
	for _, it := range all {
		addr, ok := parseAddr(it.text)
		if !ok {
			continue
		}
		total++
		rec, ok := c.look(addr)
		if !ok {
			return
		}
		if text := rec.Addr().String(); !seen[text] {
			seen[text] = true
			v.count(sum, counts, rec)
		}
	}
	if total == 0 {
		v.titled(c, http.StatusUnprocessableEntity, "No IPs Found", "There were no valid IPs in the text.")
		return
	}
	c.restart(http.StatusOK)
	c.ContentType = typeJSONUTF
	dst := number(c.Out, `{"total":`, int64(total))
	dst = number(dst, `,"unique":`, int64(len(seen)))
	for _, group := range ipinfoGroups {
		dst = append(strconv.AppendQuote(append(dst, ','), group), ':')
		dst = appendCounts(dst, sum[group])
	}
	dst = number(dst, `,"mobile":`, int64(counts["mobile"]))
	dst = number(dst, `,"anycast":`, int64(counts["anycast"]))
	dst = number(dst, `,"bogon":`, int64(counts["bogon"]))
	dst = number(dst, `,"privacy":{"vpn":`, int64(counts["vpn"]))
	dst = number(dst, `,"proxy":`, int64(counts["proxy"]))
	dst = number(dst, `,"hosting":`, int64(counts["hosting"]))
	dst = number(dst, `,"relay":`, int64(counts["relay"]))
	c.Out = append(number(dst, `,"tor":`, int64(counts["tor"])), '}', '}', '\n')
}

// ipinfoGroups are what a summary counts by, in the order of the answer.
var ipinfoGroups = [...]string{
	"countries", "cities", "regions", "asns", "companies", "ipTypes", "routes", "carriers", "domains", "privacyServices",
}

func (ipinfo) count(sum map[string]map[string]int, counts map[string]int, rec ipwarden.Record) {
	t := rec.Traits()
	for name, trait := range map[string]ipwarden.Traits{
		"mobile": ipwarden.Mobile, "anycast": ipwarden.Anycast, "bogon": ipwarden.Bogon, "vpn": ipwarden.VPN,
		"proxy": ipwarden.Proxy | ipwarden.ResidentialProxy, "hosting": ipwarden.Hosting, "relay": ipwarden.Relay, "tor": ipwarden.Tor,
	} {
		if t.Has(trait) {
			counts[name]++
		}
	}
	add := func(group, name string) {
		if name != "" {
			sum[group][name]++
		}
	}
	loc, as := rec.Location(), rec.ASN()
	add("countries", loc.CountryCode)
	if loc.City != "" {
		add("cities", joinKnown(loc.City, loc.Region, loc.CountryCode))
	}
	if loc.Region != "" {
		add("regions", joinKnown(loc.Region, loc.CountryCode))
	}
	if as.Number != 0 {
		add("asns", string(appendOrg(nil, &as)))
	}
	add("ipTypes", as.Kind)
	if as.Route.IsValid() {
		add("routes", as.Route.String())
	}
	add("companies", rec.Company().Name)
	add("carriers", rec.Carrier().Name)
	add("privacyServices", rec.Security().VPN)
}

// joinKnown joins what is known with commas.
func joinKnown(parts ...string) (all string) {
	for _, p := range parts {
		if p != "" && all != "" {
			all += ", "
		}
		all += p
	}
	return all
}

// appendCounts appends an object of counts, the largest first.
func appendCounts(dst []byte, counts map[string]int) []byte {
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	dst = append(dst, '{')
	for i, name := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(ipwarden.AppendString(dst, name), ':')
		dst = strconv.AppendInt(dst, int64(counts[name]), 10)
	}
	return append(dst, '}')
}
