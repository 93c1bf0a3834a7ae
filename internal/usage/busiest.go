package usage

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage/ledger"
)

// A Frequent is from where an account's calls came: an IPv4 address, or the /64 of an
// IPv6 one. The invalid Prefix is of clients that are not known.
type Frequent struct {
	Client            netip.Prefix
	Answered, Refused int64
}

// Busiest knows from which addresses most calls of each account came today, as far as
// this process has seen: for their owners to look at. It is no count to bill by: of
// each account the busiest are kept, which are exact while there are no more than that;
// beyond it a new one takes the place, and the number, of the least (space saving).
// The zero Busiest is ready. It is safe for concurrent use.
//
// It takes some 60 ns a call and 400 bytes an account, and no more than 7 MB: beyond
// that an account takes the place of any other.
type Busiest struct {
	shards [busiestShards]busiestShard
}

const (
	busiestShards   = 64
	busiestAccounts = 256 // a shard
	busiestKept     = 16  // an account
)

type busiestShard struct {
	mu  sync.Mutex
	all map[customer.AccountID]*busiestOf // guarded by mu
}

type busiestOf struct {
	day  int64
	n    int
	kept [busiestKept]frequent
}

type frequent struct {
	client            uint64
	answered, refused int64
}

// Note counts n calls from a client. It does not wait: what comes while another call is
// noted beside it is left out.
func (c *Busiest) Note(account customer.AccountID, class customer.Class, n uint32, client netip.Addr, now time.Time) {
	if account == 0 || n == 0 {
		return
	}
	s := &c.shards[uint64(account)%busiestShards]
	if !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	of := s.all[account]
	if of == nil {
		if s.all == nil {
			s.all = map[customer.AccountID]*busiestOf{}
		}
		if len(s.all) >= busiestAccounts {
			for other := range s.all {
				delete(s.all, other)
				break
			}
		}
		of = &busiestOf{}
		s.all[account] = of
	}
	if day := now.Unix() / 86400; of.day != day {
		of.day, of.n = day, 0
	}
	x := of.place(ledger.ClientKey(client))
	switch class {
	case customer.Charged, customer.Tested:
		x.answered += int64(n)
	default:
		x.refused += int64(n)
	}
}

// place finds a client, or puts it in the place of the least.
func (of *busiestOf) place(client uint64) *frequent {
	least := 0
	for i := range of.n {
		x := &of.kept[i]
		if x.client == client {
			return x
		}
		if x.answered+x.refused < of.kept[least].answered+of.kept[least].refused {
			least = i
		}
	}
	if of.n < busiestKept {
		x := &of.kept[of.n]
		*x = frequent{client: client}
		of.n++
		return x
	}
	of.kept[least].client = client
	return &of.kept[least]
}

// Of returns from where most calls of an account came on now's day, most first.
func (c *Busiest) Of(account customer.AccountID, now time.Time) (all []Frequent) {
	s := &c.shards[uint64(account)%busiestShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.all[account]
	if of == nil || of.day != now.Unix()/86400 {
		return nil
	}
	for _, x := range of.kept[:of.n] {
		all = append(all, Frequent{ledger.Client(x.client), x.answered, x.refused})
	}
	slices.SortStableFunc(all, func(a, b Frequent) int { return cmp.Compare(b.Answered+b.Refused, a.Answered+a.Refused) })
	return all
}
