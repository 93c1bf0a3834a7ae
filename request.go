package ipwarden

import "net/netip"

// A Request is what a door tells of a request before anybody believes it:
// neutral facts, so that net/http, a proxy's subrequest, an agent's frame and a
// gRPC message are thin shells round one decision. It is read-only while in use.
type Request struct {
	// Peer is the transport's other end, or what an allowed PROXY header put in
	// its place. It is invalid on a Unix socket, which has no address.
	Peer netip.Addr
	// Header has all field lines as they came; nil is an empty one.
	Header Header
	// Method is the transport's own, whatever an override header says.
	Method string
	// Scheme is "http" or "https"; Host as the upstream will see it, in lower
	// case, without a port; Path as in the request target, still encoded: the
	// gate reads it as the upstream will; Query what follows the question mark.
	Scheme, Host, Path, Query string
	// Account is what the application knows about who is signed in: an opaque
	// map that policies and limits read. nil is an empty one.
	Account map[string]string
}

// A Header is the header of a request. http.Header is one, and so is *Lines.
type Header interface {
	// Values returns the values of the field called name, in the order in which
	// they came. The name is in canonical form ("X-Forwarded-For"). The result
	// must not be changed, and holds until the next call.
	Values(name string) []string
}

// Lines is a Header for doors that get a list of field lines. The zero value is
// an empty one. It is not safe for concurrent use.
type Lines struct {
	lines []line
	many  []string // of the last answer with several values
	// sizes has a bit for the length of each name, and again for those that came
	// more than once: most names that are asked for are not there, or alone.
	sizes, again uint64
}

type line struct {
	name  string
	value [1]string // as Values gives it
}

// sizeBit is the bit of a name's length.
func sizeBit(name string) uint64 { return 1 << (len(name) & 63) }

// Add appends a field line. The name may be in any case.
func (l *Lines) Add(name, value string) {
	l.lines = append(l.lines, line{name, [1]string{value}})
	bit := sizeBit(name)
	l.sizes, l.again = l.sizes|bit, l.again|l.sizes&bit
}

// Reset empties l and keeps its memory.
func (l *Lines) Reset() {
	clear(l.lines)
	l.lines, l.sizes, l.again = l.lines[:0], 0, 0
}

// Len counts the field lines.
func (l *Lines) Len() int { return len(l.lines) }

// At returns the field line i, which counts from 0.
func (l *Lines) At(i int) (name, value string) { return l.lines[i].name, l.lines[i].value[0] }

// Values returns the values of the field called name, in any case. It does not
// allocate but when a field has more lines than any asked for before.
func (l *Lines) Values(name string) []string {
	bit := sizeBit(name)
	if l.sizes&bit == 0 {
		return nil
	}
	first := l.find(name, 0)
	if first < 0 {
		return nil
	}
	i := -1
	if l.again&bit != 0 {
		i = l.find(name, first+1)
	}
	if i < 0 {
		return l.lines[first].value[:]
	}
	l.many = append(l.many[:0], l.lines[first].value[0])
	for ; i >= 0; i = l.find(name, i+1) {
		l.many = append(l.many, l.lines[i].value[0])
	}
	return l.many
}

// find returns the first line from i on whose field is called name, or -1. Most
// others are told by their lengths.
func (l *Lines) find(name string, i int) int {
	for lines := l.lines; i < len(lines); i++ {
		if have := lines[i].name; len(have) == len(name) && equalFold(have, name) {
			return i
		}
	}
	return -1
}

// equalFold compares field names of one length, which are ASCII (RFC 9110
// section 5.1). It begins with their ends: many names begin alike.
func equalFold(a, b string) bool {
	if n := len(a); n > 0 && (a[n-1]^b[n-1])&^0x20 != 0 {
		return false
	}
	if a == b {
		return true
	}
	for i := range len(a) {
		x, y := a[i], b[i]
		if x == y {
			continue
		}
		if x |= 0x20; x != y|0x20 || x < 'a' || x > 'z' {
			return false
		}
	}
	return true
}
