package main

import (
	"context"
	"net/netip"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/api"
)

// askedData is the data with what providers say laid over it, for the API. Batches
// and walks through networks ask nobody: what is kept counts.
type askedData struct {
	*data
	*outside
}

var (
	_ api.Data       = (*askedData)(nil)
	_ ipwarden.Asker = (*askedData)(nil)
)

// Lookup answers from the data and the providers.
func (d *askedData) Lookup(ctx context.Context, addr netip.Addr) (ipwarden.Record, error) {
	return d.outside.Lookup(ctx, addr)
}

// Local says that providers may be waited for.
func (d *askedData) Local() bool { return false }

// LookupBatch answers addrs into dst, which is as long.
func (d *askedData) LookupBatch(dst []ipwarden.Record, addrs []netip.Addr) {
	for i, a := range addrs {
		dst[i], _, _ = d.Ask(context.Background(), a, ipwarden.IntelligenceLocal, 0) // the data always answers
	}
}

// source is what the gate asks.
func (o *outside) source(live func() *data) ipwarden.Source {
	if o == nil {
		return liveData(live)
	}
	return o
}

// liveData is the data in use, whichever that is.
type liveData func() *data

var _ ipwarden.LocalSource = liveData(nil)

// Lookup asks the data in use.
func (live liveData) Lookup(ctx context.Context, a netip.Addr) (ipwarden.Record, error) {
	return live().Lookup(ctx, a)
}

// Local is true: data is mapped into memory.
func (liveData) Local() bool { return true }

// dataOf is the data behind what the API has.
func dataOf(d api.Data) *data {
	if a, ok := d.(*askedData); ok {
		return a.data
	}
	return d.(*data)
}
