package dialect

import (
	"net/http"

	"github.com/ipwarden/ipwarden"
)

// ipasis is IPASIS's API. What its documentation, its examples and articles about
// it ask for and read differs in path and in shape: one answer has all of them.
// The first part is the documented one; location, security, isp and the members
// beside them are what the others read.
type ipasis struct{}

func (ipasis) credential(c *Call) Credential {
	h := c.Transport.Fields()
	return keyOf(first(h, "X-Api-Key"), authorization(h, "Bearer"), param(c.Query, "key"))
}

func (v ipasis) serve(c *Call) {
	if c.Method == http.MethodPost {
		c.fail(wrongMethod)
		return
	}
	var path [maxSegments]string
	n := segments(c.path, &path)
	if n < 0 {
		c.fail(notFound)
		return
	}
	s := path[:n]
	if n > 0 && (s[0] == "v1" || s[0] == "v2") {
		s = s[1:]
	}
	if len(s) == 2 && s[0] == "ip" {
		s = s[1:]
	}
	switch {
	case len(s) != 1:
		c.fail(notFound)
	case s[0] == "lookup":
		v.lookup(c, param(c.Query, "ip"))
	case s[0] == "validate-email":
		v.email(c)
	default:
		v.lookup(c, s[0])
	}
}

// lookup answers about an address, or whoever asks when there is none.
func (v ipasis) lookup(c *Call, asked string) {
	rec, ok := v.find(c, asked)
	if !ok {
		return
	}
	c.about(rec)
	c.Out = append(v.append(c.Out, rec), '\n')
}

func (v ipasis) find(c *Call, asked string) (rec ipwarden.Record, ok bool) {
	if asked == "" {
		return c.own()
	}
	addr, ok := parseAddr(asked)
	if !ok {
		v.mistake(c, http.StatusBadRequest, "invalid_ip", clip(asked)+" is not a valid IP address.")
		return rec, false
	}
	return c.look(addr)
}

// email answers what is asked beside a sign-up. Of the mail address nothing is
// known here: the risk is that of the IP address.
func (v ipasis) email(c *Call) {
	mail, asked := param(c.Query, "email"), param(c.Query, "ip")
	if mail == "" {
		v.mistake(c, http.StatusBadRequest, "missing_email", "The parameter email is missing.")
		return
	}
	if asked == "" {
		c.Out = text(c.Out, `{"email":`, clip(mail))
		c.Out = append(c.Out, `,"risk":{"score":0,"level":"unknown"},"ip":null}`+"\n"...)
		return
	}
	rec, ok := v.find(c, asked)
	if !ok {
		return
	}
	sc := c.scores(rec)
	score := max(sc.VPN, sc.Proxy, sc.Threat)
	level := "low"
	switch {
	case score >= 75:
		level = "high"
	case score >= 25:
		level = "medium"
	}
	dst := text(c.Out, `{"email":`, clip(mail))
	dst = number(dst, `,"risk":{"score":`, int64(score))
	dst = text(dst, `,"level":`, level)
	c.Out = append(v.append(append(dst, `},"ip":`...), rec), '}', '\n')
}

const anyProxy = ipwarden.Proxy | ipwarden.ResidentialProxy

