package clientip

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// MaxElements is how many elements of a header are looked at, from the right. A
// longer chain of trusted proxies is unresolved: it is bounded work, whatever
// arrives.
const MaxElements = 32

// A Config says whom to believe. The zero Config believes nobody: the client is
// the peer, always.
type Config struct {
	// Trusted are the proxies whose word counts. Default: none. A prefix of IPv4
	// matches an IPv4-mapped peer too; one that covers all of IPv4 or IPv6 is
	// refused.
	Trusted []netip.Prefix
	// Header is the one source: "X-Forwarded-For" (the default), "Forwarded"
	// (RFC 7239), or a header with one address, such as "CF-Connecting-IP", which
	// a proxy overwrites. All others are removed before a request goes on.
	Header string
	// Hops is for proxies whose addresses are not known: how many stand in front,
	// each of which appends an element. The client is the element Hops from the
	// right. With Trusted the peer must be in it as well. Default: not used.
	Hops int
	// TrustPeer: whoever reaches the listener is a proxy, as on a Unix socket
	// with restricted permissions. Default: false.
	TrustPeer bool
	// DangerouslyTrustAll believes the leftmost element, whoever sends it: every
	// client chooses its own address. For tests and closed networks.
	DangerouslyTrustAll bool
}

// form is how a header is read.
type form uint8

const (
	list    form = iota // addresses with commas between
	rfc7239             // elements of pairs
	single              // one address
	viewer              // one address and always a port, IPv6 without brackets
)

// Names in canonical form (net/textproto.CanonicalMIMEHeaderKey).
const (
	forwardedFor  = "X-Forwarded-For"
	forwarded     = "Forwarded"
	realIP        = "X-Real-Ip"
	viewerAddress = "Cloudfront-Viewer-Address"
)

func formOf(header string) form {
	switch header {
	case forwardedFor, "X-Original-Forwarded-For":
		return list
	case forwarded:
		return rfc7239
	case viewerAddress:
		return viewer
	}
	return single
}

// source is a header and how it is read.
type source struct {
	header string
	form   form
}

// An Extractor finds clients. It is immutable and safe for concurrent use.
type Extractor struct {
	source
	others  []source // whose disagreement is a Conflict
	trusted prefixSet
	hops    int
	// open: the peer need not be in trusted; all: everybody is.
	open, all bool
	removed   removals
}

// New checks cfg; the error joins all mistakes.
func New(cfg Config) (*Extractor, error) {
	var errs []error
	bad := func(text string) { errs = append(errs, errors.New("clientip: "+text)) }
	header := cfg.Header
	if header == "" {
		header = forwardedFor
	}
	name, ok := canonicalName(header)
	switch {
	case !ok:
		bad("Header " + strconv.Quote(header) + ` is no name of a header; an example: "X-Forwarded-For"`)
	case notAddress(name):
		bad("Header " + name + ` is not about the client's address; an example: "X-Forwarded-For"`)
	}
	x := &Extractor{source: source{name, formOf(name)}, hops: cfg.Hops, all: cfg.DangerouslyTrustAll}
	for _, p := range cfg.Trusted {
		if err := x.trusted.add(p); err != "" {
			bad("Trusted " + err)
		}
	}
	if text := x.trusted.build(); text != "" {
		bad("Trusted covers all of " + text + ", so that every client would choose its own address; " +
			"name the proxies (10.0.0.0/8), or their number (Hops), or set DangerouslyTrustAll")
	}
	switch {
	case cfg.Hops < 0 || cfg.Hops > MaxElements:
		bad("Hops is " + strconv.Itoa(cfg.Hops) + ", and can be 1 to " + strconv.Itoa(MaxElements) + ", or 0 for none")
	case cfg.Hops > 0 && (x.form == single || x.form == viewer):
		bad("Hops counts the elements of a list, and " + name + " has one address; give Trusted or TrustPeer instead, or the header X-Forwarded-For")
	}
	if cfg.DangerouslyTrustAll && (len(cfg.Trusted) > 0 || cfg.Hops != 0) {
		bad("DangerouslyTrustAll makes Trusted and Hops meaningless; leave it out, or them")
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	x.open = cfg.TrustPeer || cfg.DangerouslyTrustAll || cfg.Hops > 0 && len(cfg.Trusted) == 0
	for _, other := range []string{forwardedFor, forwarded, realIP} {
		if other != name {
			x.others = append(x.others, source{other, formOf(other)})
		}
	}
	x.removed = newRemovals(append(SourceHeaders(), name))
	return x, nil
}

// Header returns the name of the source, in canonical form.
func (x *Extractor) Header() string { return x.header }

// notAddress lists headers that a slip of the pen might name, and that must not
// be removed from a request.
func notAddress(name string) bool {
	return slices.Contains([]string{
		"Accept", "Authorization", "Connection", "Content-Length", "Content-Type", "Cookie", "Host", "Origin", "Referer",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade", "User-Agent", "Via", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto",
	}, name)
}

// canonicalName is the form of the keys of http.Header; false when name is no
// token (RFC 9110 section 5.6.2).
func canonicalName(name string) (string, bool) {
	if name == "" || len(name) > 64 {
		return "", false
	}
	var b strings.Builder
	up := true
	for i := range len(name) {
		c := name[i]
		if !tokenByte(c) {
			return "", false
		}
		switch {
		case up && 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		case !up && 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		b.WriteByte(c)
		up = c == '-'
	}
	return b.String(), true
}

// tokenByte is tchar of RFC 9110 section 5.6.2.
func tokenByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
