package gateway

import "strings"

// What a proxy tells of a request and only we may: it is removed, and the first
// two are set. Clients' addresses are the gate's to remove.
func told() []string {
	return []string{
		"x-forwarded-host", "x-forwarded-proto",
		"x-forwarded-port", "x-forwarded-scheme", "x-forwarded-protocol", "x-forwarded-ssl", "x-forwarded-server",
		"x-forwarded-prefix", "x-forwarded-uri", "x-forwarded-path", "x-forwarded-method", "x-original-host", "x-host",
		"x-url-scheme", "x-scheme", "front-end-https",
	}
}

// Headers that make some applications serve another method or path than the
// request's, so that they would serve what was not judged.
func overrides() []string {
	return []string{
		"x-http-method-override", "x-http-method", "x-method-override",
		"x-original-url", "x-rewrite-url", "x-original-uri", "x-original-method", "x-override-url",
	}
}

// names is a set of header names, folded as applications behind CGI see them:
// in lower case, with hyphens for underscores.
type names map[string]struct{}

func newNames(lists ...[]string) names {
	n := names{}
	for _, l := range lists {
		for _, name := range l {
			n[name] = struct{}{}
		}
	}
	return n
}

const maxName = 32 // of those in a set, in bytes

func (n names) has(name string) bool {
	if len(name) > maxName || name == "" || name[0]|0x20 != 'x' && name[0]|0x20 != 'f' {
		return false
	}
	var folded [maxName]byte
	for i := range len(name) {
		c := name[i]
		switch {
		case 'A' <= c && c <= 'Z':
			c |= 0x20
		case c == '_':
			c = '-'
		}
		folded[i] = c
	}
	_, ok := n[string(folded[:len(name)])]
	return ok
}

// speaksHTTP reports whether requests could be sent in a protocol that is
// switched to.
func speaksHTTP(protocol string) bool {
	p := strings.ToLower(protocol)
	return strings.HasPrefix(p, "h2") || strings.HasPrefix(p, "h3") || strings.HasPrefix(p, "http") || strings.HasPrefix(p, "tls")
}