func (ipasis) append(dst []byte, rec ipwarden.Record) []byte {
	t, loc, as, co, sec := rec.Traits(), rec.Location(), rec.ASN(), rec.Company(), rec.Security()
	dst = address(dst, `{"ip":`, rec.Addr())
	dst = text(dst, `,"city":`, loc.City)
	dst = text(dst, `,"region":`, loc.Region)
	dst = text(dst, `,"country":`, loc.CountryCode)
	dst = append(dst, `,"loc":"`...)
	if loc.HasCoordinates {
		dst = appendLoc(dst, &loc)
	}
	dst = text(dst, `","postal":`, loc.Postal)
	dst = text(dst, `,"timezone":`, loc.TimeZone.ID)
	if dst = append(dst, `,"asn":{"ASN":"`...); as.Number != 0 {
		dst = asNumber(dst, as.Number)
	}
	dst = text(dst, `","Name":`, as.Name)
	dst = text(dst, `,"Domain":`, as.Domain)
	dst = network(dst, `,"Route":`, as.Route)
	dst = text(dst, `,"Type":`, as.Kind)
	dst = text(dst, `},"company":{"Name":`, co.Name)
	dst = text(dst, `,"Domain":`, co.Domain)
	dst = text(dst, `,"Type":`, co.Kind)
	dst = truth(dst, `},"privacy":{"VPN":`, t.Has(ipwarden.VPN))
	dst = truth(dst, `,"Proxy":`, t.Has(anyProxy))
	dst = truth(dst, `,"Tor":`, t.Has(ipwarden.Tor))
	dst = truth(dst, `,"Relay":`, t.Has(ipwarden.Relay))
	dst = truth(dst, `,"Hosting":`, t.Has(ipwarden.Hosting))
	dst = truth(dst, `,"Abuse":`, t.Has(ipwarden.Threat))
	dst = truth(dst, `,"AI":`, sec.Crawler.Purpose == "ai_training")
	dst = truth(dst, `,"Crawler":`, t.Has(ipwarden.Crawler))
	dst = text(dst, `,"Service":`, sec.VPN)
	dst = append(dst, `},"abuse":{"Address":"","Country":"","Email":"","Name":"","Network":"","Phone":""},"domains":{"Page":0,"Total":0,"Domains":null}`...)

	dst = text(dst, `,"country_code":`, loc.CountryCode)
	dst = text(dst, `,"isp":`, as.Name)
	dst = truth(dst, `,"is_vpn":`, t.Has(ipwarden.VPN))
	dst = truth(dst, `,"is_proxy":`, t.Has(anyProxy))
	dst = truth(dst, `,"is_tor":`, t.Has(ipwarden.Tor))
	dst = text(dst, `,"location":{"country_code":`, loc.CountryCode)
	dst = text(dst, `,"country":`, loc.Country)
	dst = text(dst, `,"region":`, loc.Region)
	dst = text(dst, `,"city":`, loc.City)
	if loc.HasCoordinates {
		dst = degrees(dst, `,"latitude":`, loc.Latitude)
		dst = degrees(dst, `,"longitude":`, loc.Longitude)
	}
	for _, m := range [...]struct {
		key   string
		trait ipwarden.Traits
	}{
		{`},"security":{"is_vpn":`, ipwarden.VPN},
		{`,"is_proxy":`, anyProxy},
		{`,"is_tor":`, ipwarden.Tor},
		{`,"is_relay":`, ipwarden.Relay},
		{`,"is_hosting":`, ipwarden.Hosting},
		{`,"is_datacenter":`, ipwarden.Hosting},
		{`,"is_crawler":`, ipwarden.Crawler},
		{`,"is_anonymous":`, ipwarden.Anonymous},
		{`,"is_abuser":`, ipwarden.Abuser},
		{`,"is_attacker":`, ipwarden.Attacker},
		{`,"is_threat":`, ipwarden.Threat},
		{`,"is_bogon":`, ipwarden.Bogon},
	} {
		dst = truth(dst, m.key, t.Has(m.trait))
	}
	return append(dst, '}', '}')
}

// mistake writes a JSON mistake: a word for machines, a sentence for people.
func (ipasis) mistake(c *Call, status int, code, message string) {
	c.restart(status)
	dst := number(c.Out, `{"status":`, int64(status))
	dst = text(dst, `,"error":`, code)
	c.Out = append(text(dst, `,"message":`, message), '}', '\n')
}

func (v ipasis) fail(c *Call, f failure) {
	code := [...]string{
		notFound: "not_found", wrongMethod: "method_not_allowed", noData: "unavailable", unanswered: "unavailable",
		unreadable: "bad_request", tooLarge: "too_large", noCaller: "missing_ip", broken: "internal_error",
	}[f]
	v.mistake(c, f.status(), code, f.String())
}

func (v ipasis) refuse(c *Call, r *Refusal) {
	status, code := http.StatusForbidden, "forbidden"
	switch r.Code {
	case NoKey:
		status, code = http.StatusUnauthorized, "missing_api_key"
	case UnknownKey:
		status, code = http.StatusUnauthorized, "invalid_api_key"
	case OverQuota:
		status, code = http.StatusTooManyRequests, "quota_exceeded"
	case TooFast:
		status, code = http.StatusTooManyRequests, "rate_limit_exceeded"
	}
	v.mistake(c, status, code, r.sentence(c))
}
