package policy

import (
	"errors"

	"github.com/ipwarden/ipwarden"
)

// A Response is how a refusal, or a redirect, is answered.
type Response struct {
	Name string
	// Status of HTTP; 0 is the verdict's own.
	Status int
	// Title and Detail of the problem document (RFC 9457); "" is the gate's own.
	Title, Detail string
	// HTML is a page for who accepts one; empty is none.
	HTML string
	// Redirect, when given, is where to send the visitor: texts and expressions by
	// turns, put together by AppendLocation.
	Redirect []Expr
	Line     int

	location []text
	literal  []bool
}

// IsRedirect reports whether the response sends the visitor elsewhere.
func (r *Response) IsRedirect() bool { return r != nil && len(r.Redirect) > 0 }

// AppendLocation appends the address to redirect to (RFC 9110 section 10.2.2).
// What comes from the request is percent-encoded, all but slashes, so that it
// can add neither a host nor a header field.
func (r *Response) AppendLocation(dst []byte, in *Input) []byte {
	from := len(dst)
	for i, t := range r.location {
		if r.literal[i] {
			dst = append(dst, r.Redirect[i].Text...)
			continue
		}
		e := &r.Redirect[i]
		dst = appendEscaped(dst, t(in), e.Op == OpQuery, e.Op == OpHost)
	}
	// A path of two slashes is a host to browsers; so is a backslash.
	for len(dst) > from+1 && dst[from] == '/' && dst[from+1] == '/' {
		dst = append(dst[:from], dst[from+1:]...)
	}
	return dst
}

const upperHex = "0123456789ABCDEF"

// appendEscaped appends s with everything but unreserved characters and slashes
// percent-encoded (RFC 3986 section 2.1). A query stays as it was sent, and a
// host keeps what a host may have; neither may hold more than visible ASCII.
func appendEscaped(dst []byte, s string, query, host bool) []byte {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == '~':
			dst = append(dst, c)
		case c == '/' && !host, query && c > ' ' && c < 0x7f && c != '#' && c != '"' && c != '<' && c != '>' && c != '\\', host && (c == ':' || c == '[' || c == ']'):
			dst = append(dst, c)
		default:
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}

// build prepares the redirect.
func (r *Response) build(b *builder) {
	b.where = "response " + r.Name
	for i := range r.Redirect {
		e := &r.Redirect[i]
		r.location = append(r.location, b.text(e))
		r.literal = append(r.literal, e.Op == OpConst)
	}
}

func (r *Response) check() (errs []error) {
	if r.Name == "" {
		errs = append(errs, errors.New("a response needs a name"))
	}
	if r.Status != 0 && (r.Status < 200 || r.Status > 599) {
		errs = append(errs, errors.New("response "+r.Name+": the status must be from 200 to 599"))
	}
	return errs
}

// responses finds a response by name; one that is called as a verdict is what
// the verdict has of its own.
type responses struct {
	all   map[string]*Response
	owned [ipwarden.Block + 1]*Response
}

func (rs *responses) of(name string, v ipwarden.Verdict) *Response {
	if name != "" {
		return rs.all[name]
	}
	if int(v) < len(rs.owned) {
		return rs.owned[v]
	}
	return nil
}
