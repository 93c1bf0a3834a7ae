package policy

import (
	"errors"
	"math"
	"net/netip"
	"time"
)

// An Algorithm is how a limit counts.
type Algorithm uint8

const (
	GCRA    Algorithm = iota // an even rate, with a burst
	Sliding                  // two cells: what was counted in the last window
	Fixed                    // a count that begins anew with each window
)

var algorithmNames = [...]string{"gcra", "sliding", "fixed"}

// String returns the word: "gcra", "sliding", "fixed".
func (a Algorithm) String() string { return named(algorithmNames[:], int(a)) }

// A Limit is how much of something is let in.
type Limit struct {
	Index     int // in Program.Limits
	Name      string
	When      Expr // none: always
	Algorithm Algorithm
	Limit     uint32        // so many, at least 1
	Window    time.Duration // in so long
	Burst     uint32        // of GCRA; 0 equals Limit
	Cost      uint32        // of a request; 0 is 1
	CostExpr  Expr          // Int; none: Cost
	Key       []KeyPart     // what is counted apart; none is the address
	// Rollup multiplies the limit for the /56 and the /48 round an IPv6 address,
	// which are counted too when the key has the address; 0 counts none.
	Rollup [2]uint32
	// SharedFactor multiplies the limit for shared addresses; 0 and 1 do not.
	SharedFactor uint32
	// Count says which outcomes count; none: every request does, at once.
	Count Expr
	// Pending is how long a request that was let in counts as one whose outcome will,
	// when nobody says what became of it; 0 is DefaultPending, and less is no time.
	Pending time.Duration
	// Ban is how long an address that goes over the limit, or the network round it
	// that does, is shut out, whatever its rate is by then; 0 is not at all. It is for
	// limits whose key is the address alone. A shared address is not shut out.
	Ban      time.Duration
	Shadow   bool   // counted, and never enforced
	Response string // name of the response for who is over it; "" is that of throttle
	Line     int
	FromTier bool // it belongs to a tier, a rule, a list or the crawlers

	when  condition
	cost  number
	count condition
	parts []func(*Input) (string, bool)
}

// A KeyKind is what a limit counts apart.
type KeyKind uint8

const (
	KeyAddress KeyKind = iota // IPv4 /32, IPv6 /64
	KeyASN
	KeyCountry
	KeyAccount // Name is the key of the account
	KeyHeader  // Name in canonical form
	KeyCookie  // Name
	KeyAPIKey  // X-Api-Key, or the bearer token of Authorization
	KeyExpr    // Expr, a text
)

// A KeyPart is one part of a limit's key. When one has nothing to say of a
// request, the limit is not for it.
type KeyPart struct {
	Kind KeyKind
	Name string
	Expr Expr
}

// MinBan and MaxBan are how short and how long a ban may be.
const (
	MinBan = time.Second
	MaxBan = 30 * 24 * time.Hour
)

// maxKeyPart bounds a part of a key, in bytes: what is longer is counted under
// its beginning, so that a longer key is no way out.
const maxKeyPart = 256

// CountsOutcomes reports whether the limit counts what became of requests, and
// not the requests themselves.
func (l *Limit) CountsOutcomes() bool { return l.count != nil }

// DefaultPending is longer than an application takes to check a password, and
// shorter than the patience of somebody who waits for the next attempt.
const DefaultPending = 5 * time.Second

// Holds is how long an attempt holds its place while its outcome is not known; 0
// for a limit that waits for none, or holds none.
func (l *Limit) Holds() time.Duration {
	switch {
	case l.count == nil || l.Pending < 0:
		return 0
	case l.Pending == 0:
		return DefaultPending
	}
	return l.Pending
}

// ByAddress reports whether the key is the address alone, so that nothing needs
// to be put together for it: Prefix says under what.
func (l *Limit) ByAddress() bool {
	return len(l.Key) == 0 || len(l.Key) == 1 && l.Key[0].Kind == KeyAddress
}

// HasAddress reports whether the address is part of the key, and so whether the
// rollups apply.
func (l *Limit) HasAddress() bool {
	for _, k := range l.Key {
		if k.Kind == KeyAddress {
			return true
		}
	}
	return len(l.Key) == 0
}

