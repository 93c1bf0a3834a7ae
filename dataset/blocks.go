package dataset

import (
	"encoding/binary"
	"errors"
	"sort"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/ipwarden/ipwarden"
)

// errBlock is a block whose content is not what its frame says.
var errBlock = errors.New("its content is damaged")

// unpacker is shared: DecodeAll may be called concurrently.
var unpacker = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBlock))
})

// block unpacks one block.
func (d *Dataset) block(e dirEntry) ([]byte, error) {
	in := d.claims
	if e.kind == blockSteps {
		in = d.evidence
	}
	dec, err := unpacker()
	if err != nil {
		return nil, err
	}
	raw, err := dec.DecodeAll(in[e.offset:e.offset+uint64(e.length)], make([]byte, 0, e.size))
	if err != nil {
		return nil, err
	}
	if len(raw) != int(e.size) {
		return nil, errBlock
	}
	return raw, nil
}

// find returns the last block of a kind, family and feed that begins at or
// before pos.
func (d *Dataset) find(kind uint8, fam family, feed uint8, pos position) (dirEntry, int, bool) {
	n := len(d.dir) / dirSize
	i := sort.Search(n, func(i int) bool {
		e := d.dirAt(i)
		// The directory is in the order it was written in: steps by feed and
		// family, then the claims by kind.
		a, b := dirRank(e.kind, e.feed, e.fam), dirRank(kind, feed, fam)
		return a > b || a == b && pos.less(e.first)
	})
	if i == 0 {
		return dirEntry{}, 0, false
	}
	e := d.dirAt(i - 1)
	return e, i - 1, e.kind == kind && e.fam == fam && e.feed == feed
}

func dirRank(kind, feed uint8, fam family) int {
	return int(kind)<<16 | int(feed)<<8 | int(fam)
}

// reader decodes a block; the first mistake sticks.
type reader struct {
	b    []byte
	bad  bool
	skip bool // texts are passed over
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) text() string {
	b := r.bytes(r.uvarint())
	if r.skip {
		return ""
	}
	return string(b)
}

// pass passes over n numbers.
func (r *reader) pass(n uint64) {
	for i, c := range r.b {
		if n == 0 {
			r.b = r.b[i:]
			return
		}
		if c < 0x80 {
			n--
		}
	}
	r.b, r.bad = nil, r.bad || n != 0
}

// stepAt decodes the one step of a block that is in force at pos, and where the
// next one of the block begins; more is false when it is the block's last. The
// claims are numbers of the claim tables.
func stepAt(raw []byte, first, pos position) (s step, next position, more bool, err error) {
	r := reader{b: raw}
	n := r.uvarint()
	if n == 0 || n > stepsPerBlock {
		return s, next, false, errBlock
	}
	zeros := r.bytes(n - 1)
	at, i := first, uint64(0) // the step in force so far
	for ; i < n-1 && !r.bad; i++ {
		if zeros[i] > 127 {
			return s, next, false, errBlock
		}
		to := at.plus(position{lo: r.uvarint(), hi: r.uvarint()}.shiftLeft(int(zeros[i])))
		if pos.less(to) {
			next, more = to, true
			break
		}
		at = to
	}
	if more {
		r.pass(2 * (n - 2 - i))
	}
	lengths := r.bytes(n)
	if r.bad {
		return s, next, false, errBlock
	}
	s.from = at
	if s.bits = int16(int8(lengths[i])); lengths[i] == 128 { // int8 has no 128; -1 marks a range
		s.bits = 128
	}
	for _, id := range []*uint32{&s.loc, &s.net, &s.sec} {
		r.pass(i)
		*id = uint32(r.uvarint())
		r.pass(n - 1 - i)
	}
	if r.bad || len(r.b) != 0 {
		return s, next, false, errBlock
	}
	return s, next, more, nil
}

func (r *reader) loc() (c locClaim) {
	c.Continent, c.Country, c.Region, c.RegionName = r.text(), r.text(), r.text(), r.text()
	c.City, c.Postal, c.TimeZone = r.text(), r.text(), r.text()
	if r.byte() != 0 {
		c.HasCoordinates = true
		c.Latitude, c.Longitude = float64(r.varint())/1e6, float64(r.varint())/1e6
		c.AccuracyKM = uint16(r.uvarint())
	}
	return c
}

func (r *reader) net() (c netClaim) {
	c.Origin, c.Org = uint32(r.uvarint()), uint32(r.uvarint())
	return c
}

func (r *reader) org() (o org) {
	o.company, o.domain, o.kind = r.text(), r.text(), r.text()
	o.carrier, o.mcc, o.mnc = r.text(), r.text(), r.text()
	return o
}

func (r *reader) sec() (c secClaim) {
	c.Traits, c.Denied = ipwarden.Traits(r.uvarint()), ipwarden.Traits(r.uvarint())
	c.Count, c.Seen = uint32(r.uvarint()), int32(r.varint())
	c.Name, c.CloudRegion, c.CloudService = r.text(), r.text(), r.text()
	c.RFC, c.Purpose, c.Detail = r.text(), r.text(), r.text()
	return c
}

func (r *reader) as() (c asClaim) {
	c.Traits = ipwarden.Traits(r.uvarint())
	c.Name, c.Domain, c.Kind, c.Registry, c.Detail = r.text(), r.text(), r.text(), r.text(), r.text()
	return c
}

// claim reads one claim of a table by its number.
func claim[T any](d *Dataset, kind uint8, n uint32, decode func(*reader) T) (c T) {
	e, _, ok := d.find(kind, 0, 0, position{lo: uint64(n)})
	if !ok {
		return c
	}
	raw, err := d.block(e)
	if err != nil {
		return c
	}
	r := reader{b: raw}
	count := r.uvarint()
	if uint64(n)-e.first.lo >= count {
		return c
	}
	r.skip = true
	for range uint64(n) - e.first.lo {
		if decode(&r); r.bad {
			return c
		}
	}
	r.skip = false
	if c = decode(&r); r.bad {
		var none T
		return none
	}
	return c
}

// checkBlock decodes a block wholly.
func (d *Dataset) checkBlock(i int) error {
	e := d.dirAt(i)
	raw, err := d.block(e)
	if err != nil {
		return err
	}
	if e.kind == blockSteps {
		_, _, _, err := stepAt(raw, e.first, e.fam.last())
		return err
	}
	r := reader{b: raw}
	for range r.uvarint() {
		switch e.kind {
		case blockLoc:
			r.loc()
		case blockNet:
			r.net()
		case blockSec:
			r.sec()
		case blockAS:
			r.as()
		case blockOrg:
			r.org()
		case blockASSaid:
			r.uvarint()
			if int(r.byte()) >= d.manifest.Inputs {
				return errBlock
			}
			r.uvarint()
		}
		if r.bad {
			return errBlock
		}
	}
	if len(r.b) != 0 {
		return errBlock
	}
	return nil
}
