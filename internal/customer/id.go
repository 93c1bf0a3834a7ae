package customer

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strings"
)

// AccountID names an account. Zero is nobody's.
type AccountID uint64

// KeyID names a key without giving it away. Zero is no key's. It stays with a key
// and is never used again, so that what was counted under it can be told for ever.
type KeyID uint64

// Calls without a key are counted under these. No random identifier is one of them but
// by a chance that never comes.
const (
	AnonymousAccount AccountID = 1<<63 - 1
	AnonymousKey     KeyID     = 1<<63 - 1
)

// NewAccountID returns a random identifier.
func NewAccountID() AccountID { return AccountID(random63()) }

// NewKeyID returns a random identifier.
func NewKeyID() KeyID { return KeyID(random63()) }

// String is "acc_" and 13 letters and digits.
func (id AccountID) String() string { return "acc_" + crockford(uint64(id)) }

// String is "key_" and 13 letters and digits.
func (id KeyID) String() string { return "key_" + crockford(uint64(id)) }

// ParseAccountID reads what [AccountID.String] wrote.
func ParseAccountID(s string) (AccountID, error) {
	n, err := parseID("acc_", s)
	return AccountID(n), err
}

// ParseKeyID reads what [KeyID.String] wrote.
func ParseKeyID(s string) (KeyID, error) {
	n, err := parseID("key_", s)
	return KeyID(n), err
}

// random63 is never 0 and fits a signed 64-bit column of a database.
func random63() uint64 {
	var b [8]byte
	for {
		rand.Read(b[:]) // never fails
		if n := binary.LittleEndian.Uint64(b[:]) >> 1; n != 0 {
			return n
		}
	}
}

// The alphabet of Crockford's base 32, in lower case: no i, l, o, u.
const alphabet32 = "0123456789abcdefghjkmnpqrstvwxyz"

const idDigits = 13 // 65 bits

func crockford(n uint64) string {
	var b [idDigits]byte
	for i := idDigits - 1; i >= 0; i-- {
		b[i] = alphabet32[n&31]
		n >>= 5
	}
	return string(b[:])
}

func parseID(prefix, s string) (n uint64, err error) {
	digits, ok := strings.CutPrefix(s, prefix)
	if ok && len(digits) == idDigits && digits[0] <= '7' { // 63 bits
		for i := range len(digits) {
			d := strings.IndexByte(alphabet32, digits[i])
			if d < 0 {
				ok = false
				break
			}
			n = n<<5 | uint64(d)
		}
		if ok && n != 0 {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%.40q is no identifier: it is %q and %d letters and digits, such as %q", s, prefix, idDigits, prefix+crockford(0x123456789abcdef))
}
