package authz

import (
	"hash/maphash"
	"sync/atomic"
	"unsafe"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/prefetch"
	"github.com/ipwarden/ipwarden/internal/usage"
)

// hints say of texts where their keys stand, before their hashes are known: so that the
// slot and the account come from memory while the hash is made, and not after it. A key
// is taken for known by its hash alone, whatever a hint says.
//
// The store has no texts, so they are learnt: where a text was found is noted, and those
// of unknown keys never are. Which text a hint is of cannot be read from it: it has
// eight bits of a hash whose seed is this process's.
type hints struct {
	sets []hintSet // a power of two
	seed maphash.Seed
}

// A hintSet has the hints of four texts, half a cache line. A hint is eight bits of the
// text's hash, the shard, the place in it and the number of the account; 0 is none, or
// one that does no harm.
type hintSet [4]atomic.Uint64

const (
	hintAccount = 28 // bits
	hintPlace   = 18
	hintTag     = 64 - hintAccount - hintPlace - shardBits
)

var _ = [1]struct{}{}[hintTag-8]

// newHints has 1.5 to 3 hints for each of n keys.
func newHints(n int, seed maphash.Seed) *hints {
	sets := 64
	for sets*len(hintSet{}) < n+n/2 {
		sets *= 2
	}
	return &hints{sets: make([]hintSet, sets), seed: seed}
}

func (h *hints) set(text uint64) *hintSet { return &h.sets[text&uint64(len(h.sets)-1)] }

// of is the hint of a text, by its hash. It takes no turn that depends on what it reads,
// and which the processor would guess wrong.
func (s *hintSet) of(text uint64) (hint uint64) {
	tag := text >> (64 - hintTag)
	for i := range s {
		e := s[i].Load()
		same := uint64(int64(e>>(64-hintTag)^tag-1) >> 63) // all ones, or 0
		hint |= e & same                                   // of two it is nonsense, and the hash says so
	}
	return hint
}

// learn notes where a text was found: in the place of what it replaces, of none, or of
// any.
func (s *hintSet) learn(text uint64, shard, place int, account uint32) {
	if place>>hintPlace != 0 || account>>hintAccount != 0 {
		return // beyond some hundred million keys
	}
	tag := text >> (64 - hintTag)
	to := int(text>>32) & (len(s) - 1)
	for i := range s {
		e := s[i].Load()
		if e == 0 {
			to = i
		} else if e>>(64-hintTag) == tag {
			to = i
			break
		}
	}
	s[to].Store(tag<<(64-hintTag) | uint64(shard)<<(hintPlace+hintAccount) | uint64(place)<<hintAccount | uint64(account))
}

// guess begins to fetch what a hint points to: nil if that is nothing.
func (t *table) guess(hint uint64, where *usage.Directory) (*slot, *usage.Standing) {
	s := t.shards[hint>>(hintPlace+hintAccount)&(numShards-1)].Load()
	place := hint >> hintAccount & (1<<hintPlace - 1)
	if s == nil || place >= uint64(len(s.slots)) {
		return nil, nil
	}
	account := where.Find(accountOf(hint))
	if account == nil {
		return nil, nil
	}
	k := &s.slots[place]
	prefetch.Line(unsafe.Pointer(k))
	prefetch.Line(unsafe.Pointer(account))
	return k, account
}

func accountOf(hint uint64) uint32 { return uint32(hint & (1<<hintAccount - 1)) }

// ahead is what is known of a text before it is looked up: the zero one is nothing.
type ahead struct {
	text string
	of   uint64 // its cheap hash
}

// Ahead says that the call has its Key, which is checked later: what is known of it by
// its text comes from memory meanwhile. Nothing is found out, and nothing has to follow.
func (a *Authorizer) Ahead(c *Call) {
	h := a.table.hints.Load()
	if h == nil || len(c.Key) != customer.KeyLen {
		return
	}
	c.ahead = ahead{c.Key, maphash.String(h.seed, c.Key)} // the seed stays when there are more hints
	prefetch.Line(unsafe.Pointer(h.set(c.ahead.of)))
}

// lookUp finds the key of a text and its account's Standing, nil when there is none.
func (a *Authorizer) lookUp(text string, before *ahead) (*slot, *usage.Standing) {
	t := &a.table
	h := t.hints.Load()
	if h == nil {
		return nil, nil // there are no keys
	}
	var of, hint uint64
	var set *hintSet
	var k *slot
	var account *usage.Standing
	var w [2]uint64
	if before.text == text {
		// The hint is here: what it points to comes while the keyed hash is made.
		of = before.of
		set = h.set(of)
		hint = set.of(of)
		k, account = t.guess(hint, a.where)
		w = words(a.hasher.Hash(text))
	} else {
		of = maphash.String(h.seed, text)
		set = h.set(of)
		prefetch.Line(unsafe.Pointer(set))
		w = words(a.hasher.Hash(text))
		hint = set.of(of)
		k, account = t.guess(hint, a.where)
	}
	if k != nil && (k.hash[0]^w[0])|(k.hash[1]^w[1]) == 0 {
		if k.account != accountOf(hint) {
			account = a.where.At(k.account)
		}
		return k, account
	}
	k, account, place := t.find(w, a.where)
	if k != nil {
		set.learn(of, shardOf(w), place, k.account)
	}
	return k, account
}
