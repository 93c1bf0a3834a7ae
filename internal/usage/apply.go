package usage

import (
	"time"
	"unsafe"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/prefetch"
	"github.com/ipwarden/ipwarden/internal/usage/ledger"
)

// apply adds a batch to the sums. a.mu is held.
func (a *aggregator) apply(n *nodeState, b *ledger.Batch, now time.Time) {
	n.sequence = b.Sequence
	hour := b.Hour
	if present := customer.HourOf(now); hour > present+HoursAhead {
		hour = present
		a.stats.Ahead++
	}
	a.stats.Batches++
	p := &a.part
	p.hour, p.region, p.now = hour, a.region(b.Region), now
	p.own = b.Node == a.node && b.Sequence > a.since
	b.Each(ledger.Visitor{Key: func(k *ledger.KeyCounts) {
		p.keys[p.n] = *k
		if p.n++; p.n == len(p.keys) {
			a.addPart()
		}
	}})
	a.addPart()
}

// part is so many keys of a batch as are added at once. Each of them is somewhere in
// memory that no cache has: who adds one after the other waits for each, and who asks
// for all first waits for them together.
type part struct {
	hour   customer.Hour
	region int
	now    time.Time
	own    bool // this process counted it

	n       int
	keys    [32]ledger.KeyCounts
	hashes  [32]uint64 // of the accounts
	rows    [32]uint64 // hashes of the rows of what was charged
	account [32]*account
}

// row is that of a class of a key.
func (p *part) row(i int, c customer.Class) row {
	k := &p.keys[i]
	return row{k.Account, k.Key, p.hour, k.Endpoint, c, uint8(p.region)}
}

// addPart adds the keys of the part. a.mu is held.
func (a *aggregator) addPart() {
	p := &a.part
	a.fetch(p)
	for i := range p.n {
		k := &p.keys[i]
		for c, n := range k.Counts {
			if n == 0 {
				continue
			}
			r := p.row(i, customer.Class(c))
			h := p.rows[i]
			if customer.Class(c) != customer.Charged {
				h = r.hash()
			}
			a.pending.add(&r, h, int64(n))
			a.stats.Events += n
		}
		n := int64(k.Counts[customer.Charged])
		if n == 0 {
			continue
		}
		acc := p.account[i]
		if acc == nil {
			if acc = a.accounts.find(Subject{Account: k.Account}); acc == nil {
				acc = a.make(Subject{Account: k.Account})
			}
		}
		a.charge(acc, p, n)
		if a.accounts.keys > 0 && k.Key != 0 {
			if acc := a.accounts.find(Subject{k.Account, k.Key}); acc != nil {
				a.charge(acc, p, n)
			}
		}
	}
	p.n = 0
}

// fetch asks for all the memory that the part's keys need: of all keys what is known by
// a hash, then what that leads to, and so on.
func (a *aggregator) fetch(p *part) {
	for i := range p.n {
		p.hashes[i] = Subject{Account: p.keys[i].Account}.hash()
		r := p.row(i, customer.Charged)
		p.rows[i] = r.hash()
		a.accounts.places.fetch(p.hashes[i])
		a.pending.places.fetch(p.rows[i])
	}
	for i := range p.n {
		a.accounts.fetch(p.hashes[i])
		a.pending.fetch(p.rows[i])
	}
	for i := range p.n {
		acc := a.accounts.findHash(Subject{Account: p.keys[i].Account}, p.hashes[i])
		p.account[i] = acc
		if acc != nil && acc.tally != nil {
			prefetch.Object(unsafe.Pointer(acc.tally), unsafe.Sizeof(tally{}))
		}
	}
}

func (a *aggregator) charge(acc *account, p *part, n int64) {
	a.count(acc, p.hour, n, p.region, p.now)
	if p.own {
		acc.tally.own += n
	}
	a.settle(acc, p.now)
}
