package dialect

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"

	"github.com/ipwarden/ipwarden"
)

// ipdata is ipdata.co's API v1: addresses, fields of them, bulk, and autonomous
// systems. Private and reserved addresses are a mistake there, not an answer.
type ipdata struct{}

const ipdataItems = 100 // of a bulk question

func (ipdata) credential(c *Call) Credential { return keyOf(param(c.Query, "api-key")) }

func (v ipdata) serve(c *Call) {
	v.answer(c)
	if c.Method == http.MethodPost || c.ContentType != typeJSON {
		return
	}
	if name := param(c.Query, "callback"); name != "" && goodCallback(name) {
		c.ContentType = typeScript
		c.Out = jsonp(name, c.Out)
	}
}

func (v ipdata) answer(c *Call) {
	var s [maxSegments]string
	n := segments(c.path, &s)
	if c.Method == http.MethodPost {
		if n == 1 && s[0] == "bulk" {
			v.bulk(c)
			return
		}
		c.fail(notFound)
		return
	}
	if n < 0 || n > 2 {
		c.fail(notFound)
		return
	}
	fields, ok := v.selected(c)
	if !ok {
		return
	}
	rest := ""
	switch {
	case n == 2 && s[0] == "asn": // as the .NET client and others ask
		s[0], rest = s[1], "asn"
	case n == 2:
		rest = s[1]
	case n == 1 && ipdataField(s[0]) != 0, n == 1 && isLanguageTag(s[0]):
		s[0], rest = "", s[0]
	}
	if number, isAS := looksLikeAS(s[0]); isAS {
		v.system(c, s[0], number)
		return
	}
	var rec ipwarden.Record
	if s[0] == "" {
		addr := c.client()
		if !addr.IsValid() {
			c.fail(noCaller)
			return
		}
		c.Private = true
		rec, ok = v.find(c, addr.String())
	} else {
		rec, ok = v.find(c, s[0])
	}
	if !ok {
		return
	}
	c.about(rec)
	field := ipdataField(rest)
	switch {
	case field != 0:
		v.single(c, rec, field)
	case rest == "" || isLanguageTag(rest): // names come in English whatever is asked
		c.Out = v.append(c.Out, c, rec, fields)
	default:
		v.mistake(c, http.StatusNotFound, rest+" is not a valid field.")
	}
}

// find looks up an address as text; on false the mistake is written.
func (v ipdata) find(c *Call, s string) (rec ipwarden.Record, ok bool) {
	addr, ok := parseAddr(s)
	if !ok {
		v.mistake(c, http.StatusBadRequest, clip(s)+" does not appear to be an IPv4 or IPv6 address")
		return rec, false
	}
	rec, ok = c.look(addr)
	if ok && rec.Traits().Has(ipwarden.Bogon) {
		v.mistake(c, http.StatusBadRequest, rec.Addr().String()+ipdataBogon(rec.Addr()))
		return rec, false
	}
	return rec, ok
}

func ipdataBogon(a netip.Addr) string {
	if a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() {
		return " is a private IP address"
	}
	return " is a reserved IP address"
}

// clip keeps what a message repeats short.
func clip(s string) string {
	if len(s) > 100 {
		return strings.ToValidUTF8(s[:100], "") + "…"
	}
	return s
}

// single answers one field bare: text without quotes, whatever else as JSON.
func (v ipdata) single(c *Call, rec ipwarden.Record, f ipdataFields) {
	start := len(c.Out)
	c.Out = v.append(c.Out, c, rec, f)
	_, value, ok := strings.Cut(string(c.Out[start:len(c.Out)-1]), ":")
	c.Out = c.Out[:start]
	switch n := len(value); {
	case !ok:
		c.Out = append(c.Out, "null"...) // of which nothing is known
	case value[0] != '"':
		c.Out = append(c.Out, value...)
	case strings.IndexByte(value, '\\') < 0:
		c.Out, c.ContentType = append(c.Out, value[1:n-1]...), typeText
	default:
		var s string
		_ = json.Unmarshal([]byte(value), &s) // it is our own
		c.Out, c.ContentType = append(c.Out, s...), typeText
	}
}

