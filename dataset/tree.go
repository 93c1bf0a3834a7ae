package dataset

import "errors"

// treeBuilder writes the index: for each family a root of 65536 references,
// and below it nodes of 8 bits a step; in IPv6 of 16 where a block is nearly empty,
// or a root's entry crowded.
type treeBuilder struct {
	words []uint32
	runs  []run // scratch, used as a stack
}

// run of bytes with one reference, from start to the next run.
type run struct {
	start uint32
	ref   uint32
}

var errTreeTooLarge = errors.New("the index is larger than 2 GiB")

// family writes one family's tree. part is a partition: it begins at 0, and
// neighbours differ.
func (b *treeBuilder) family(fam family, part []entry) (root []uint32, reach []byte, err error) {
	root, reach = make([]uint32, 1<<16), make([]byte, 1<<16)
	shift := fam.bits() - 16
	for h := range root {
		start := position{lo: uint64(h) << 16}
		if fam == ipv6 {
			start = position{hi: uint64(h) << 48}
		}
		end := start.endOf(fam, 16)
		for len(part) > 1 && part[1].from.compare(start) <= 0 {
			part = part[1:]
		}
		n := 1
		for n < len(part) && part[n].from.compare(end) <= 0 {
			n++
		}
		if n == 1 {
			root[h] = part[0].row
			last := fam.last()
			if len(part) > 1 {
				last = part[1].from.prev()
			}
			reach[h] = byte(reachOf(fam, start, part[0].from, last))
			continue
		}
		root[h] = b.node(fam, part[:n], start, shift)
		part = part[n-1:]
	}
	if len(b.words) > refValue {
		return nil, nil, errTreeTooLarge
	}
	return root, reach, nil
}

// reachOf returns the length of the largest prefix round p inside from..to.
func reachOf(fam family, p, from, to position) int {
	n := fam.bits()
	for n > 0 && from.compare(p.masked(fam, n-1)) <= 0 && p.endOf(fam, n-1).compare(to) <= 0 {
		n--
	}
	return n
}

// crowded is how many changes below one root entry are worth a wide node.
const crowded = 2048

// node writes the node of the block that begins at start and has shift bits.
// seg[0] is in force at start, the others begin inside.
func (b *treeBuilder) node(fam family, seg []entry, start position, shift int) uint32 {
	stride := 8
	if fam == ipv6 && shift >= 16 && shift != straddles && (shift == 112 && len(seg) > crowded || sparse(seg, shift)) {
		stride = 16
	}
	shift -= stride
	base := len(b.runs)
	add := func(at, ref uint32) {
		if n := len(b.runs); n > base && b.runs[n-1].start == at {
			b.runs = b.runs[:n-1]
		}
		if n := len(b.runs); n == base || b.runs[n-1].ref != ref || ref&refKind != refLeaf {
			b.runs = append(b.runs, run{at, ref})
		}
	}
	cur, rest := seg[0], seg[1:]
	add(0, cur.row)
	for len(rest) > 0 {
		child := digit(rest[0].from, shift, stride)
		n := 1
		for n < len(rest) && digit(rest[n].from, shift, stride) == child {
			n++
		}
		begin := rest[0].from.masked(fam, fam.bits()-shift)
		if n == 1 && rest[0].from == begin {
			add(child, rest[0].row)
		} else {
			inside := append([]entry{cur}, rest[:n]...)
			if rest[0].from == begin {
				inside = inside[1:]
			}
			add(child, b.node(fam, inside, begin, shift))
			if child+1 < 1<<stride {
				add(child+1, rest[n-1].row)
			}
		}
		cur, rest = rest[n-1], rest[n:]
	}
	runs := b.runs[base:]
	b.runs = b.runs[:base]
	return b.write(runs, stride)
}

// straddles is where 16 bits would lie in both halves of an address.
const straddles = 72

// sparse reports whether 16 bits of seg's block make a broad node: with at most
// four changes of the digit, counting the return to what was before.
func sparse(seg []entry, shift int) bool {
	starts, last := 0, uint32(0)
	for i := 1; i < len(seg); i++ {
		d := digit(seg[i].from, shift-16, 16)
		below := seg[i].from.masked(ipv6, 128-shift+16) != seg[i].from // something begins inside of the digit
		if d != last || starts == 0 && d != 0 {
			starts++
			last = d
		}
		if below && (i+1 == len(seg) || digit(seg[i+1].from, shift-16, 16) != d) && d != 0xffff {
			starts++ // the digit after it
			last = d + 1
		}
		if starts > broadStarts {
			return false
		}
	}
	return true
}

// digit returns the stride bits above shift.
func digit(p position, shift, stride int) uint32 {
	mask := uint32(1)<<stride - 1
	if shift >= 64 {
		return uint32(p.hi>>(shift-64)) & mask
	}
	return uint32(p.lo>>shift) & mask
}

// list writes a small or broad node.
func (b *treeBuilder) list(kind uint32, starts uint64, runs []run) uint32 {
	at := uint32(len(b.words))
	b.words = append(b.words, uint32(starts), uint32(starts>>32))
	for i := len(runs) - 1; i >= 0; i-- {
		b.words = append(b.words, runs[i].ref)
	}
	return kind | at
}

func (b *treeBuilder) write(runs []run, stride int) uint32 {
	at := uint32(len(b.words))
	switch {
	case stride == 16 && len(runs) <= broadStarts+1:
		var starts uint64
		for i, r := range runs[1:] {
			starts |= uint64(r.start) << (16 * i)
		}
		return b.list(refBroad, starts, runs)
	case stride == 16:
		var bitmap [1024]uint64
		for _, r := range runs {
			bitmap[r.start/64] |= 1 << (r.start % 64)
		}
		before := uint32(0)
		for _, w := range bitmap {
			b.words = append(b.words, uint32(w), uint32(w>>32), before)
			before += uint32(popcount(w))
		}
		for _, r := range runs {
			b.words = append(b.words, r.ref)
		}
		return refWide | at
	case len(runs) <= smallStarts+1:
		var starts uint64
		for i, r := range runs[1:] {
			starts |= uint64(r.start) << (8 * i)
		}
		return b.list(refSmall, starts, runs)
	}
	var bitmap [4]uint64
	for _, r := range runs {
		bitmap[r.start/64] |= 1 << (r.start % 64)
	}
	counts, before := uint32(0), 0
	for i, w := range bitmap {
		counts |= uint32(before) << (8 * i)
		before += popcount(w)
	}
	b.words = append(b.words, counts)
	for _, w := range bitmap {
		b.words = append(b.words, uint32(w), uint32(w>>32))
	}
	for _, r := range runs {
		b.words = append(b.words, r.ref)
	}
	return refBitmap | at
}
