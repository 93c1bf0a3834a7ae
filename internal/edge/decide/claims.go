package decide

import (
	"net/netip"
	"strings"

	"github.com/ipwarden/ipwarden/internal/edge/pack"
	"github.com/ipwarden/ipwarden/policy"
)

// claims finds the crawler that a user agent says it is. What was found for one is
// remembered, in a place that its hash says: most requests bring one of a few.
type claims struct {
	crawlers []pack.Crawler
	preview  []bool // a token of the crawler is among those sent together
	together []string
	known    [256]claim
	folded   []byte
}

type claim struct {
	agent   []byte
	crawler int // plus one; 0: nothing is remembered here, -1: it is none
}

// maxAgent bounds what is read of a user agent, in bytes, as package crawler does.
const maxAgent = 1 << 10

func newClaims(crawlers []pack.Crawler, together []string) *claims {
	if len(crawlers) == 0 {
		return nil
	}
	c := &claims{crawlers: crawlers, together: together, preview: make([]bool, len(crawlers))}
	for i := range crawlers {
		for _, t := range crawlers[i].Tokens {
			for _, other := range together {
				c.preview[i] = c.preview[i] || t == other
			}
		}
	}
	return c
}

// check says which crawler agent claims to be, and what the edge can make of it.
func (c *claims) check(agent string, addr netip.Addr) (name string, state policy.Crawler) {
	agent = agent[:min(len(agent), maxAgent)]
	h := uint32(2166136261) // FNV-1a
	for i := range len(agent) {
		h = (h ^ uint32(agent[i])) * 16777619
	}
	k := &c.known[h%uint32(len(c.known))]
	if string(k.agent) != agent || k.crawler == 0 {
		k.agent, k.crawler = append(k.agent[:0], agent...), c.search(agent)+1
		if k.crawler == 0 {
			k.crawler = -1
		}
	}
	if k.crawler < 0 {
		return "", policy.NotCrawler
	}
	found := &c.crawlers[k.crawler-1]
	if found.State == policy.Pending && !(addr.IsGlobalUnicast() && !addr.IsPrivate()) {
		return found.Name, policy.Failed // nobody's address has a name that counts
	}
	return found.Name, found.State
}

// search returns the number of the first crawler of which agent has a token, or -1.
func (c *claims) search(agent string) int {
	c.folded = append(c.folded[:0], agent...)
	for i, b := range c.folded {
		if 'A' <= b && b <= 'Z' {
			c.folded[i] = b | 0x20
		}
	}
	text := string(c.folded)
	for i := range c.crawlers {
		for _, t := range c.crawlers[i].Tokens {
			if strings.Contains(text, t) {
				if c.preview[i] && c.several(text) {
					return -1
				}
				return i
			}
		}
	}
	return -1
}

func (c *claims) several(text string) bool {
	n := 0
	for _, t := range c.together {
		if strings.Contains(text, t) {
			n++
		}
	}
	return n > 1
}
