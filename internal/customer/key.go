package customer

import (
	"crypto/rand"
	"errors"
	"hash/crc32"
	"net/netip"
	"strings"
	"time"
	"unsafe"
)

// Kind says who may know a key.
type Kind uint8

const (
	Secret      Kind = iota // servers only
	Publishable             // in pages: bound to origins, and of little use elsewhere
)

// Mode says whether a key's calls count.
type Mode uint8

const (
	Live Mode = iota
	Test      // answered as with a live key, counted apart, never against a quota
)

func (k Kind) String() string { return [...]string{"secret", "publishable"}[k&1] }
func (m Mode) String() string { return [...]string{"live", "test"}[m&1] }

// A Key lets its bearer ask on an account. The text of a key is shown once, when it
// is made; of it only a keyed hash is kept.
type Key struct {
	ID      KeyID
	Account AccountID
	Hash    Hash
	Hint    string // the last four characters of its text, for its owner
	Kind    Kind
	Mode    Mode

	Name   string
	Tags   []string
	Scopes []string // what it may do: [ScopeLookup] and others; nil is [ScopeLookup]

	Networks  []netip.Prefix // who may use it; nil is everybody
	Origins   []string       // whose pages may use it, "https://example.com" or "https://*.example.com"; nil is all
	Endpoints []string       // what it may ask, such as "/v1/ip"; nil is all of its scopes
	Limits    []Limit        // its own, besides the plan's

	Created  time.Time
	Expires  time.Time // zero is never
	Revoked  time.Time // zero is not; a time to come is the end of an overlap after a rotation
	Ended    bool      // at once: it is refused wherever this is known, whatever the clock there says of Revoked
	Replaces KeyID     // the key that it was made for, in a rotation; 0 is none
	Revision int64     // of the last change to it, growing over all keys of a store
}

// Scopes of keys.
const (
	ScopeLookup = "lookup" // /v1/ip, /v1/asn, /v1/network, dialects
	ScopeDecide = "decide" // /v1/decide and /v1/outcome
	ScopeUsage  = "usage"  // GET /v1/usage
	ScopeKeys   = "keys"   // the account's keys
)

// A Hash is the keyed hash of a key's text: see package authz.
type Hash [16]byte

// A key's text, in the order of its parts:
//
//	ipw_sk_live_ + 24 random characters + 6 of checksum
//	ipw_pk_test_
//
// 42 characters of [A-Za-z0-9_], so that every vendor's carrier of keys can bear it,
// and a scanner of source code finds it and can tell it from a look-alike.
const (
	prefixLen   = len("ipw_sk_live_")
	randomLen   = 24 // of 62: 142 bits
	checksumLen = 6  // of 62: a CRC-32 fits
	// KeyLen is how long the text of a key is, bytes.
	KeyLen = prefixLen + randomLen + checksumLen
)

const alphabet62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

var prefixes = [2][2]string{{"ipw_sk_live_", "ipw_sk_test_"}, {"ipw_pk_live_", "ipw_pk_test_"}}

// NewKeyText returns the text of a new key.
func NewKeyText(k Kind, m Mode) string {
	b := make([]byte, 0, KeyLen)
	b = append(b, prefixes[k&1][m&1]...)
	for len(b) < prefixLen+randomLen {
		var r [32]byte
		rand.Read(r[:]) // never fails
		for _, c := range r {
			if c < 248 && len(b) < prefixLen+randomLen { // 4 × 62: no digit is likelier than another
				b = append(b, alphabet62[c%62])
			}
		}
	}
	sum := checksum(string(b))
	return string(append(b, sum[:]...))
}

// checksum is the CRC-32 (IEEE) of s in six digits of base 62.
func checksum(s string) (digits [checksumLen]byte) {
	sum := crc32.ChecksumIEEE(unsafe.Slice(unsafe.StringData(s), len(s))) // reads only
	for i := checksumLen - 1; i >= 0; i-- {
		digits[i] = alphabet62[sum%62]
		sum /= 62
	}
	return digits
}

// Why a text is no key.
var (
	ErrNotKey   = errors.New(`this is no key of ipwarden: one is 42 letters, digits and "_", and begins with "ipw_sk_" or "ipw_pk_"`)
	ErrChecksum = errors.New("this key is mistyped: its last six characters do not fit the rest")
)

// ParseKey says what text would be if it is a key; whether it is anybody's is for
// others to say. It allocates nothing. The error is [ErrNotKey] or [ErrChecksum].
func ParseKey(text string) (Kind, Mode, error) {
	if len(text) != KeyLen || text[:4] != "ipw_" || text[5:7] != "k_" {
		return 0, 0, ErrNotKey
	}
	var k Kind
	switch text[4] {
	case 's':
	case 'p':
		k = Publishable
	default:
		return 0, 0, ErrNotKey
	}
	var m Mode
	switch text[7:prefixLen] {
	case "live_":
	case "test_":
		m = Test
	default:
		return 0, 0, ErrNotKey
	}
	bad := byte(0)
	for i := prefixLen; i < KeyLen; i++ {
		bad |= notIn62[text[i]]
	}
	if bad != 0 {
		return 0, 0, ErrNotKey
	}
	// No secret is compared: the checksum is computed from the text alone.
	if want := checksum(text[:KeyLen-checksumLen]); string(want[:]) != text[KeyLen-checksumLen:] {
		return 0, 0, ErrChecksum
	}
	return k, m, nil
}

// notIn62 is 0 for the characters of the alphabet.
var notIn62 = func() (t [256]byte) {
	for i := range t {
		if strings.IndexByte(alphabet62, byte(i)) < 0 {
			t[i] = 1
		}
	}
	return t
}()
