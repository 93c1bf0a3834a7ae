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

// LookupBatch answers addrs into dst, which is as long.
func (d *askedData) LookupBatch(dst []ipwarden.Record, addrs []netip.Addr) {
	for i, a := range addrs {
		dst[i], _, _ = d.Ask(context.Background(), a, ipwarden.IntelligenceLocal, 0) // the data always answers
	}
}

// source is what the gate asks.
func (o *outside) source(live func() *data) ipwarden.Source {
	if o == nil {
		return ipwarden.SourceFunc(func(ctx context.Context, a netip.Addr) (ipwarden.Record, error) { return live().Lookup(ctx, a) })
	}
	return o
}

// dataOf is the data behind what the API has.
func dataOf(d api.Data) *data {
	if a, ok := d.(*askedData); ok {
		return a.data
	}
	return d.(*data)
}
