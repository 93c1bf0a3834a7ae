package people

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"strings"

	"github.com/ipwarden/ipwarden/internal/account"
)

// What opens doors begins with its kind, as keys do, so that logs and scanners can tell.
const (
	prefixSession = "ipw_session_"
	prefixMail    = "ipw_mail_"
	prefixTicket  = "ipw_ticket_"
	prefixDevice  = "ipw_device_"
)

// newToken returns a random text, with 256 bits, and what is kept of it.
func newToken(prefix string) (string, account.Digest) {
	text := prefix + strings.ToLower(rand.Text()+rand.Text())
	return text, sha256.Sum256([]byte(text))
}

// tokenLen is how long a token is behind its prefix.
const tokenLen = 52

// digestOf is what is kept of a text that somebody sent. ok says that it can be one.
// What it is compared with is a hash: how long the search takes tells nothing.
func digestOf(prefix, text string) (d account.Digest, ok bool) {
	text = strings.TrimSpace(text)
	rest, ok := strings.CutPrefix(text, prefix)
	if !ok || len(rest) != tokenLen {
		return d, false
	}
	return sha256.Sum256([]byte(text)), true
}

// newID is a number by which somebody ends what it names: positive, never 0.
func newID() int64 {
	var b [8]byte
	for {
		rand.Read(b[:]) // never fails
		if n := int64(binary.LittleEndian.Uint64(b[:]) >> 1); n != 0 {
			return n
		}
	}
}
