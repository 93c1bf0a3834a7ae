package dataset

import (
	"math/bits"
	"runtime"
	"time"

	"github.com/ipwarden/ipwarden"
)

var _ ipwarden.Asserter = (*Dataset)(nil)

// Asserted returns whose word a trait of an answer is. It is exact where the row
// names the feed (a VPN, a crawler or a cloud with a name, special-purpose
// space). Of the others only the evidence knows which feed it was, and the
// freshest of those that may assert the trait stands for them.
func (d *Dataset) Asserted(id uint32, t ipwarden.Traits) (feed string, asOf time.Time) {
	if !d.Traits(id).Has(t) {
		return "", time.Time{}
	}
	by := -1
	if sec := d.row(id).sec(); sec != 0 {
		row := d.secs[sec*secSize:][:secSize]
		switch t {
		case ipwarden.VPN:
			by = int(row[36]) - 1
		case ipwarden.Crawler:
			by = int(row[37]) - 1
		case ipwarden.Hosting:
			by = int(row[38]) - 1
		case ipwarden.Bogon:
			by = int(row[39]) - 1
		}
		runtime.KeepAlive(d)
	}
	if by < 0 {
		by = int(d.freshest[bits.TrailingZeros32(uint32(t))&31])
	}
	if by < 0 || by >= len(d.manifest.Feeds) {
		return "", d.info.Date
	}
	f := &d.manifest.Feeds[by]
	if f.Date.IsZero() {
		return f.Name, d.info.Date
	}
	return f.Name, f.Date
}

// freshestOfTraits finds for each trait the freshest feed whose every row asserts
// it, -1 for none. Blocklists are left out: what they say is in the listings of
// an answer, with their dates.
func (d *Dataset) freshestOfTraits() (by [32]int16) {
	for bit := range by {
		by[bit] = -1
		for i, n := range d.manifest.Notes {
			if n.Traits>>bit&1 == 0 || n.Listing != "" {
				continue
			}
			if have := by[bit]; have < 0 || d.manifest.Feeds[i].Date.After(d.manifest.Feeds[have].Date) {
				by[bit] = int16(i)
			}
		}
	}
	return by
}

// fillKinds puts the kind of each answer's AS into its hot word, so that reading
// it is no search. The file has it with the AS.
func (d *Dataset) fillKinds() {
	// Numbers that are given out are below 2^19; a search for each answer would
	// take as long as the rest of opening.
	kinds := make([]uint16, 1<<19)
	for i := range uint32(len(d.as) / asSize) {
		if n := d.numberAt(i); n < uint32(len(kinds)) {
			kinds[n] = uint16(d.profile(i)[4]) + 1
		}
	}
	words := make([]ipwarden.Hot, len(d.manifest.Words))
	for i, w := range d.manifest.Words {
		words[i] = ipwarden.Hot(0).WithKind(w)
	}
	none := ipwarden.Hot(0).WithKind("")
	for id, h := range d.hot {
		h = ipwarden.HotOf(h.ASNumber(), h.CountryCode(), h.Traits()) // no more than a file may hold
		number := h.ASNumber()
		switch {
		case number >= uint32(len(kinds)): // rare: the record searches
		case kinds[number] == 0:
			h |= none
		default:
			h |= words[kinds[number]-1]
		}
		d.hot[id] = h
	}
}
