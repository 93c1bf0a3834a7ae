package dataset

import (
	"runtime"
	"slices"

	"github.com/ipwarden/ipwarden"
)

// DiffReport says what moved between two datasets. Shares are of the address
// space that either of them knows anything about: IPv4 counted in addresses,
// IPv6 in networks of 48 bits.
type DiffReport struct {
	From, To Info
	IPv4     FamilyDiff
	IPv6     FamilyDiff
}

// FamilyDiff is the difference in one family.
type FamilyDiff struct {
	Known   uint64                 // addresses that either knows something about
	Changed map[string]Moved       // by what changed: "country", "asn", a trait
	Country map[string]CountryDiff // by country code, "" for unknown
	Traits  map[string]TraitDiff
	Samples []Sample // the largest changes of country or trait
}

// Moved is how much of the space changed in one respect.
type Moved struct {
	Addresses uint64
	Share     float64 // 0 to 1, of Known
}

// CountryDiff is what a country gained and lost.
type CountryDiff struct{ Before, After, Gained, Lost uint64 }

// TraitDiff is what a trait gained and lost.
type TraitDiff struct{ Before, After, Gained, Lost uint64 }

// Sample is one change.
type Sample struct {
	Network       string // a prefix or a range
	What          string // "country", "asn" or a trait
	Before, After string
	Addresses     uint64
}

// maxSamples bounds how many changes a report names.
const maxSamples = 20

// Diff compares two datasets address by address.
func Diff(from, to *Dataset) DiffReport {
	return DiffReport{From: from.info, To: to.info, IPv4: diffFamily(ipv4, from, to), IPv6: diffFamily(ipv6, from, to)}
}

func diffFamily(fam family, a, b *Dataset) FamilyDiff {
	defer runtime.KeepAlive(a)
	defer runtime.KeepAlive(b)
	d := FamilyDiff{Changed: map[string]Moved{}, Country: map[string]CountryDiff{}, Traits: map[string]TraitDiff{}}
	var biggest []Sample
	changed := func(what string, from, to position, n uint64, before, after string) {
		m := d.Changed[what]
		m.Addresses += n
		d.Changed[what] = m
		if what == "asn" {
			return // names of networks come and go; too many to show
		}
		biggest = append(biggest, Sample{prefixText(fam, from, to), what, before, after, n})
		if len(biggest) > 64*maxSamples {
			biggest = largest(biggest)
		}
	}
	ra, rb := newWalker(a, fam), newWalker(b, fam)
	for at := (position{}); ; {
		ra.seek(at)
		rb.seek(at)
		end := ra.cur.to
		if rb.cur.to.less(end) {
			end = rb.cur.to
		}
		n := size(fam, at, end)
		x, y := ra.facts, rb.facts
		if x.known || y.known {
			d.Known += n
		}
		count(d.Country, x.country, y.country, n)
		if x.country != y.country {
			changed("country", at, end, n, x.country, y.country)
		}
		if x.asn != y.asn {
			changed("asn", at, end, n, "", "")
		}
		for t := ipwarden.Traits(1); t&ipwarden.AllTraits != 0; t <<= 1 {
			had, has := x.traits.Has(t), y.traits.Has(t)
			if !had && !has {
				continue
			}
			name := t.Names()[0]
			c := d.Traits[name]
			if had {
				c.Before += n
			}
			if has {
				c.After += n
			}
			if had && !has {
				c.Lost += n
			}
			if has && !had {
				c.Gained += n
			}
			d.Traits[name] = c
			if had != has {
				changed(name, at, end, n, word(had), word(has))
			}
		}
		if end == fam.last() {
			break
		}
		at = end.next()
	}
	for what, m := range d.Changed {
		if d.Known > 0 {
			m.Share = float64(m.Addresses) / float64(d.Known)
		}
		d.Changed[what] = m
	}
	d.Samples = largest(biggest)
	return d
}

func word(on bool) string {
	if on {
		return "true"
	}
	return "false"
}

func count(m map[string]CountryDiff, before, after string, n uint64) {
	c := m[before]
	c.Before += n
	if before != after {
		c.Lost += n
	}
	m[before] = c
	c = m[after]
	c.After += n
	if before != after {
		c.Gained += n
	}
	m[after] = c
}

func largest(s []Sample) []Sample {
	slices.SortStableFunc(s, func(a, b Sample) int {
		switch {
		case a.Addresses > b.Addresses:
			return -1
		case a.Addresses < b.Addresses:
			return 1
		}
		return 0
	})
	return s[:min(len(s), maxSamples)]
}

// size counts addresses of IPv4, and networks of 48 bits of IPv6: one for each
// that begins inside, and at least one.
func size(fam family, from, to position) uint64 {
	if fam == ipv4 {
		return to.lo - from.lo + 1
	}
	n := to.hi>>16 - from.hi>>16 + 1
	if from.hi&0xffff|from.lo != 0 {
		n--
	}
	return max(n, 1)
}

// walker follows one dataset through the address space.
type walker struct {
	d     *Dataset
	fam   family
	cur   answer
	began bool
	facts walkFacts
}

type walkFacts struct {
	known   bool
	country string
	asn     uint32
	traits  ipwarden.Traits
}

func newWalker(d *Dataset, fam family) *walker { return &walker{d: d, fam: fam} }

func (w *walker) seek(p position) {
	if w.began && p.compare(w.cur.to) <= 0 {
		return
	}
	w.began = true
	row, _, from, to := w.d.leaf(w.fam, p)
	w.cur = answer{from, to, row}
	w.facts = walkFacts{row != 0, w.d.CountryCode(row), w.d.ASNumber(row), w.d.Traits(row)}
}
