package clientip

import (
	"net/netip"
	"slices"
	"strings"
	"unsafe"
)

// SourceHeaders lists every header in which some proxy or platform tells a
// client's address, in canonical form. They are rewritten or removed together
// before a request goes on, so that the application cannot read another one
// than was judged. The slice is the caller's.
func SourceHeaders() []string {
	return []string{
		forwardedFor, forwarded, realIP,
		"True-Client-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "X-Original-Forwarded-For",
		"Cf-Connecting-Ip", "Cf-Connecting-Ipv6", "Cf-Pseudo-Ipv4",
		"Fastly-Client-Ip", "Fly-Client-Ip", viewerAddress,
		"X-Vercel-Forwarded-For", "X-Vercel-Proxied-For", "X-Nf-Client-Connection-Ip", "Do-Connecting-Ip",
		"X-Azure-Clientip", "X-Azure-Socketip", "X-Appengine-User-Ip", "X-Appengine-Remote-Addr",
		"X-Envoy-External-Address", "X-Ms-Forwarded-Client-Ip",
		"Incap-Client-Ip", "X-Sucuri-Clientip", "Ali-Cdn-Real-Ip", "Cdn-Src-Ip", "Eo-Connecting-Ip", "X-Oss-Client-Ip",
		"Client-Ip", "Forwarded-For", "Forwarded-For-Ip", "X-Forwarded", "X-Forwarded-Client-Ip", "X-Forwarder-For", "X-Forwarded-For-Original", "X-Forwarded-By",
		"X-Originating-Ip", "X-Original-Remote-Addr", "X-Remote-Ip", "X-Remote-Addr", "Remote-Addr", "X-Real-Client-Ip", "X-Proxyuser-Ip",
		"Proxy-Client-Ip", "Wl-Proxy-Client-Ip", "X-Coming-From", "Coming-From", "X-True-Ip", "Real-Ip", "X-Ip", "Http-Client-Ip",
		"X-Custom-Ip-Authorization", "X-Forward-For", "X-Forwarded-Ip", "X-Host-Ip", "X-Remote-Client-Ip", "Z-Forwarded-For",
	}
}

// Headers of a request that would make somebody else's middleware believe it
// has run: Next.js (CVE-2025-29927).
var subrequest = [...]string{"X-Middleware-Subrequest", "X-Middleware-Subrequest-Id"}

// ownPrefix is the namespace of the headers we add, folded.
const ownPrefix = "x-ipwarden-"

// removals answers which inbound headers do not go on. Names are compared
// folded: in lower case, with '-' for '_', because what a CGI or WSGI program
// sees of "X_Real_IP" and "X-Real-IP" is the same (RFC 3875 section 4.1.18).
type removals struct {
	names [maxName + 1][]string // by their length
	// letters[n] has a bit for each letter that a name of n bytes begins with, and
	// in its upper half for each that it ends with: most headers are passed over.
	letters [maxName + 1]uint64
}

const maxName = 64

func newRemovals(names []string) (r removals) {
	for _, name := range append(names, subrequest[:]...) {
		var buf [maxName]byte
		folded := string(fold(buf[:0], name))
		if slices.Contains(r.names[len(folded)], folded) {
			continue
		}
		r.names[len(folded)] = append(r.names[len(folded)], folded)
		r.letters[len(folded)] |= letterBits(folded)
	}
	return r
}

// letterBits are those of a name's first letter and of its last. A letter's is the
// same in both cases.
func letterBits(name string) uint64 { return 1<<(name[0]&31) | 1<<(32+name[len(name)-1]&31) }

func fold(dst []byte, name string) []byte {
	for i := range len(name) {
		dst = append(dst, folded(name[i]))
	}
	return dst
}

func folded(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		c |= 0x20
	case c == '_':
		c = '-'
	}
	return c
}

// foldsTo reports whether name, folded, is want, which is as long.
func foldsTo(name, want string) bool {
	for i := range len(want) {
		if folded(name[i]) != want[i] {
			return false
		}
	}
	return true
}

func (r *removals) has(name string) bool {
	if name == "" {
		return false
	}
	if own(name) {
		return true
	}
	if len(name) > maxName {
		return false
	}
	if bits := letterBits(name); r.letters[len(name)]&bits != bits {
		return false
	}
	for _, want := range r.names[len(name)] {
		if foldsTo(name, want) {
			return true
		}
	}
	return false
}

// own reports whether a name is in our namespace, in any spelling.
func own(name string) bool {
	return len(name) >= len(ownPrefix) && foldsTo(name[:len(ownPrefix)], ownPrefix)
}

// Removes reports whether an inbound header must be taken off a request before
// it goes on: all of SourceHeaders, the configured source, our own X-Ipwarden-*
// and what forges a subrequest, in any spelling that an application could take
// for them ("x_real_ip"). Ask for each header that came, then set those of
// [Extractor.AppendUpstream]. It does not allocate.
func (x *Extractor) Removes(name string) bool { return x.removed.has(name) }

// A Field is a header to set.
type Field struct{ Name, Value string }

// AppendUpstream appends what the application gets in place of the headers that
// were removed: X-Forwarded-For, X-Real-Ip and Forwarded with the client alone.
// Set them after hop-by-hop headers were removed, or see [Extractor.Connection].
// Nothing is appended for a client without an address.
func (x *Extractor) AppendUpstream(dst []Field, c Client) []Field {
	if !c.Addr.IsValid() {
		return dst
	}
	var buf [64]byte
	return appendUpstream(dst, string(appendForwarded(buf[:0], c.Addr)))
}

// AppendUpstreamIn is AppendUpstream with the values in text, to which they are appended
// and which nobody writes to as long as they are used.
func (x *Extractor) AppendUpstreamIn(text []byte, dst []Field, c Client) ([]byte, []Field) {
	if !c.Addr.IsValid() {
		return text, dst
	}
	n := len(text)
	text = appendForwarded(text, c.Addr)
	return text, appendUpstream(dst, unsafe.String(&text[n], len(text)-n))
}

// appendUpstream appends the fields that say what node says; the address is a part of
// it.
func appendUpstream(dst []Field, node string) []Field {
	addr := node[len("for="):]
	if addr[0] == '"' {
		addr = addr[len(`"[`) : len(addr)-len(`]"`)]
	}
	return append(dst, Field{forwardedFor, addr}, Field{realIP, addr}, Field{forwarded, node})
}

// appendForwarded appends a node, IPv6 in brackets and quotes (RFC 7239 section 6).
func appendForwarded(dst []byte, a netip.Addr) []byte {
	dst = append(dst, "for="...)
	if a.Is4() {
		return a.AppendTo(dst)
	}
	return append(a.AppendTo(append(dst, `"[`...)), `]"`...)
}

// Connection returns a line of the Connection header without the options that
// name headers which [Extractor.Removes] knows, and whether it had any. A client
// that says "Connection: X-Forwarded-For, X-Ipwarden-Verdict" would else make
// the next proxy take off what was set (RFC 9110 section 7.6.1). It allocates
// only then.
func (x *Extractor) Connection(line string) (rest string, changed bool) {
	for option := range strings.SplitSeq(line, ",") {
		changed = changed || x.Removes(trim(option))
	}
	if !changed {
		return line, false
	}
	var kept []string
	for option := range strings.SplitSeq(line, ",") {
		if option = trim(option); option != "" && !x.Removes(option) {
			kept = append(kept, option)
		}
	}
	return strings.Join(kept, ", "), true
}
