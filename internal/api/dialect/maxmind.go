package dialect

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/ipwarden/ipwarden"
)

// maxmind is the GeoIP2 web service, version 2.1: /geoip/v2.1/city/8.8.8.8. A key
// whose value is not known is left out, and a boolean that is false as well.
type maxmind struct{}

// product is one of the three services; each says more than the one before.
type product uint8

const (
	mmCountry product = iota
	mmCity
	mmInsights
)

var (
	products     = [...]string{"country", "city", "insights"}
	productTypes = [...]string{
		"application/vnd.maxmind.com-country+json; charset=UTF-8; version=2.1",
		"application/vnd.maxmind.com-city+json; charset=UTF-8; version=2.1",
		"application/vnd.maxmind.com-insights+json; charset=UTF-8; version=2.1",
	}
)

const typeMaxMindError = "application/vnd.maxmind.com-error+json; charset=UTF-8; version=2.0"

// maxmindPath is what the paths of the service begin with.
const maxmindPath = "/geoip/v2.1/"

func (m maxmind) serve(c *Call) {
	if c.Method == http.MethodPost {
		c.fail(wrongMethod)
		return
	}
	p, addr, ok := maxmindRoute(c.path)
	if !ok {
		c.fail(notFound)
		return
	}
	if !acceptsMaxMind(c.Transport.Fields(), p) {
		c.restart(http.StatusUnsupportedMediaType) // without a body, as the vendor does
		c.ContentType = typeText
		return
	}
	rec, ok := m.find(c, addr)
	if !ok {
		return
	}
	c.ContentType = productTypes[p]
	c.Out = appendMaxMind(c.Out, c, rec, p)
	c.about(rec)
}

// maxmindRoute reads /geoip/v2.1/{product}/{address}; the address may be missing.
func maxmindRoute(path string) (p product, addr string, ok bool) {
	rest, ok := strings.CutPrefix(path, maxmindPath)
	if !ok {
		return 0, "", false
	}
	name, addr, _ := strings.Cut(rest, "/")
	for i, n := range products {
		if n != name {
			continue
		}
		var s [maxSegments]string
		switch segments(addr, &s) {
		case 0:
			return product(i), "", true
		case 1:
			return product(i), s[0], true
		}
	}
	return 0, "", false
}

// find looks up what a path names; on false the error is written.
func (maxmind) find(c *Call, text string) (rec ipwarden.Record, ok bool) {
	switch text {
	case "":
		c.restart(http.StatusBadRequest)
		maxmindError(c, "IP_ADDRESS_REQUIRED", "You have not supplied an IP address, which is a required field.")
		return rec, false
	case "me":
		rec, ok = c.own()
	default:
		var addr netip.Addr
		if addr, ok = parseAddr(text); !ok {
			c.restart(http.StatusBadRequest)
			maxmindError(c, "IP_ADDRESS_INVALID", "The value \""+clip(text)+"\" is not a valid IP address.")
			return rec, false
		}
		rec, ok = c.look(addr)
	}
	switch {
	case !ok:
		return rec, false
	case rec.Traits().Has(ipwarden.Bogon):
		c.restart(http.StatusBadRequest)
		maxmindError(c, "IP_ADDRESS_RESERVED", "The IP address '"+rec.Addr().String()+"' is a reserved IP address (private, multicast, etc.).")
		return rec, false
	case rec.Hot() == 0 && rec.Location().ContinentCode == "":
		c.restart(http.StatusNotFound)
		maxmindError(c, "IP_ADDRESS_NOT_FOUND", "The IP address '"+rec.Addr().String()+"' is not in the database.")
		return rec, false
	}
	return rec, true
}

func maxmindError(c *Call, code, text string) {
	c.ContentType = typeMaxMindError
	c.Out = ipwarden.AppendString(append(c.Out, `{"code":`...), code)
	c.Out = append(ipwarden.AppendString(append(c.Out, `,"error":`...), text), '}')
}

// acceptsMaxMind reports whether an Accept field allows the product's answer.
func acceptsMaxMind(h ipwarden.Header, p product) bool {
	if h == nil {
		return true
	}
	asked := false
	for _, line := range h.Values("Accept") {
		for part := range strings.SplitSeq(line, ",") {
			name, _, _ := strings.Cut(part, ";")
			name = strings.ToLower(strings.Trim(name, " \t"))
			switch name {
			case "":
				continue
			case "*/*", "application/*", typeJSON:
				return true
			}
			full := productTypes[p]
			if full[:strings.IndexByte(full, ';')] == name {
				return true
			}
			asked = true
		}
	}
	return !asked
}

// credential is an account's number and a licence key, by the Basic scheme.
func (maxmind) credential(c *Call) Credential {
	account, licence := basic(c.Transport.Fields())
	k := key(licence)
	k.Account = key(account).Key
	return k
}

func (m maxmind) refuse(c *Call, r *Refusal) {
	why := r.sentence(c)
	status, code, text := http.StatusPaymentRequired, "PERMISSION_REQUIRED", "You do not have permission to use the service."
	switch r.Code {
	case NoKey:
		status, code, text = http.StatusUnauthorized, "LICENSE_KEY_REQUIRED", "You have not supplied a license key."
		if m.credential(c).Account == "" {
			code, text = "ACCOUNT_ID_REQUIRED", "You have not supplied an account ID."
		}
	case UnknownKey, DisabledKey:
		status, code, text = http.StatusUnauthorized, "AUTHORIZATION_INVALID", "Your account ID or license key could not be authenticated."
	case OverQuota:
		code, text = "INSUFFICIENT_FUNDS", "The license key you have provided is out of queries."
	case TooFast:
		status, code, text = http.StatusTooManyRequests, "RATE_LIMITED", "Your request has been denied due to rate-limiting."
	}
	c.Status = status
	if status == http.StatusUnauthorized {
		c.line("Www-Authenticate", `Basic realm="GeoIP2"`)
	}
	maxmindError(c, code, text+" "+why)
}

// maxmindFailures are codes for what the vendor has none for: its clients give
// up on an answer without one.
var maxmindFailures = [...]string{
	notFound: "NOT_FOUND", wrongMethod: "METHOD_NOT_ALLOWED", noData: "SERVICE_UNAVAILABLE", unanswered: "SERVICE_UNAVAILABLE",
	unreadable: "BAD_REQUEST", tooLarge: "BAD_REQUEST", broken: "SERVER_ERROR", noCaller: "IP_ADDRESS_REQUIRED",
}

func (maxmind) fail(c *Call, f failure) { maxmindError(c, maxmindFailures[f], f.String()) }
