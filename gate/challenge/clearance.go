package challenge

import (
	"crypto/rand"
	"encoding/binary"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden"
)

// clearance is what the cookie says.
type clearance struct {
	issued, expires int64 // Unix seconds
	net             network
	ceiling         uint8 // the highest score for which it holds
}

const clearanceSize = 1 + 8 + 8 + 9 + 1 + 8

func (s *sealer) appendClearance(dst []byte, c clearance) []byte {
	var b [clearanceSize]byte
	b[0] = sealClearance
	binary.BigEndian.PutUint64(b[1:], uint64(c.issued))
	binary.BigEndian.PutUint64(b[9:], uint64(c.expires))
	copy(b[17:], c.net[:])
	b[26] = c.ceiling
	_, _ = rand.Read(b[27:]) // no two are alike
	return s.appendSealed(dst, b[:])
}

func (s *sealer) openClearance(text string) (c clearance, ok bool) {
	var b [clearanceSize]byte
	if !s.open(b[:], sealClearance, text) {
		return c, false
	}
	c.issued, c.expires = int64(binary.BigEndian.Uint64(b[1:])), int64(binary.BigEndian.Uint64(b[9:]))
	copy(c.net[:], b[17:])
	c.ceiling = b[26]
	return c, true
}

// holds reports whether the clearance is for this network and score, now.
func (c *clearance) holds(net network, score uint8, now time.Time) bool {
	return net[0] != 0 && c.net == net && score <= c.ceiling && now.Unix() < c.expires
}

// maxCookies bounds how many cookies of the name are looked at, each of which costs
// an HMAC. A browser sends one, or two where another path or domain has set it too.
// Who sets more for a domain above, as any site below it can, has that visitor
// challenged, and nobody else: it takes this many, and lets nobody in.
const maxCookies = 16

// clearances calls f with what the valid cookies of a request say, until f
// returns false.
func (s *sealer) clearances(h ipwarden.Header, name string, f func(clearance) bool) {
	if h == nil {
		return
	}
	seen := 0
	for _, line := range h.Values("Cookie") {
		if !strings.Contains(line, name) { // most visitors have none
			continue
		}
		for line != "" {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			n, v, found := strings.Cut(strings.Trim(pair, " \t"), "=")
			if !found || n != name {
				continue
			}
			if seen++; seen > maxCookies {
				return
			}
			if c, ok := s.openClearance(v); ok && !f(c) {
				return
			}
		}
	}
}
