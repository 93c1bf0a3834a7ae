package authz

import "strings"

// An origin is what a browser says about the page that asks (Fetch standard,
// section 3.1), or a pattern of them with "*." before the host.
type origin struct {
	scheme string // "https"
	host   string // with its port, without "*."
	wild   bool   // any host below it
}

// newOrigin reads what [customer.Key.Origins] has: "https://example.com",
// "https://*.example.com", "http://localhost:3000". What is none matches nothing.
func newOrigin(s string) (o origin) {
	scheme, host, ok := strings.Cut(strings.TrimSuffix(strings.TrimSpace(s), "/"), "://")
	if !ok {
		return origin{}
	}
	o = origin{scheme: strings.ToLower(scheme), host: strings.ToLower(host)}
	if rest, ok := strings.CutPrefix(o.host, "*."); ok {
		o.host, o.wild = rest, true
	}
	if o.host == "" || strings.ContainsAny(o.host, "*/?#@ ") {
		return origin{}
	}
	return o
}

// is reports whether a page of scheme and host may use the key.
func (o origin) is(scheme, host string) bool {
	if o.host == "" || !strings.EqualFold(o.scheme, scheme) {
		return false
	}
	if !o.wild {
		return strings.EqualFold(o.host, host)
	}
	n := len(host) - len(o.host)
	return n > 1 && host[n-1] == '.' && strings.EqualFold(host[n:], o.host)
}

// pageOf returns scheme and host, with its port, of an Origin or a Referer; false
// when it is neither: "null" is a page without an origin.
func pageOf(s string) (scheme, host string, ok bool) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return "", "", false
	}
	for i := 0; i < len(rest); i++ {
		switch rest[i] {
		case '@':
			return "", "", false
		case '/', '?', '#':
			rest = rest[:i]
		}
	}
	return scheme, rest, rest != ""
}

// hostOf is the host of a Referer, "" when it has none.
func hostOf(referer string) string {
	if referer == "" {
		return ""
	}
	_, host, _ := pageOf(referer)
	return host
}

// fromOrigin reports whether the call is from a page that may use the key. Origin
// goes before Referer, which it leaves out of account when it is there.
func (d *detail) fromOrigin(c *Call) bool {
	from := c.Origin
	if from == "" {
		from = c.Referer
	}
	scheme, host, ok := pageOf(from)
	if !ok {
		return false
	}
	if len(d.origins) == 0 {
		return true
	}
	for _, o := range d.origins {
		if o.is(scheme, host) {
			return true
		}
	}
	return false
}
