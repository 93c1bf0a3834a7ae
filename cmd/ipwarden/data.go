package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/dataset"
	"github.com/ipwarden/ipwarden/overlay"
)

// data is a dataset with the operator's overlays on top. It is immutable: a
// change of either makes a new one.
type data struct {
	*dataset.Dataset
	overlay *overlay.Overlay // nil when nobody overlays anything
	// overlaid names the overlays' content, "" without: answers differ with it.
	overlaid string
	expires  time.Time // when the next entry goes; zero: none does
}

func newData(ds *dataset.Dataset, entries []overlay.Entry, now func() time.Time) (*data, error) {
	d := &data{Dataset: ds}
	if len(entries) == 0 {
		return d, nil
	}
	var err error
	d.overlay, err = overlay.New(overlay.Config{
		Source: ds, Entries: entries, Country: ds.Country, AS: ds.AS, Now: now,
	})
	if err != nil {
		return nil, err
	}
	h, at := sha256.New(), now()
	for _, e := range entries {
		if !e.Expires.IsZero() {
			if !at.Before(e.Expires) {
				continue
			}
			if d.expires.IsZero() || e.Expires.Before(d.expires) {
				d.expires = e.Expires
			}
		}
		fmt.Fprintln(h, e)
	}
	d.overlaid = "+" + hex.EncodeToString(h.Sum(nil)[:8])
	return d, nil
}

// Lookup answers who an address is.
func (d *data) Lookup(ctx context.Context, addr netip.Addr) (ipwarden.Record, error) {
	if d.overlay == nil {
		return d.Dataset.Lookup(ctx, addr)
	}
	return d.overlay.Lookup(ctx, addr)
}

// LookupBatch answers addrs into dst, which is as long.
func (d *data) LookupBatch(dst []ipwarden.Record, addrs []netip.Addr) {
	d.Dataset.LookupBatch(dst, addrs)
	if d.overlay == nil {
		return
	}
	for i, a := range addrs {
		if r, err := d.overlay.Lookup(context.Background(), a); err == nil {
			dst[i] = r
		}
	}
}

// Networks yields the distinct answers inside a prefix, in address order;
// where an overlay begins or ends, the dataset's networks are cut.
func (d *data) Networks(within netip.Prefix) iter.Seq2[netip.Prefix, ipwarden.Record] {
	if d.overlay == nil {
		return d.Dataset.Networks(within)
	}
	return func(yield func(netip.Prefix, ipwarden.Record) bool) {
		for network := range d.Dataset.Networks(within) {
			for addr := network.Addr(); addr.IsValid() && network.Contains(addr); {
				r, err := d.overlay.Lookup(context.Background(), addr)
				if err != nil {
					return
				}
				part := r.Network()
				if !part.IsValid() || part.Bits() < network.Bits() {
					part = network
				}
				if !yield(part, r) {
					return
				}
				addr = lastAddr(part).Next()
			}
		}
	}
}

// lastAddr is the last address of a prefix.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// loader opens what the flags name, again and again.
type loader struct {
	flags  *dataFlags
	env    *env
	policy string   // file that is watched with the data, "" for none
	also   []string // files that the policy names, watched too
}

// load opens the dataset and reads the overlays.
func (l *loader) load() (*data, error) {
	name, nameErr := l.flags.datasetName(l.env)
	entries, err := l.entries()
	if err := errors.Join(nameErr, err); err != nil {
		return nil, err
	}
	open := openDataset
	if l.flags.Dataset != "" {
		open = readDataset
	}
	ds, err := open(name)
	if err != nil {
		return nil, err
	}
	return newData(ds, entries, l.env.now)
}

// entries reads the overlays.
func (l *loader) entries() ([]overlay.Entry, error) {
	names, err := l.flags.overlayNames(l.env)
	if err != nil {
		return nil, err
	}
	return readOverlays(names)
}
