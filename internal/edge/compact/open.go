package compact

import (
	"hash/crc32"
	"net/netip"
	"time"
	"unsafe"

	"github.com/ipwarden/ipwarden"
)

// Data is an open dataset. It is immutable and safe for concurrent use.
type Data struct {
	n        counts
	width    int
	date     time.Time
	hot      []ipwarden.Hot
	feeds    []byte
	starts6  []byte
	fine     []byte
	starts4  []byte
	rows     []byte
	locs     []byte
	details  []byte
	sets     []byte
	texts    []byte
	refs4    []byte
	refs6    []byte
	fineRefs []byte
	bytes    []byte
	listings map[uint32][]ipwarden.Listing
	spoken   map[uint32][]ipwarden.Language
	store    *ipwarden.Store
}

var (
	_ ipwarden.Backing  = (*Data)(nil)
	_ ipwarden.Asserter = (*Data)(nil)
)

// Open checks a file, and keeps it: it must not be changed any more.
func Open(b []byte) (*Data, error) {
	switch {
	case len(b) > MaxSize:
		return nil, errSize
	case len(b) < headSize || string(b[:len(magic)]) != magic:
		return nil, errMagic
	case b[4] != Version:
		return nil, errVersion
	case le.Uint32(b[atSum:]) != crc32.Checksum(b[atDate:], table):
		return nil, errSum
	}
	d := &Data{width: int(b[atWidth]), date: time.Unix(int64(le.Uint64(b[atDate:])), 0).UTC()}
	if d.width != 2 && d.width != 4 {
		return nil, errDamaged
	}
	for i, n := range d.n.all() {
		*n = le.Uint32(b[atCounts+4*i:])
	}
	if !d.cut(b[headSize:]) || !d.check() {
		return nil, errDamaged
	}
	d.listings, d.spoken = map[uint32][]ipwarden.Listing{}, map[uint32][]ipwarden.Language{}
	for i := range d.n.Rows {
		if s := d.sec(i); s != nil && le.Uint32(s[4*len(secFields):]) != 0 && !d.readListings(le.Uint32(s[4*len(secFields):])) {
			return nil, errDamaged
		}
	}
	for i := range d.n.Locs {
		if n := le.Uint32(d.locs[4*(locWords*i+locTexts):]); n != 0 && !d.readLanguages(n) {
			return nil, errDamaged
		}
	}
	d.store = ipwarden.NewStore(d, d.hot)
	return d, nil
}

// cut finds the sections; they must fill b.
func (d *Data) cut(b []byte) bool {
	ok := true
	take := func(n uint32, size int) []byte {
		want := uint64(n) * uint64(size)
		if want > uint64(len(b)) {
			ok = false
			return nil
		}
		part := b[:want:want]
		b = b[want:]
		return part
	}
	hot := take(d.n.Hot, 8)
	d.feeds, d.starts6, d.fine = take(d.n.Feeds, 16), take(d.n.Starts6, 8), take(d.n.Fine, 16)
	d.starts4, d.rows, d.locs = take(d.n.Starts4, 4), take(d.n.Rows, 16), take(d.n.Locs, 4*locWords)
	d.details, d.sets, d.texts = take(d.n.Details, 4), take(d.n.Sets, 4), take(d.n.Texts, 4)
	d.refs4, d.refs6, d.fineRefs = take(d.n.Starts4, d.width), take(d.n.Starts6, d.width), take(d.n.Fine, d.width)
	d.bytes = take(d.n.Bytes, 1)
	if !ok || len(b) != 0 || d.n.Rows != d.n.Hot || d.n.Hot == 0 || d.n.Hot >= maxAnswers || d.n.Texts < 2 || d.n.Sets == 0 {
		return false
	}
	d.hot = make([]ipwarden.Hot, d.n.Hot)
	for i := range d.hot {
		h := ipwarden.Hot(le.Uint64(hot[8*i:]))
		if h.Traits()&^ipwarden.AllTraits != 0 {
			return false
		}
		d.hot[i] = h
	}
	return true
}

// check looks at every reference.
func (d *Data) check() bool {
	if le.Uint32(d.texts) != 0 || le.Uint32(d.texts[4*(d.n.Texts-1):]) != d.n.Bytes {
		return false
	}
	for i := range d.n.Texts - 1 {
		if le.Uint32(d.texts[4*i:]) > le.Uint32(d.texts[4*i+4:]) {
			return false
		}
	}
	for i := range d.n.Rows {
		row := d.rows[16*i:][:16]
		if le.Uint32(row) > d.n.Locs || !d.fits(le.Uint32(row[4:]), asWords) || !d.fits(le.Uint32(row[8:]), orgWords) || !d.fits(le.Uint32(row[12:]), secWords) {
			return false
		}
	}
	for i := range d.n.Feeds {
		if !d.isText(le.Uint32(d.feeds[16*i+8:])) {
			return false
		}
	}
	for i := range d.n.Locs {
		for j := range uint32(locTexts) {
			if !d.isText(le.Uint32(d.locs[4*(locWords*i+j):])) {
				return false
			}
		}
	}
	return d.checkRows() && d.checkStarts()
}

