package main

import (
	"context"
	"net/netip"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/dataset"
)

func openCompact(w *world) (contestant, error) { return openDataset(w.dataset(), false) }
func openFlat(w *world) (contestant, error)    { return openDataset(w.dataset(), true) }

func openEverything(w *world) (contestant, error)     { return openDataset(w.everything(), false) }
func openEverythingFlat(w *world) (contestant, error) { return openDataset(w.everything(), true) }

func openCompactBatch(w *world) (contestant, error) { return openBatch(w, false) }
func openFlatBatch(w *world) (contestant, error)    { return openBatch(w, true) }

// single asks a dataset for one address at a time.
type single struct{ ds *dataset.Dataset }

func openDataset(name string, flat bool) (*single, error) {
	ds, err := dataset.Open(name)
	if err != nil {
		return nil, err
	}
	if flat {
		if err := ds.BuildFlat(); err != nil {
			return nil, err
		}
	}
	return &single{ds}, nil
}

// touch reads of a Record what a policy reads.
func touch(h ipwarden.Hot) uint64 {
	sum := uint64(h.ASNumber()) + uint64(h.Traits())
	if cc := h.CountryCode(); cc != "" {
		sum += uint64(cc[0])
	}
	return sum
}

func (c *single) pass(addrs []netip.Addr) (sum uint64) {
	ctx, ds := context.Background(), c.ds
	for _, a := range addrs {
		r, err := ds.Lookup(ctx, a)
		if err != nil {
			continue
		}
		sum += touch(r.Hot())
	}
	return sum
}

func (c *single) answer(a netip.Addr) answer {
	r, err := c.ds.Lookup(context.Background(), a)
	if err != nil {
		return answer{}
	}
	return answer{r.CountryCode(), r.ASNumber(), r.Traits()}
}

// batches asks a dataset for 64 addresses at a time.
type batches struct {
	single
	records [64]ipwarden.Record
}

func openBatch(w *world, flat bool) (contestant, error) {
	c, err := openDataset(w.dataset(), flat)
	if err != nil {
		return nil, err
	}
	return &batches{single: *c}, nil
}

func (c *batches) pass(addrs []netip.Addr) (sum uint64) {
	for len(addrs) > 0 {
		n := min(len(addrs), len(c.records))
		c.ds.LookupBatch(c.records[:n], addrs[:n])
		for i := range c.records[:n] {
			sum += touch(c.records[i].Hot())
		}
		addrs = addrs[n:]
	}
	return sum
}

func (c *batches) answer(a netip.Addr) answer {
	var r [1]ipwarden.Record
	c.ds.LookupBatch(r[:], []netip.Addr{a})
	return answer{r[0].CountryCode(), r[0].ASNumber(), r[0].Traits()}
}
