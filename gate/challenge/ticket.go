package challenge

import (
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"time"
)

// A Ticket is what a client is sent to the page with: for which network and
// which score it is to prove itself, and since when. It is signed.
type Ticket struct {
	// ID is spent when the challenge is solved.
	ID [16]byte
	// Issued is when the gate sent the client, in milliseconds.
	Issued time.Time
	// Score of the client, 0 to 100.
	Score uint8
	// Again: the client has a clearance of the last minute that does not hold, or
	// failed before. The page does not begin by itself, so that nobody goes round
	// and round.
	Again bool
	// Fallback: the challenge proper was not to be had.
	Fallback bool
	// Text is the ticket as it was signed, 70 characters of base64url.
	Text string

	net network
}

// Network returns the network that the ticket is for, /24 or /64.
func (t *Ticket) Network() netip.Prefix { return t.net.prefix() }

const (
	ticketSize = 1 + 1 + 16 + 8 + 9 + 1

	flagAgain    = 1
	flagFallback = 2
)

// appendTicket appends a new ticket's text.
func (s *sealer) appendTicket(dst []byte, t *Ticket) []byte {
	var b [ticketSize]byte
	b[0] = sealTicket
	if t.Again {
		b[1] |= flagAgain
	}
	if t.Fallback {
		b[1] |= flagFallback
	}
	copy(b[2:], t.ID[:])
	binary.BigEndian.PutUint64(b[18:], uint64(t.Issued.UnixMilli()))
	copy(b[26:], t.net[:])
	b[35] = t.Score
	return s.appendSealed(dst, b[:])
}

// newTicket makes a ticket with an ID of its own.
func (s *sealer) newTicket(net network, score uint8, again, fallback bool, now time.Time) *Ticket {
	t := &Ticket{Issued: now, Score: score, Again: again, Fallback: fallback, net: net}
	_, _ = rand.Read(t.ID[:]) // never fails
	t.Text = string(s.appendTicket(nil, t))
	return t
}

// openTicket checks a ticket's text. How old it is the caller decides.
func (s *sealer) openTicket(text string) (*Ticket, bool) {
	var b [ticketSize]byte
	if !s.open(b[:], sealTicket, text) {
		return nil, false
	}
	t := &Ticket{
		Again: b[1]&flagAgain != 0, Fallback: b[1]&flagFallback != 0, Score: b[35], Text: text,
		Issued: time.UnixMilli(int64(binary.BigEndian.Uint64(b[18:]))),
	}
	copy(t.ID[:], b[2:])
	copy(t.net[:], b[26:])
	return t, true
}
