package crawler

import "strings"

// hostName returns a name from DNS in lower case and without the final dot, if
// it is a host name: letters, digits and hyphens (RFC 952, RFC 1123 section
// 2.1). Whoever has an address says what its name is, so it may be anything; what
// is no host name goes no further.
func hostName(name string) (string, bool) {
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > 253 {
		return "", false
	}
	label := 0
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
			label++
		case c == '-' && label > 0:
			label++
		case c == '.' && label > 0 && name[i-1] != '-':
			label = 0
		default:
			return "", false
		}
		if label > 63 {
			return "", false
		}
	}
	if label == 0 || name[len(name)-1] == '-' {
		return "", false
	}
	return strings.ToLower(name), true
}

// isPattern reports whether h is a pattern whose names are all one owner's: behind
// a star there is a dot and a domain of at least two labels. "*googlebot.com" is
// none, for anybody can have evilgooglebot.com.
func isPattern(h string) bool {
	if _, ok := hostName(strings.Replace(h, "*", "x", 1)); !ok || h != strings.ToLower(h) {
		return false
	}
	domain := h
	if _, after, star := strings.Cut(h, "*"); star {
		if !strings.HasPrefix(after, ".") {
			return false
		}
		domain = after[1:]
	}
	return strings.Contains(domain, ".")
}

// matchesHost reports whether a host name is one of the pattern's, in which a
// star stands for one or more characters.
func matchesHost(pattern, name string) bool {
	before, after, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == name
	}
	return len(name) > len(before)+len(after) && strings.HasPrefix(name, before) && strings.HasSuffix(name, after)
}

func matchesAny(patterns []string, name string) bool {
	for _, p := range patterns {
		if matchesHost(p, name) {
			return true
		}
	}
	return false
}
