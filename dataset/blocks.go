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
	b   []byte
	bad bool
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

func (r *reader) text() string { return string(r.bytes(r.uvarint())) }

// steps decodes a block of steps; their claims are numbers of the claim tables.
func decodeSteps(raw []byte, first position) ([]step, error) {
	r := reader{b: raw}
	n := r.uvarint()
	if n == 0 || n > stepsPerBlock {
		return nil, errBlock
	}
	steps := make([]step, n)
	zeros := r.bytes(n - 1)
	if r.bad {
		return nil, errBlock
	}
	at := first
	steps[0].from = at
	for i := range zeros {
		if zeros[i] > 127 {
			return nil, errBlock
		}
		delta := position{lo: r.uvarint(), hi: r.uvarint()}.shiftLeft(int(zeros[i]))
		lo := at.lo + delta.lo
		carry := uint64(0)
		if lo < at.lo {
			carry = 1
		}
		at = position{at.hi + delta.hi + carry, lo}
		steps[i+1].from = at
	}
	lengths := r.bytes(n)
	if r.bad {
		return nil, errBlock
	}
	for i := range steps {
		steps[i].bits = int16(int8(lengths[i]))
		if lengths[i] == 128 { // int8 has no 128; -1 marks a range
			steps[i].bits = 128
		}
	}
	for i := range steps {
		steps[i].loc = uint32(r.uvarint())
	}
	for i := range steps {
		steps[i].net = uint32(r.uvarint())
	}
	for i := range steps {
		steps[i].sec = uint32(r.uvarint())
	}
	if r.bad || len(r.b) != 0 {
		return nil, errBlock
	}
	return steps, nil
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
	for range uint64(n) - e.first.lo {
		decode(&r)
	}
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
		_, err := decodeSteps(raw, e.first)
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
