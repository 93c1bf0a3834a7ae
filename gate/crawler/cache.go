package crawler

import (
	"net/netip"
	"sync"
	"time"

	"github.com/ipwarden/ipwarden/policy"
)

// key is a claim of an address.
type key struct {
	addr    netip.Addr
	crawler int
}

// entry is what is known of a claim. One that is asked for now has no end.
type entry struct {
	state policy.Crawler
	asked bool          // it is in the queue, or somebody is at it
	until time.Time     // then it is asked again
	wait  time.Duration // after the last failure to ask
	tries uint8         // that were not answered, in a row
}

// cache remembers claims. Those that were verified have a table of their own:
// only DNS can fill it, so who claims from a million addresses drives out
// nothing but other claims.
type cache struct {
	max int

	mu       sync.Mutex
	verified map[key]entry // guarded by mu; at most max
	others   map[key]entry // guarded by mu; at most max
}

func newCache(entries int) *cache {
	return &cache{max: entries, verified: map[key]entry{}, others: map[key]entry{}}
}

// grace is how long a crawler stays verified while it is asked for again, so
// that one that comes all day is not pending once a day.
const grace = time.Hour

// look returns what is known, and whether it should be asked for now. When it
// should, it is noted as asked.
func (c *cache) look(k key, now time.Time) (state policy.Crawler, ask bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.verified[k]; ok {
		switch {
		case now.Before(e.until):
			return policy.Verified, false
		case now.After(e.until.Add(grace)): // somebody else may have the address by now
			delete(c.verified, k)
		case e.asked:
			return policy.Verified, false
		default:
			e.asked = true
			c.verified[k] = e
			return policy.Verified, true
		}
	}
	e, ok := c.others[k]
	if ok && (e.asked || now.Before(e.until)) {
		return e.state, false
	}
	if !ok {
		e = entry{state: policy.Pending}
	}
	// A failed one stays failed while it is asked again.
	e.asked = true
	c.put(c.others, k, e)
	return e.state, true
}

// forget takes back that k is being asked for.
func (c *cache) forget(k key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.verified[k]; ok {
		e.asked = false
		c.verified[k] = e
	}
	delete(c.others, k)
}

// settle keeps an answer until then.
func (c *cache) settle(k key, state policy.Crawler, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.verified, k)
	delete(c.others, k)
	to := c.others
	if state == policy.Verified {
		to = c.verified
	}
	c.put(to, k, entry{state: state, until: until})
}

// postpone notes that k could not be asked for, and waits longer each time. What
// was verified before holds no longer than that. What was pending so often is no
// longer.
func (c *cache) postpone(k key, now time.Time, first, most time.Duration, tries uint8) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.verified, k)
	e, ok := c.others[k]
	if !ok {
		e.state = policy.Pending
	}
	e.asked = false
	if e.tries = min(e.tries+1, tries); e.tries == tries && e.state == policy.Pending {
		e.state = policy.Unanswered
	}
	e.wait = min(max(2*e.wait, first), most)
	e.until = now.Add(e.wait)
	c.put(c.others, k, e)
}

// put makes room by driving out any other: what is asked again costs a look-up.
func (c *cache) put(m map[key]entry, k key, e entry) {
	if _, ok := m[k]; !ok && len(m) >= c.max {
		for other := range m {
			delete(m, other)
			break
		}
	}
	m[k] = e
}

func (c *cache) len() (verified, others int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.verified), len(c.others)
}