// bulk answers an array of addresses and systems with an array; an item that has
// no answer is a message.
func (v ipdata) bulk(c *Call) {
	fields, ok := v.selected(c)
	if !ok {
		return
	}
	body, ok := c.body()
	if !ok {
		return
	}
	limit := c.bulk(ipdataItems)
	all, why := items(body, limit)
	switch why {
	case itemsNone:
		v.mistake(c, http.StatusBadRequest, "Bulk lookups must contain at least 1 resource.")
		return
	case itemsMany:
		v.mistake(c, http.StatusBadRequest, "Bulk lookups are limited to "+itoa(limit)+" resources.")
		return
	case itemsBad:
		v.mistake(c, http.StatusBadRequest, `The body has to be a JSON array of IP addresses, such as ["8.8.8.8","1.1.1.1"].`)
		return
	}
	if !c.admit(len(all) - 1) {
		return
	}
	out := append(c.Out, '[')
	for i, it := range all {
		c.restart(http.StatusOK)
		c.Out = c.part[:0]
		number, isAS := looksLikeAS(it.text)
		switch {
		case !it.ok:
			v.mistake(c, http.StatusBadRequest, "Item "+itoa(i)+" is not a string.")
		case len(out) >= maxAnswer:
			v.mistake(c, http.StatusBadRequest, "The answers before this one take up the room; ask for fewer at once.")
		case isAS:
			v.system(c, it.text, number)
		default:
			if rec, ok := v.find(c, it.text); ok {
				c.Out = v.append(c.Out, c, rec, fields)
			}
		}
		c.part = c.Out
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, c.part...)
	}
	c.restart(http.StatusOK)
	c.Lines = c.Lines[:0] // those of items
	c.Out = append(out, ']')
}

// looksLikeAS tells "AS15169", and "ASBlah" with the number 0.
func looksLikeAS(s string) (n uint32, is bool) {
	if len(s) < 3 || !strings.EqualFold(s[:2], "as") || strings.IndexByte(s, ':') >= 0 {
		return 0, false
	}
	n, isAS, ok := parseAS(s)
	if !isAS || !ok {
		n = 0
	}
	return n, s != "asn"
}

func (v ipdata) system(c *Call, asked string, n uint32) {
	as, a, ok := c.system(n)
	if n == 0 || !ok {
		v.mistake(c, http.StatusNotFound, clip(asked)+" was not found.")
		return
	}
	c.Keep = KeepDay
	dst := asMember(c.Out, `{"asn":`, as.Number)
	dst = nullable(dst, `,"name":`, as.Name)
	dst = nullable(dst, `,"domain":`, as.Domain)
	dst = append(dst, `,"route":null`...)
	dst = nullable(dst, `,"type":`, as.Kind)
	dst = nullable(dst, `,"registry":`, as.Registry)
	dst = number(dst, `,"num_ips":`, int64(a.addresses))
	dst = appendNetworks(append(dst, `,"ipv4_prefixes":`...), a.v4)
	dst = appendNetworks(append(dst, `,"ipv6_prefixes":`...), a.v6)
	c.Out = append(dst, '}')
}

func appendNetworks(dst []byte, all []netip.Prefix) []byte {
	dst = append(dst, '[')
	for i, p := range all {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = network(dst, "", p)
	}
	return append(dst, ']')
}

// mistake writes ipdata's envelope.
func (ipdata) mistake(c *Call, status int, message string) {
	c.restart(status)
	c.Out = append(text(c.Out, `{"message":`, message), '}')
}

func (v ipdata) fail(c *Call, f failure) { v.mistake(c, f.status(), f.String()) }

func (v ipdata) refuse(c *Call, r *Refusal) {
	status, message := http.StatusForbidden, ""
	switch r.Code {
	case NoKey:
		status, message = http.StatusUnauthorized, "You have not provided a valid API Key."
	case UnknownKey, DisabledKey:
		message = "You have either exceeded your quota or that API key does not exist."
	case OverQuota:
		message = "You have made " + commas(r.Used) + " requests and have exceeded your daily quota. Upgrade to a higher plan or wait until it resets."
	case TooFast:
		message = "You have made " + commas(r.Used) + " requests and have exceeded your rate limit."
	case WrongAddress, WrongOrigin:
		message = "IP or domain not in whitelist."
	case NotInPlan:
		message = "Your plan does not include this resource."
	}
	v.mistake(c, status, message+" "+r.sentence(c))
}

// commas writes a number as people read it: 20,000.
func commas(n int64) string {
	s := itoa(int(n))
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// isLanguageTag reports whether a path segment is a language of answers, "en" or
// "pt-BR": the route of old clients.
func isLanguageTag(s string) bool {
	letters := func(s string) bool {
		return len(s) == 2 && s[0]|0x20 >= 'a' && s[0]|0x20 <= 'z' && s[1]|0x20 >= 'a' && s[1]|0x20 <= 'z'
	}
	return letters(s) || len(s) == 5 && s[2] == '-' && letters(s[:2]) && letters(s[3:])
}
