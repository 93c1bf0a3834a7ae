package gateway

import (
	"net/http"
	"net/netip"
	"strings"
)

// A target is the one reading of what a request asks for. Its path is as it
// came; the gate puts it into the form that goes on.
type target struct {
	path      string
	host      string // in lower case, without a port
	authority string // the same with the port that was given
}

// A malformed request, and why it is not passed on.
type malformed struct {
	status int
	slug   string // of the problem's type
	title  string
	detail string
}

var (
	badTarget = &malformed{
		http.StatusBadRequest, "bad-target", "The target can be read in two ways",
		"Write the target as a path and a query, such as /a/b?c=d, without a fragment and without a user.",
	}
	badHost = &malformed{
		http.StatusBadRequest, "bad-host", "The host can be read in two ways, or is none",
		"Send one Host, a name or an address with an optional port, such as example.org:8080; in HTTP/2 as :authority.",
	}
	badMethod = &malformed{
		http.StatusMethodNotAllowed, "method-not-passed-on", "This method is not passed on",
		"CONNECT and TRACE end here: the first would open a way past the gate, the second would show what the gate tells the application.",
	}
)

// readTarget reads what a request asks for, or says why it has no one reading.
func readTarget(r *http.Request) (t target, wrong *malformed) {
	if r.Method == http.MethodConnect || r.Method == http.MethodTrace {
		return t, badMethod
	}
	// HTTP/1.1's server has taken Host out of the header; in HTTP/2 it may stand
	// beside :authority, and must then be the same (RFC 9113 section 8.3.1).
	for _, h := range r.Header["Host"] {
		if h != r.Host {
			return t, badHost
		}
	}
	var ok bool
	if t.host, t.authority, ok = readHost(r.Host); !ok {
		return t, badHost
	}
	// What a client has no business sending (RFC 9112 section 3.2.1) and many
	// servers end a path at.
	if strings.IndexByte(r.RequestURI, '#') >= 0 {
		return t, badTarget
	}
	t.path, _, _ = strings.Cut(r.RequestURI, "?")
	switch {
	case strings.HasPrefix(t.path, "/"):
	case t.path == "*" && r.Method == http.MethodOptions && r.RequestURI == "*":
	case r.ProtoMajor == 1 && r.URL.Host != "":
		// The absolute form, in which the target's host counts and not Host
		// (RFC 9112 section 3.2.2). net/http has put it into r.Host.
		scheme, rest, _ := strings.Cut(t.path, "://")
		authority, path, more := strings.Cut(rest, "/")
		if !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") || authority != r.Host {
			return t, badTarget
		}
		t.path = "/"
		if more {
			t.path += path
		}
	default:
		return t, badTarget
	}
	return t, nil
}

// readHost reads a Host field: a name or an address, and a port. Both results
// are in lower case and without the dot that ends an absolute name; host is
// without the port. What some server might read otherwise is not ok.
func readHost(field string) (host, authority string, ok bool) {
	host = field
	port := ""
	if strings.HasPrefix(field, "[") {
		end := strings.IndexByte(field, ']')
		if end < 0 {
			return "", "", false
		}
		host, port = field[:end+1], field[end+1:]
		a, err := netip.ParseAddr(host[1:end])
		if err != nil || !a.Is6() || a.Zone() != "" {
			return "", "", false
		}
	} else {
		if i := strings.IndexByte(field, ':'); i >= 0 {
			host, port = field[:i], field[i:]
		}
		bare := strings.TrimSuffix(host, ".")
		if !validName(bare) {
			return "", "", false
		}
		if len(bare) < len(host) {
			host, field = bare, bare+port
		}
	}
	if port != "" && !validPort(port) {
		return "", "", false
	}
	if !isLower(field) {
		host, field = strings.ToLower(host), strings.ToLower(field)
	}
	return host, field, true
}

// validName: letters, digits, hyphens, underscores and single dots. Names beyond
// ASCII come as "xn--…" (RFC 5890).
func validName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	dot := true // as if before the first label
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.':
			if dot {
				return false
			}
			dot = true
			continue
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
		dot = false
	}
	return !dot
}

// validPort: a colon and one to five digits.
func validPort(s string) bool {
	if len(s) < 2 || len(s) > 6 || s[0] != ':' {
		return false
	}
	for i := 1; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func isLower(s string) bool {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			return false
		}
	}
	return true
}
