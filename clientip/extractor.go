package clientip

import (
	"net/netip"

	"github.com/ipwarden/ipwarden"
)

// From finds the client of a request that came from peer, which is the
// transport's other end or what an allowed PROXY header put in its place. h may
// be nil. It does not allocate, and looks at a bounded part of the header.
func (x *Extractor) From(peer netip.Addr, h ipwarden.Header) Client {
	at := place{addr: peer}
	if !x.Trusts(peer) {
		if !peer.IsValid() {
			return Client{}
		}
		return at.client(Direct)
	}
	if h == nil {
		return at.client(NoHeader)
	}
	at, status := x.walk(x.form, h.Values(x.header), at)
	c := at.client(status)
	for _, o := range x.others {
		if lines := h.Values(o.header); len(lines) > 0 && x.disagrees(o.form, lines, c.Addr) {
			c.Conflict = true
			break
		}
	}
	return c
}

// Trusts reports whether what a peer says counts: it is a trusted proxy, or the
// listener is trusted. Give it the peer as the transport has it: an IPv4 address
// taken out of NAT64, 6to4 or Teredo is not the one it was sent from.
func (x *Extractor) Trusts(peer netip.Addr) bool { return x.open || x.trusted.contains(peer) }

// place is an address as it was written, and where.
type place struct {
	addr netip.Addr
	zone bool
	hop  uint8
}

// client reduces a place to its bits (contract of [ipwarden.Canonical]).
func (p place) client(s Status) Client {
	addr, t := ipwarden.Canonical(p.addr)
	return Client{Addr: addr, Status: s, Transition: t, Zone: p.zone || p.addr.Zone() != "", Hop: p.hop}
}

// walk goes from the right over the elements that trusted hops have written, to
// the first that is not trusted itself. peer is trusted. It returns where it
// ended: what is not resolved ends at the nearest hop that was verified.
func (x *Extractor) walk(f form, lines []string, peer place) (place, Status) {
	if len(lines) == 0 {
		return peer, NoHeader
	}
	switch f {
	case single, viewer:
		return x.one(f, lines, peer)
	}
	near := peer
	n := 0
	// The lines are one list (RFC 9110 section 5.3), so the last is the right end.
	for i := len(lines) - 1; i >= 0; i-- {
		for rest, more := lines[i], true; more; {
			if n++; n > MaxElements {
				return near, Unresolved
			}
			p, ok := place{hop: uint8(n)}, false
			if a, lone := lone4(f, rest); lone {
				p.addr, ok, more = a, true, false
			} else if f == list {
				var element string
				element, rest, more = lastElement(rest)
				p.addr, p.zone, ok = parseNode(element)
			} else {
				var element string
				element, rest, more = lastForwarded(rest)
				p.addr, p.zone, ok = parseForwarded(element)
			}
			switch {
			case !ok:
				return near, Unresolved
			case x.hops > 0:
				if n == x.hops {
					return p, Forwarded
				}
			case !x.skips(p.addr):
				return p, Forwarded
			default:
				near = p
			}
		}
	}
	switch {
	case x.hops > 0:
		return near, Unresolved // fewer elements than proxies: it went round one of them
	case x.all:
		return near, Forwarded
	}
	return near, Internal
}

// one reads a header that a proxy overwrites, so that a second line or element
// is not the proxy's.
func (x *Extractor) one(f form, lines []string, peer place) (place, Status) {
	if len(lines) != 1 {
		return peer, Unresolved
	}
	text, _, more := lastElement(lines[0])
	p, ok := place{hop: 1}, false
	if f == viewer {
		text, ok = withoutPort(text)
		if !ok {
			return peer, Unresolved
		}
	}
	p.addr, p.zone, ok = parseNode(text)
	switch {
	case !ok || more:
		return peer, Unresolved
	case x.hops == 0 && !x.all && x.trusted.contains(p.addr):
		return p, Internal
	}
	return p, Forwarded
}

// skips reports whether the walk goes on over a.
func (x *Extractor) skips(a netip.Addr) bool { return x.all || x.trusted.contains(a) }

// disagrees reports whether another header names another client than addr. One
// that names a proxy of ours says nothing about the client.
func (x *Extractor) disagrees(f form, lines []string, addr netip.Addr) bool {
	p, status := x.walk(f, lines, place{})
	switch status {
	case Forwarded:
		other, _ := ipwarden.Canonical(p.addr)
		return other != addr
	case Unresolved:
		return true
	}
	return false
}
