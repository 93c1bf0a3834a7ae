package crawler

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync/atomic"
)

// claims finds the tokens of crawlers in user agents. It is immutable but for
// what it remembers.
//
// Nearly all requests are of browsers, which have none, so what counts is how
// fast it gets to the end: it looks at every fourth character or so and knows
// from two of them how far it may go on (Wu and Manber, A fast algorithm for
// multi-pattern searching, 1994).
type claims struct {
	tokens []token
	// shift says for the last two characters of a window how far the next window
	// may be; 0: a token may begin with this window.
	shift [1 << 10]uint8
	ends  [1 << 10][]uint16 // the tokens whose window ends like that
	// preview says of which crawlers a token is one of those sent together.
	preview []bool

	// Most requests bring one of a few hundred user agents. What was found in one
	// is remembered under a hash of it, with a seed of this process: the answer plus
	// 2 in the low bits, and the rest of the hash above.
	seed  maphash.Seed
	known [1 << 9]atomic.Uint64
}

// answerBits are for the answers of known: there are fewer crawlers.
const (
	answerBits = 12
	maxTable   = 1<<answerBits - 2
)

// token is in lower case, and of the crawler of that number.
type token struct {
	text    string
	crawler int
}

// window is how many characters of each token are looked at first; no token is
// shorter.
const window = 6

func newClaims(table []Crawler) *claims {
	c := &claims{preview: make([]bool, len(table)), seed: maphash.MakeSeed()}
	for i := range c.shift {
		c.shift[i] = window - 1
	}
	for i := range table {
		for _, t := range table[i].Tokens {
			t = strings.ToLower(t)
			c.preview[i] = c.preview[i] || slices.Contains(together[:], t)
			n := uint16(len(c.tokens))
			c.tokens = append(c.tokens, token{t, i})
			for end := 1; end < window; end++ {
				h := pair(t[end-1], t[end])
				c.shift[h] = min(c.shift[h], uint8(window-1-end))
			}
			h := pair(t[window-2], t[window-1])
			c.ends[h] = append(c.ends[h], n)
		}
	}
	return c
}

// pair numbers two characters, without regard to the case of letters; others may
// share a number.
func pair(a, b byte) uint { return uint(a&31)<<5 | uint(b&31) }

// maxAgent bounds what is read of a user agent, in bytes.
const maxAgent = 1 << 10

// find returns the number of the crawler that agent claims to be, -1 for none.
func (c *claims) find(agent string) int {
	if len(agent) > maxAgent {
		agent = agent[:maxAgent]
	}
	h := maphash.String(c.seed, agent)
	known := &c.known[h%uint64(len(c.known))]
	const answer = 1<<answerBits - 1
	if k := known.Load(); (k^h)&^answer == 0 && k&answer != 0 {
		return int(k&answer) - 2
	}
	i := c.search(agent)
	known.Store(h&^answer | uint64(i+2))
	return i
}

// search is find for a user agent that is not remembered.
func (c *claims) search(agent string) int {
	best := -1
	for end := window - 1; end < len(agent); {
		h := pair(agent[end-1], agent[end])
		if s := c.shift[h]; s > 0 {
			end += int(s)
			continue
		}
		for _, n := range c.ends[h] {
			t := &c.tokens[n]
			if (best < 0 || t.crawler < best) && hasPrefixFold(agent[end-window+1:], t.text) {
				best = t.crawler
			}
		}
		end++
	}
	if best >= 0 && c.preview[best] && severalPreviews(agent) {
		return -1
	}
	return best
}

func severalPreviews(agent string) bool {
	n := 0
	for _, t := range together {
		for i := 0; i+len(t) <= len(agent); i++ {
			if hasPrefixFold(agent[i:], t) {
				n++
				break
			}
		}
	}
	return n > 1
}

// hasPrefixFold reports whether s begins with the lower-case prefix, in any case
// of letters.
func hasPrefixFold(s, prefix string) bool {
	if len(s) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != prefix[i] {
			return false
		}
	}
	return true
}
