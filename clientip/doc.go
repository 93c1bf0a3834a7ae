// Package clientip finds the address of whoever sends a request, from the
// transport's peer and the header lines, under an explicit trust policy.
//
// The call most people want:
//
//	x, err := clientip.New(clientip.Config{Trusted: proxies}) // X-Forwarded-For
//	c := x.From(peer, header)                                 // no allocation
//	if c.Safe() { … c.Addr … }
//
// The peer comes first: what a header says counts only when the peer is a
// proxy that the operator named. Exactly one header is read, from the right,
// over the proxies that are trusted, up to the first address that is not.
//
// It refuses to guess. An element that is no address ends the search, and
// nothing left of it is ever used, because whoever wrote the header's left part
// may be the attacker. The client is then unresolved: a status that says so,
// with the nearest hop that was verified in place of the client.
package clientip

import (
	"net/netip"

	"github.com/ipwarden/ipwarden"
)

// A Status says how an address was found. The zero Status is Unresolved.
type Status uint8

const (
	// Unresolved: the header has something that is no address where the client
	// should be, too few elements for the number of proxies, or more than
	// [MaxElements] proxies; or there is neither a header nor a peer.
	Unresolved Status = iota
	// Direct: the peer is no proxy of ours, so it is the client.
	Direct
	// Forwarded: a trusted proxy says so.
	Forwarded
	// Internal: all hops are trusted; the address is the one farthest away.
	Internal
	// NoHeader: the peer is a trusted proxy, and says nothing about its client.
	NoHeader
)

var statusNames = [...]string{"unresolved", "direct", "forwarded", "internal", "no_header"}

// String returns the word of logs, metrics and policies: "unresolved",
// "direct", "forwarded", "internal", "no_header".
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return statusNames[Unresolved]
}

// A Client is the outcome of one request. The zero Client is unresolved.
type Client struct {
	// Addr is canonical: without a zone, IPv4 taken out of transition forms. When
	// the client is not known (see Safe) it is the nearest hop that was verified,
	// which is a proxy of ours. It is invalid when there is none, which happens
	// on a Unix socket only, or when the caller gave no peer.
	Addr   netip.Addr
	Status Status
	// Transition is the wrapping that Addr was taken out of, and Zone whether a
	// zone was dropped.
	Transition ipwarden.Transition
	Zone       bool
	// Conflict: another header, out of X-Forwarded-For, Forwarded and X-Real-IP,
	// names another client or none that can be read. It changes nothing, and is
	// for counting: a proxy is configured in a way its operator did not mean, or
	// somebody tries. It is not looked for when the status is Direct.
	Conflict bool
	// Hop is the place of Addr: 0 is the peer, 1 the rightmost element.
	Hop uint8
}

// Safe reports whether Addr is the client: direct, forwarded or internal. When
// it is not, many clients share Addr, and neither an allow list nor a ban of it
// is about the one who asks.
func (c Client) Safe() bool {
	return c.Status == Direct || c.Status == Forwarded || c.Status == Internal
}
