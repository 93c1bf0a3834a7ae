package dataset

import (
	"encoding/binary"

	"github.com/klauspost/compress/zstd"
)

// The evidence is what every feed said, in blocks that are compressed one by
// one and found through the directory. It is read only when somebody asks why.
const (
	blockSteps = 1 + iota // steps of a feed's layer
	blockLoc              // claims, by number
	blockNet
	blockSec
	blockAS
	blockOrg
	blockASSaid // which feed claims what about which AS
)

// How much goes into one block: enough to compress well, little enough to read
// in some ten microseconds.
const (
	stepsPerBlock  = 1024
	claimsPerBlock = 256
	maxBlock       = 1 << 20 // bytes, unpacked
)

// dirEntry locates a block.
type dirEntry struct {
	kind   uint8
	fam    family
	feed   uint8
	length uint32
	offset uint64
	first  position // first position, claim number or AS number
	size   uint32   // unpacked
}

// blockWriter appends compressed blocks to a section.
type blockWriter struct {
	enc *zstd.Encoder
	dir []byte
}

func (w *blockWriter) add(dst []byte, e dirEntry, raw []byte) []byte {
	e.offset, e.size = uint64(len(dst)), uint32(len(raw))
	dst = w.enc.EncodeAll(raw, dst)
	e.length = uint32(len(dst)) - uint32(e.offset)
	w.dir = append(w.dir, e.kind, byte(e.fam), e.feed, 0)
	w.dir = le.AppendUint32(w.dir, e.length)
	w.dir = le.AppendUint64(w.dir, e.offset)
	w.dir = le.AppendUint64(w.dir, e.first.hi)
	w.dir = le.AppendUint64(w.dir, e.first.lo)
	w.dir = le.AppendUint32(w.dir, e.size)
	w.dir = le.AppendUint32(w.dir, 0)
	return dst
}

func (m *merger) writeEvidence(s *sections) error {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithEncoderCRC(false))
	if err != nil {
		return err
	}
	defer enc.Close()
	w := blockWriter{enc: enc}
	var raw []byte
	for _, a := range m.ins {
		for _, l := range []*layer{&a.in.layer4, &a.in.layer6} {
			for _, steps := range l.chunks {
				raw = appendSteps(raw[:0], steps, a)
				s[secEvidence] = w.add(s[secEvidence], dirEntry{kind: blockSteps, fam: l.fam, feed: uint8(a.in.index), first: steps[0].from}, raw)
			}
			l.chunks = nil
		}
	}
	s[secClaims] = writeClaims(&w, s[secClaims], blockLoc, m.claims.loc.values, appendLocClaim)
	s[secClaims] = writeClaims(&w, s[secClaims], blockNet, m.claims.net.values, appendNetClaim)
	s[secClaims] = writeClaims(&w, s[secClaims], blockSec, m.claims.sec.values, appendSecClaim)
	s[secClaims] = writeClaims(&w, s[secClaims], blockAS, m.as.claims.values, appendASClaim)
	s[secClaims] = writeClaims(&w, s[secClaims], blockOrg, m.claims.org.values, appendOrg)
	for said := m.as.said; len(said) > 0; {
		n := min(claimsPerBlock, len(said))
		for n < len(said) && said[n].number == said[n-1].number {
			n++
		}
		raw = binary.AppendUvarint(raw[:0], uint64(n))
		prev := uint32(0)
		for _, v := range said[:n] {
			raw = binary.AppendUvarint(raw, uint64(v.number-prev))
			prev = v.number
			raw = append(raw, v.feed)
			raw = binary.AppendUvarint(raw, uint64(v.claim))
		}
		s[secClaims] = w.add(s[secClaims], dirEntry{kind: blockASSaid, first: position{lo: uint64(said[0].number)}}, raw)
		said = said[n:]
	}
	s[secDirectory] = w.dir
	return nil
}

