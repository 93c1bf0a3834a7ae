package ipwardentest

import (
	"cmp"
	"context"
	"iter"
	"net/netip"
	"slices"

	"github.com/ipwarden/ipwarden"
)

// A Row says what is known about a network. The longest prefix wins, whole.
type Row struct {
	Prefix netip.Prefix
	Full   ipwarden.Full // Network is filled in
}

// A World is a [ipwarden.Source] in memory. It has the look-ups of a compiled
// dataset as well. Every look-up walks all rows: it is the slow, obvious oracle.
// It is immutable and safe for concurrent use.
type World struct {
	rows []Row
	ases map[uint32]ipwarden.ASN
}

var _ ipwarden.LocalSource = (*World)(nil)

// NewWorld makes a World of rows; ases describe autonomous systems beyond what
// the rows say of them.
func NewWorld(rows []Row, ases ...ipwarden.ASN) *World {
	w := &World{ases: map[uint32]ipwarden.ASN{}}
	for _, r := range rows {
		r.Prefix = r.Prefix.Masked()
		r.Full.Network = r.Prefix
		w.rows = append(w.rows, r)
		if n := r.Full.ASN.Number; n != 0 {
			as := r.Full.ASN
			as.Route = netip.Prefix{}
			w.ases[n] = as
		}
	}
	for _, as := range ases {
		w.ases[as.Number] = as
	}
	slices.SortStableFunc(w.rows, func(a, b Row) int { return cmp.Compare(b.Prefix.Bits(), a.Prefix.Bits()) })
	return w
}

// find returns the row of the longest prefix round addr, nil when there is none.
func (w *World) find(addr netip.Addr) *Row {
	for i := range w.rows {
		if w.rows[i].Prefix.Contains(addr) {
			return &w.rows[i]
		}
	}
	return nil
}

// Local is true: a World is in memory.
func (w *World) Local() bool { return true }

// Lookup answers one address. It fails only when ctx has ended.
func (w *World) Lookup(ctx context.Context, addr netip.Addr) (ipwarden.Record, error) {
	if err := ctx.Err(); err != nil {
		return ipwarden.Record{}, err
	}
	return w.record(addr), nil
}

func (w *World) record(addr netip.Addr) ipwarden.Record {
	addr, _ = ipwarden.Canonical(addr)
	if r := w.find(addr); r != nil {
		return ipwarden.NewRecord(addr, r.Full)
	}
	return ipwarden.MakeRecord(addr, nil, 0)
}

// LookupBatch answers addrs into dst, which has the same length.
func (w *World) LookupBatch(dst []ipwarden.Record, addrs []netip.Addr) {
	for i, a := range addrs {
		dst[i] = w.record(a)
	}
}

// Networks yields the distinct answers inside a prefix, in address order.
func (w *World) Networks(within netip.Prefix) iter.Seq2[netip.Prefix, ipwarden.Record] {
	within = within.Masked()
	return func(yield func(netip.Prefix, ipwarden.Record) bool) { w.walk(within, yield) }
}

// walk halves the prefix until no row begins inside it.
func (w *World) walk(p netip.Prefix, yield func(netip.Prefix, ipwarden.Record) bool) bool {
	inside := slices.ContainsFunc(w.rows, func(r Row) bool { return r.Prefix.Bits() > p.Bits() && p.Contains(r.Prefix.Addr()) })
	if !inside {
		r := w.find(p.Addr())
		return r == nil || yield(p, ipwarden.NewRecord(p.Addr(), r.Full))
	}
	low := netip.PrefixFrom(p.Addr(), p.Bits()+1)
	b := p.Addr().AsSlice()
	b[p.Bits()/8] |= 0x80 >> (p.Bits() % 8)
	high, _ := netip.AddrFromSlice(b)
	return w.walk(low, yield) && w.walk(netip.PrefixFrom(high, p.Bits()+1), yield)
}

// AS describes an autonomous system.
func (w *World) AS(number uint32) (ipwarden.ASN, bool) {
	as, ok := w.ases[number]
	return as, ok
}

// ASPrefixes yields the routes of an autonomous system, IPv4 first, in address order.
func (w *World) ASPrefixes(number uint32) iter.Seq[netip.Prefix] {
	var routes []netip.Prefix
	for _, r := range w.rows {
		if r.Full.ASN.Number == number && r.Full.ASN.Route.IsValid() {
			routes = append(routes, r.Full.ASN.Route)
		}
	}
	slices.SortFunc(routes, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	return slices.Values(slices.Compact(routes))
}
