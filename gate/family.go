package gate

import (
	"errors"
	"strings"

	"github.com/ipwarden/ipwarden"
)

// A Family is a kind of proxy that asks, with a request of its own, about the
// requests that come to it. Each has its own endpoint, which reads that family's
// headers and no other's: what one proxy sets itself, another passes on from
// whoever sent it.
type Family uint8

const (
	// Nginx is auth_request. It takes 2xx for yes, 401 and 403 for no, and
	// anything else for a mistake, so the real status is in X-Ipwarden-Status.
	Nginx Family = iota
	// ForwardAuth is what Traefik and Caddy do. A refusal is passed on whole.
	ForwardAuth
	// Envoy is ext_authz over HTTP: the request's own path behind a prefix.
	Envoy
)

// String is the last part of the path of its endpoint.
func (f Family) String() string { return [...]string{"nginx", "forward-auth", "envoy"}[f] }

// familyHeaders names what each family tells of a request.
var familyHeaders = [...]struct{ uri, method, host, scheme string }{
	Nginx:       {"X-Original-Uri", "X-Original-Method", "X-Original-Host", "X-Original-Proto"},
	ForwardAuth: {"X-Forwarded-Uri", "X-Forwarded-Method", "X-Forwarded-Host", "X-Forwarded-Proto"},
}

// ErrNoOriginal is returned for a question that does not say what it is about.
var ErrNoOriginal = errors.New("the question does not say which request it is about")

// Read puts into q the request that a question of this family is about. q comes
// with what the question itself has: peer, header, method, host, path and query.
// The error is ErrNoOriginal, wrapped with the name of what is missing.
func (f Family) Read(q *ipwarden.Request) error {
	if f == Envoy {
		if v, ok := only(q.Header, "X-Forwarded-Proto"); ok && v == "https" {
			q.Scheme = v
		}
		return nil // path, method and host are the request's own
	}
	names := &familyHeaders[f]
	uri, ok := only(q.Header, names.uri)
	if !ok || uri == "" {
		return missing(names.uri)
	}
	q.Path, q.Query, _ = strings.Cut(uri, "?")
	if q.Method, ok = only(q.Header, names.method); !ok || q.Method == "" {
		return missing(names.method)
	}
	if host, ok := only(q.Header, names.host); ok && host != "" {
		q.Host = hostOf(host)
	} else if f == Nginx {
		q.Host = hostOf(q.Host) // proxy_set_header Host $host
	} else {
		return missing(names.host)
	}
	q.Scheme = "http"
	if v, ok := only(q.Header, names.scheme); ok && v == "https" {
		q.Scheme = v
	}
	return nil
}

func missing(name string) error { return &missingError{name} }

type missingError struct{ name string }

func (e *missingError) Error() string {
	return ErrNoOriginal.Error() + ": exactly one " + e.name + " is needed"
}
func (e *missingError) Unwrap() error { return ErrNoOriginal }

// only returns the value of a field that came once: the proxy sets it, so a
// second line is somebody else's.
func only(h ipwarden.Header, name string) (string, bool) {
	if h == nil {
		return "", false
	}
	v := h.Values(name)
	if len(v) != 1 {
		return "", false
	}
	return v[0], true
}

// Headers of an answer to nginx, which passes nothing on by itself.
const (
	HeaderStatus   = HeaderPrefix + "Status"   // what the client should be answered
	HeaderLocation = HeaderPrefix + "Location" // where it should be sent
)

// AnswerStatus is the status of the answer to a proxy of this family.
func (f Family) AnswerStatus(d *Decision) int {
	status := d.Status()
	switch {
	case status == 0:
		return 200
	case f == Nginx, status < 300:
		// To a proxy that asks, 2xx is yes: a refusal that the policy dresses up as a
		// page of 200 must not let the request in.
		return 403
	}
	return status
}

// Location is where the answer to a proxy of this family sends the client. A
// relative one is made absolute where the proxy would take it for its own
// authorization server's, as Traefik does: with the host and port that the
// client asked for.
func (f Family) Location(d *Decision) string {
	if f != ForwardAuth || !strings.HasPrefix(d.Location, "/") || d.request.Host == "" {
		return d.Location
	}
	host, ok := only(d.request.Header, familyHeaders[f].host)
	if !ok || !authority(host) {
		host = d.request.Host
	}
	if !authority(host) {
		return d.Location
	}
	return d.request.Scheme + "://" + host + d.Location
}

// authority reports whether s has nothing but what a host and a port may have
// (RFC 3986 section 3.2, without user information and percent-encoding).
func authority(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '.', c == '_', c == ':', c == '[', c == ']':
		default:
			return false
		}
	}
	return s != ""
}