func (d *Data) isText(n uint32) bool { return n < d.n.Texts-1 }

func (d *Data) fits(n, words uint32) bool {
	return n <= d.n.Details && (n == 0 || n-1+words <= d.n.Details)
}

// checkRows looks at what the rows of answers refer to.
func (d *Data) checkRows() bool {
	texts := func(row []byte, n int) bool {
		for i := range n {
			if row != nil && !d.isText(le.Uint32(row[4*i:])) {
				return false
			}
		}
		return true
	}
	for i := range d.n.Rows {
		if !texts(d.as(i), asWords) || !texts(d.org(i), orgWords) || !texts(d.sec(i), len(secFields)) {
			return false
		}
		if s := d.sec(i); s != nil {
			for t := range 14 {
				if n := le.Uint16(s[4*(len(secFields)+1)+2*t:]); uint32(n) > d.n.Feeds {
					return false
				}
			}
		}
	}
	return true
}

// checkStarts: addresses rise from 0 on, and each has an answer.
func (d *Data) checkStarts() bool {
	none := uint32(1<<(8*d.width) - 1)
	if d.width == 4 {
		none = fine
	}
	for i := range d.n.Starts4 {
		at := le.Uint32(d.starts4[4*i:])
		if (i == 0) != (at == 0) || i > 0 && at <= le.Uint32(d.starts4[4*i-4:]) || d.ref(d.refs4, i) >= d.n.Hot {
			return false
		}
	}
	fines := uint32(0)
	for i := range d.n.Starts6 {
		at := le.Uint64(d.starts6[8*i:])
		if (i == 0) != (at == 0) || i > 0 && at <= le.Uint64(d.starts6[8*i-8:]) {
			return false
		}
		ref := d.ref(d.refs6, i)
		if ref != none {
			if ref >= d.n.Hot {
				return false
			}
			continue
		}
		// Its parts are next, and begin with its first address.
		if fines >= d.n.Fine || d.fineAt(fines) != (pair{at, 0}) {
			return false
		}
		for fines++; fines < d.n.Fine && d.fineAt(fines).hi == at; fines++ {
			if d.fineAt(fines).lo <= d.fineAt(fines-1).lo {
				return false
			}
		}
	}
	for i := range d.n.Fine {
		if d.ref(d.fineRefs, i) >= d.n.Hot {
			return false
		}
	}
	return fines == d.n.Fine
}

func (d *Data) ref(refs []byte, i uint32) uint32 {
	if d.width == 2 {
		return uint32(le.Uint16(refs[2*i:]))
	}
	return le.Uint32(refs[4*i:])
}

type pair struct{ hi, lo uint64 }

func (d *Data) fineAt(i uint32) pair {
	return pair{le.Uint64(d.fine[16*i:]), le.Uint64(d.fine[16*i+8:])}
}

// Lookup returns what is known of an address, which is canonical. It does not allocate.
func (d *Data) Lookup(addr netip.Addr) ipwarden.Record {
	switch {
	case addr.Is4():
		b := addr.As4()
		at := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
		return d.store.Record4(at, d.find4(at))
	case addr.IsValid():
		b := addr.As16()
		var p pair
		for i := range 8 {
			p.hi, p.lo = p.hi<<8|uint64(b[i]), p.lo<<8|uint64(b[8+i])
		}
		return d.store.Record6(p.hi, p.lo, d.find6(p))
	}
	return ipwarden.Record{}
}

func (d *Data) find4(at uint32) uint32 {
	if d.n.Starts4 == 0 {
		return 0
	}
	lo, hi := uint32(0), d.n.Starts4 // the answer is in [lo, hi)
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; le.Uint32(d.starts4[4*mid:]) <= at {
			lo = mid
		} else {
			hi = mid
		}
	}
	return d.ref(d.refs4, lo)
}

func (d *Data) find6(p pair) uint32 {
	if d.n.Starts6 == 0 {
		return 0
	}
	lo, hi := uint32(0), d.n.Starts6
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; le.Uint64(d.starts6[8*mid:]) <= p.hi {
			lo = mid
		} else {
			hi = mid
		}
	}
	ref := d.ref(d.refs6, lo)
	if ref < d.n.Hot {
		return ref
	}
	// The mark holds for its /64 alone; pause6 of the encoder begins what is behind.
	lo, hi = 0, d.n.Fine
	for hi-lo > 1 {
		mid := (lo + hi) / 2
		if at := d.fineAt(mid); at.hi < p.hi || at.hi == p.hi && at.lo <= p.lo {
			lo = mid
		} else {
			hi = mid
		}
	}
	return d.ref(d.fineRefs, lo)
}

func (d *Data) str(n uint32) string {
	from, to := le.Uint32(d.texts[4*n:]), le.Uint32(d.texts[4*n+4:])
	if from == to {
		return ""
	}
	return unsafe.String(&d.bytes[from], to-from)
}