// appendSteps encodes steps in columns, which compress better than rows: where
// each begins (the distance, without its trailing zero bits), the length of
// its prefix, and the three claims.
func appendSteps(dst []byte, steps []step, a *active) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(steps)))
	prev := steps[0].from
	for _, s := range steps[1:] {
		d := position{s.from.hi - prev.hi, s.from.lo - prev.lo}
		if s.from.lo < prev.lo {
			d.hi--
		}
		dst = append(dst, byte(d.trailingZeros()))
		prev = s.from
	}
	prev = steps[0].from
	for _, s := range steps[1:] {
		d := position{s.from.hi - prev.hi, s.from.lo - prev.lo}
		if s.from.lo < prev.lo {
			d.hi--
		}
		d = d.shiftRight(d.trailingZeros())
		dst = binary.AppendUvarint(dst, d.lo)
		dst = binary.AppendUvarint(dst, d.hi)
		prev = s.from
	}
	for _, s := range steps {
		dst = append(dst, byte(s.bits))
	}
	for _, ids := range []struct {
		to []uint32
		of func(*step) uint32
	}{{a.toLoc, func(s *step) uint32 { return s.loc }}, {a.toNet, func(s *step) uint32 { return s.net }}, {a.toSec, func(s *step) uint32 { return s.sec }}} {
		for i := range steps {
			dst = binary.AppendUvarint(dst, uint64(ids.to[ids.of(&steps[i])]))
		}
	}
	return dst
}

func (p position) shiftRight(n int) position {
	switch {
	case n == 0:
		return p
	case n >= 64:
		return position{0, p.hi >> (n - 64)}
	}
	return position{p.hi >> n, p.lo>>n | p.hi<<(64-n)}
}

func (p position) shiftLeft(n int) position {
	switch {
	case n == 0:
		return p
	case n >= 64:
		return position{p.lo << (n - 64), 0}
	}
	return position{p.hi<<n | p.lo>>(64-n), p.lo << n}
}

func writeClaims[T any](w *blockWriter, dst []byte, kind uint8, values []T, encode func([]byte, *T) []byte) []byte {
	var raw []byte
	for first := 0; first < len(values); first += claimsPerBlock {
		part := values[first:min(first+claimsPerBlock, len(values))]
		raw = binary.AppendUvarint(raw[:0], uint64(len(part)))
		for i := range part {
			raw = encode(raw, &part[i])
		}
		dst = w.add(dst, dirEntry{kind: kind, first: position{lo: uint64(first)}}, raw)
	}
	return dst
}

func appendText(dst []byte, texts ...string) []byte {
	for _, t := range texts {
		dst = binary.AppendUvarint(dst, uint64(len(t)))
		dst = append(dst, t...)
	}
	return dst
}

func appendLocClaim(dst []byte, c *locClaim) []byte {
	dst = appendText(dst, c.Continent, c.Country, c.Region, c.RegionName, c.City, c.Postal, c.TimeZone)
	if !c.HasCoordinates {
		return append(dst, 0)
	}
	dst = append(dst, 1)
	dst = binary.AppendVarint(dst, int64(degrees(c.Latitude)))
	dst = binary.AppendVarint(dst, int64(degrees(c.Longitude)))
	return binary.AppendUvarint(dst, uint64(c.AccuracyKM))
}

func appendNetClaim(dst []byte, c *netClaim) []byte {
	dst = binary.AppendUvarint(dst, uint64(c.Origin))
	return binary.AppendUvarint(dst, uint64(c.Org))
}

func appendOrg(dst []byte, o *org) []byte {
	return appendText(dst, o.company, o.domain, o.kind, o.carrier, o.mcc, o.mnc)
}

func appendSecClaim(dst []byte, c *secClaim) []byte {
	dst = binary.AppendUvarint(dst, uint64(c.Traits))
	dst = binary.AppendUvarint(dst, uint64(c.Denied))
	dst = binary.AppendUvarint(dst, uint64(c.Count))
	dst = binary.AppendVarint(dst, int64(c.Seen))
	return appendText(dst, c.Name, c.CloudRegion, c.CloudService, c.RFC, c.Purpose, c.Detail)
}

func appendASClaim(dst []byte, c *asClaim) []byte {
	dst = binary.AppendUvarint(dst, uint64(c.Traits))
	return appendText(dst, c.Name, c.Domain, c.Kind, c.Registry, c.Detail)
}