// Prefix is what an address is counted under: IPv4 /32, IPv6 /64.
func Prefix(addr netip.Addr) netip.Prefix {
	bits := 64
	if addr.Is4() {
		bits = 32
	}
	p, _ := addr.Prefix(bits) // the invalid address has the zero Prefix
	return p
}

// AppendKey appends the key of a request that was decided: a tuple of the
// limit's name and its parts, each with its length. ok is false when a part is
// absent; the limit is then not for the request. It does not allocate beyond
// dst.
func (l *Limit) AppendKey(dst []byte, in *Input) (key []byte, ok bool) {
	return l.AppendRollup(dst, in, 64)
}

// AppendRollup is AppendKey with the first bits of an IPv6 address: 64, 56 or
// 48. An IPv4 address is always taken whole.
func (l *Limit) AppendRollup(dst []byte, in *Input, bits int) (key []byte, ok bool) {
	from := len(dst)
	dst = appendPart(dst, l.Name)
	if len(l.Key) == 0 {
		return appendAddress(dst, in.Client, bits), true
	}
	for i := range l.Key {
		part := &l.Key[i]
		switch part.Kind {
		case KeyAddress:
			dst = appendAddress(dst, in.Client, bits)
			continue
		case KeyASN:
			n := in.rec.ASNumber()
			if n == 0 {
				return dst[:from], false
			}
			dst = append(dst, 0, 4, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
			continue
		}
		in.scratch = in.scratch[:0]
		s, found := l.parts[i](in)
		if s = trim(s); !found || s == "" {
			return dst[:from], false
		}
		if part.Kind == KeyAccount {
			dst = appendFolded(dst, s)
		} else {
			dst = appendPart(dst, s)
		}
	}
	return dst, true
}

// appendPart appends the length in two bytes and the text, valid UTF-8 of at
// most maxKeyPart bytes.
func appendPart(dst []byte, s string) []byte {
	at := len(dst)
	dst = append(dst, 0, 0)
	for _, r := range s { // what is not UTF-8 becomes U+FFFD
		if len(dst)-at-2 > maxKeyPart-4 {
			break
		}
		dst = appendRune(dst, r)
	}
	return setLength(dst, at)
}

func setLength(dst []byte, at int) []byte {
	n := len(dst) - at - 2
	dst[at], dst[at+1] = byte(n>>8), byte(n)
	return dst
}

// appendAddress appends an address, cut to bits when it is IPv6.
func appendAddress(dst []byte, a netip.Addr, bits int) []byte {
	switch {
	case a.Is4():
		b := a.As4()
		return append(append(dst, 0, 4), b[:]...)
	case a.IsValid():
		b := a.As16()
		return append(append(dst, 0, byte(bits/8)), b[:bits/8]...)
	}
	return append(dst, 0, 0)
}

// Counts reports whether an outcome counts. in may be nil: what counts depends
// on the outcome alone.
func (l *Limit) Counts(in *Input, o *Outcome) bool {
	if l.count == nil {
		return true
	}
	if in == nil {
		in = &Input{Request: &noRequest}
	}
	in.outcome = *o
	return l.count(in)
}

// charge is what the request costs.
func (l *Limit) charge(in *Input) uint32 {
	if l.cost == nil {
		return max(l.Cost, 1)
	}
	n := l.cost(in)
	in.scratch = in.scratch[:0]
	return uint32(min(max(n, 0), math.MaxUint32))
}

func (l *Limit) check() (errs []error) {
	bad := func(what string) { errs = append(errs, errors.New("limit "+l.Name+": "+what)) }
	if l.Name == "" || len(l.Name) > 128 {
		bad("a limit needs a name of at most 128 bytes")
	}
	if l.Limit == 0 || l.Window < time.Second || l.Window > 31*24*time.Hour {
		bad("the rate must be at least 1, in a second to 31 days, such as 5 in a minute")
	}
	if l.Algorithm > Fixed {
		bad("its algorithm is not one")
	}
	if l.Burst != 0 && l.Algorithm != GCRA {
		bad("only gcra has a burst")
	}
	if l.Ban != 0 && (l.Ban < MinBan || l.Ban > MaxBan) {
		bad("a ban is for a time from 1s to 720h, such as 10m")
	}
	if l.Ban != 0 && !l.ByAddress() {
		bad("only a limit whose key is the address alone bans")
	}
	if l.Pending > time.Minute {
		bad("an attempt is pending for at most a minute, such as 5s")
	}
	return errs
}
