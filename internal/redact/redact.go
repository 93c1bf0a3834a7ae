// Package redact takes secrets out of text before it is kept or sent: keys,
// credentials in URLs and header lines, and, where it is asked to, addresses.
//
// The call most people want wraps the handler of a log:
//
//	log := slog.New(redact.Handler(slog.NewJSONHandler(os.Stderr, nil)))
//
// It errs on the side of taking out too much. It is no licence to log secrets: it is
// for those that come in the text of somebody else's error.
package redact

import (
	"net/netip"
	"regexp"
	"strings"
	"sync"
)

// mark stands where something was taken out.
const mark = "[redacted]"

var (
	// A key of this program, whole or cut off; what it is for may be told.
	ownKey = pattern(`ipw_[A-Za-z0-9]{1,8}_[A-Za-z0-9_]+`)
	// The credentials of a URL, up to the last @ before its path (RFC 3986 section 3.2.1).
	userinfo = pattern(`(?i)([a-z][a-z0-9+.-]*://)[^\s/?#"'<>]*@`)
	// Authorization: Bearer …, Basic …, and the like.
	scheme = pattern(`(?i)\b(bearer|basic|token|digest|sentry)([ :]+)[A-Za-z0-9_~+/.=-]{8,}`)
	// name=value and "name": "value", as in queries, forms, JSON and header lines.
	named = pattern(`(?i)\b((?:x-)?(?:api|access|auth|secret|client|session|service|csrf|private)?[-_]?(?:key|token|secret|password|passwd|pwd|cookie|authorization|dsn|otp|totp))("?\s?[=:]\s?"?)([^\s"'&;,<>]+)`)
	// What may be an address: netip says whether it is one.
	maybeAddr = pattern(`[0-9A-Fa-f:.]*(?:\d+\.\d+\.\d+\.\d+|[0-9A-Fa-f]*:[0-9A-Fa-f:]*:[0-9A-Fa-f.]*)`)
)

// pattern is compiled when it is first needed: most commands never do.
func pattern(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}

// Secrets returns s without keys and credentials.
func Secrets(s string) string {
	if len(s) < 5 {
		return s
	}
	if strings.Contains(s, "ipw_") {
		s = ownKey().ReplaceAllString(s, mark)
	}
	if strings.Contains(s, "://") {
		s = userinfo().ReplaceAllString(s, "${1}"+mark+"@")
	}
	if strings.ContainsAny(s, "=: ") {
		s = scheme().ReplaceAllString(s, "${1}${2}"+mark)
		s = named().ReplaceAllStringFunc(s, func(m string) string {
			p := named().FindStringSubmatch(m)
			if strings.HasPrefix(p[3], "[") || len(p[3]) < 4 { // taken out already, or a word such as "no"
				return m
			}
			return p[1] + p[2] + mark
		})
	}
	return s
}

// Addresses returns s with the host part of each address taken out: of IPv4 what is
// behind its /24, of IPv6 what is behind its /48. Loopback stays.
func Addresses(s string) string {
	return maybeAddr().ReplaceAllStringFunc(s, func(m string) string {
		text := strings.TrimRight(m, ".:") // a sentence may end there
		rest := m[len(text):]
		if strings.Count(text, ":") == 1 { // 192.0.2.1:80
			i := strings.IndexByte(text, ':')
			text, rest = text[:i], text[i:]+rest
		}
		a, err := netip.ParseAddr(text)
		if err != nil && strings.HasPrefix(rest, "::") { // 2001:db8::
			text, rest = text+"::", rest[2:]
			a, err = netip.ParseAddr(text)
		}
		if err != nil {
			return m
		}
		if a.IsLoopback() || a.IsUnspecified() {
			return m
		}
		bits := 48
		if a.Is4() || a.Is4In6() {
			a, bits = a.Unmap(), 24
		}
		return netip.PrefixFrom(a, bits).Masked().String() + rest
	})
}

// secretNames are names of fields whose whole value is a secret, in small letters.
var secretNames = map[string]bool{
	"authorization": true, "proxy-authorization": true, "cookie": true, "set-cookie": true, "x-api-key": true, "api_key": true, "apikey": true,
	"password": true, "passwd": true, "secret": true, "token": true, "access_token": true, "dsn": true, "otp": true, "totp": true, "csrf": true, "session": true,
}

// Named reports whether what is called so is a secret whatever it looks like.
func Named(name string) bool { return secretNames[strings.ToLower(name)] }
