package dataset

import (
	"context"
	"net/netip"
	"sync/atomic"

	"github.com/ipwarden/ipwarden"
)

// Live is a Dataset that can be replaced while it is in use. A look-up sees the
// old one or the new one whole, never a mixture: a Record keeps the dataset it
// came from.
type Live struct{ cur atomic.Pointer[Dataset] }

var _ ipwarden.LocalSource = (*Live)(nil)

// NewLive starts with d, which must not be nil.
func NewLive(d *Dataset) *Live {
	l := new(Live)
	l.cur.Store(d)
	return l
}

// Load returns the dataset in use.
func (l *Live) Load() *Dataset { return l.cur.Load() }

// Swap puts d in use and returns the one before. Its mapping is given back when
// the last Record of it is gone; do not Close it.
func (l *Live) Swap(d *Dataset) *Dataset { return l.cur.Swap(d) }

// Lookup asks the dataset in use.
func (l *Live) Lookup(ctx context.Context, addr netip.Addr) (ipwarden.Record, error) {
	return l.cur.Load().Lookup(ctx, addr)
}

// Local is true: a dataset is mapped into memory.
func (l *Live) Local() bool { return true }

// LookupBatch asks the dataset in use, one and the same for all addresses.
func (l *Live) LookupBatch(dst []ipwarden.Record, addrs []netip.Addr) {
	l.cur.Load().LookupBatch(dst, addrs)
}
