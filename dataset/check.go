package dataset

import (
	"fmt"
	"math/bits"
)

// check makes sure that every reference in the file leads to where it should,
// so that look-ups need no checks: a file with a good checksum may still have
// been made by an enemy. It reads the index and the tables once.
func (d *Dataset) check() error {
	for _, t := range []struct {
		name        string
		data        []byte
		size, least int
	}{
		{"rows", d.rows, rowSize, 1},
		{"locations", d.locs, locSize, 1},
		{"autonomous systems", d.as, asSize, 1},
		{"AS numbers", d.numbers, numberSize, 1},
		{"profiles", d.profiles, profileSize, 1},

		{"security", d.secs, secSize, 1},
		{"organisations", d.orgTable, orgSize, 0},
		{"directory", d.dir, dirSize, 0},
		{"nodes", d.nodes, 4, 0},
	} {
		if len(t.data)%t.size != 0 || len(t.data)/t.size < t.least {
			return corrupt("the section %s has %d bytes", t.name, len(t.data))
		}
	}
	if len(d.strings) == 0 || d.strings[0] != 0 {
		return corrupt("the strings do not begin with the empty one")
	}
	if n := len(d.rows) / rowSize * 4; len(d.orgs) != 0 && len(d.orgs) != n {
		return corrupt("the organisations of rows have %d bytes, not %d", len(d.orgs), n)
	}
	for _, f := range []func() error{d.checkManifest, d.checkTables, d.checkRows, d.checkListings, d.checkDirectory} {
		if err := f(); err != nil {
			return err
		}
	}
	c := treeCheck{nodes: d.nodes, rows: uint32(len(d.rows) / rowSize), seen: make([]uint64, len(d.nodes)/4/64+1)}
	c6 := c
	c6.six = true
	for h := range 1 << 16 {
		if err := c.ref(le.Uint32(d.root4[h*4:]), 16); err != nil {
			return err
		}
		if err := c6.ref(le.Uint32(d.root6[h*4:]), 112); err != nil {
			return err
		}
		if d.reach4[h] > 16 || d.reach6[h] > 16 {
			return corrupt("a root answer reaches no further than its own block, %d", h)
		}
	}
	return nil
}

// treeCheck walks the index.
type treeCheck struct {
	nodes []byte
	rows  uint32
	six   bool     // IPv6, which has nodes of 16 bits
	seen  []uint64 // words where a node begins: each is reached once, so the walk ends
}

// ref checks a reference below which shift bits are left to decide.
func (c *treeCheck) ref(ref uint32, shift int) error {
	at := ref & refValue
	if ref&refKind == refLeaf {
		if at >= c.rows {
			return corrupt("the index refers to answer %d of %d", at, c.rows)
		}
		return nil
	}
	words := uint32(len(c.nodes) / 4)
	broad := ref&refKind == refBroad || ref&refKind == refWide
	if at >= words || shift < 8 || ref&refKind > refWide || broad && (!c.six || shift < 16 || shift == straddles) {
		return corrupt("the index refers to a node that cannot be, %d", at)
	}
	if c.seen[at/64]&(1<<(at%64)) != 0 {
		return corrupt("the index refers twice to node %d", at)
	}
	c.seen[at/64] |= 1 << (at % 64)
	n := c.nodes[uint64(at)*4:]
	var count, head int
	switch ref & refKind {
	case refSmall, refBroad:
		head = smallWords
		if len(n) < head*4 {
			return corrupt("node %d is cut short", at)
		}
		width, starts := 8, le.Uint64(n)
		if ref&refKind == refBroad {
			width = 16
			shift -= 8
		}
		count = 1
		for prev, i := uint64(0), 0; i < 64; i += width {
			s := starts >> i & (1<<width - 1)
			if s == 0 {
				prev = 1 << width // and nothing after it
				continue
			}
			if s <= prev {
				return corrupt("the starts of node %d are not in order", at)
			}
			prev = s
			count++
		}
	case refBitmap:
		head = bitmapWords
		if len(n) < head*4 {
			return corrupt("node %d is cut short", at)
		}
		counts := le.Uint32(n)
		for w := range 4 {
			if int(counts>>(8*w)&0xff) != count {
				return corrupt("the counts of node %d are wrong", at)
			}
			count += bits.OnesCount64(le.Uint64(n[4+8*w:]))
		}
		if n[4]&1 == 0 {
			return corrupt("node %d has no first answer", at)
		}
	case refWide:
		head = wideWords
		if len(n) < head*4 {
			return corrupt("node %d is cut short", at)
		}
		for w := range 1024 {
			if le.Uint32(n[w*wideEntry+8:]) != uint32(count) {
				return corrupt("the counts of node %d are wrong", at)
			}
			count += bits.OnesCount64(le.Uint64(n[w*wideEntry:]))
		}
		if n[0]&1 == 0 {
			return corrupt("node %d has no first answer", at)
		}
		shift -= 8
	}
	if len(n) < (head+count)*4 {
		return corrupt("node %d is cut short", at)
	}
	for i := range count {
		if err := c.ref(le.Uint32(n[(head+i)*4:]), shift-8); err != nil {
			return err
		}
	}
	return nil
}

func (d *Dataset) checkManifest() error {
	m := &d.manifest
	if m.Inputs < 0 || m.Inputs > maxInputs || len(m.Feeds) < m.Inputs || len(m.Notes) != m.Inputs || len(m.Listings) != m.Inputs {
		return corrupt("the manifest lists %d feeds for %d inputs", len(m.Feeds), m.Inputs)
	}
	if len(m.Countries) == 0 || len(m.Zones) == 0 || len(m.Words) == 0 || m.Words[0] != "" || m.Zones[0] != "" || len(m.Words) > 256 {
		return corrupt("the manifest lacks countries, zones or words")
	}
	for _, c := range m.Countries {
		for _, l := range c.Languages {
			if l < 0 || l >= len(m.Languages) {
				return corrupt("%s refers to language %d", c.Code, l)
			}
		}
	}
	return nil
}

func (d *Dataset) checkRows() error {
	locs, secs := uint32(len(d.locs)/locSize), uint32(len(d.secs)/secSize)
	orgs := uint32(len(d.orgTable) / orgSize)
	for i := 0; i < len(d.rows); i += rowSize {
		r := answerRow(d.rows[i : i+rowSize])
		if r.loc() >= locs || r.sec() >= secs || r.by() > d.manifest.Inputs {
			return corrupt("answer %d refers outside of the tables", i/rowSize)
		}
		if r.route() > 128 && r.route() != noRoute {
			return corrupt("answer %d has a route of %d bits", i/rowSize, r.route())
		}
		if len(d.orgs) > 0 && le.Uint32(d.orgs[i/rowSize*4:]) >= orgs {
			return corrupt("answer %d refers to no organisation", i/rowSize)
		}
	}
	return nil
}

func (d *Dataset) checkTables() error {
	for _, t := range []struct {
		name    string
		data    []byte
		size    int
		strings []int // offsets of references
		bytes   []int // offsets of feeds
	}{
		{"location", d.locs, locSize, []int{4, 8, 12, 16}, []int{30, 31}},
		{"autonomous system", d.as, asSize, []int{0}, nil},
		{"profile", d.profiles, profileSize, []int{0}, []int{6, 7, 8}},
		{"security", d.secs, secSize, []int{0, 4, 8, 12, 16, 20, 24, 28}, []int{36, 37, 38, 39}},
		{"organisation", d.orgTable, orgSize, []int{0, 4, 8, 12, 16, 20}, nil},
	} {
		for i := 0; i < len(t.data); i += t.size {
			for _, at := range t.strings {
				if err := d.checkStr(le.Uint32(t.data[i+at:])); err != nil {
					return corrupt("%s %d: %v", t.name, i/t.size, err)
				}
			}
			for _, at := range t.bytes {
				if int(t.data[i+at]) > d.manifest.Inputs {
					return corrupt("%s %d refers to feed %d", t.name, i/t.size, t.data[i+at])
				}
			}
		}
	}
	for i := 0; i < len(d.locs); i += locSize {
		if int(le.Uint16(d.locs[i:])) >= len(d.manifest.Countries) || int(le.Uint16(d.locs[i+2:])) >= len(d.manifest.Zones) {
			return corrupt("location %d refers to no country or zone", i/locSize)
		}
	}
	for i := 0; i < len(d.profiles); i += profileSize {
		if int(d.profiles[i+4]) >= len(d.manifest.Words) || int(d.profiles[i+5]) >= len(d.manifest.Words) {
			return corrupt("profile %d refers to no word", i/profileSize)
		}
	}
	if len(d.hot) != len(d.rows)/rowSize {
		return corrupt("there are hot words for %d answers, not %d", len(d.hot), len(d.rows)/rowSize)
	}
	if len(d.numbers)/numberSize != len(d.as)/asSize {
		return corrupt("there are numbers for %d autonomous systems, not %d", len(d.numbers)/numberSize, len(d.as)/asSize)
	}
	prev := uint32(0)
	for i := 0; i < len(d.as); i += asSize {
		if n := d.numberAt(uint32(i / asSize)); i > 0 && n <= prev {
			return corrupt("the autonomous systems are not in order")
		} else {
			prev = n
		}
		if le.Uint32(d.as[i+4:]) >= uint32(len(d.profiles)/profileSize) {
			return corrupt("autonomous system %d refers to no profile", prev)
		}
	}
	return nil
}

// numSets returns the number of sets of blocklists.
func (d *Dataset) numSets() int { return int(le.Uint32(d.listings)) }

func (d *Dataset) checkListings() error {
	if len(d.listings) < 8 {
		return corrupt("the listings are cut short")
	}
	n := uint64(le.Uint32(d.listings))
	head := 4 + 4*n
	if n == 0 || head > uint64(len(d.listings)) {
		return corrupt("there are %d sets of listings", n)
	}
	body, prev := d.listings[head:], uint32(0)
	for i := range n {
		end := le.Uint32(d.listings[4+4*i:])
		if end < prev || uint64(end) > uint64(len(body)) {
			return corrupt("listing set %d lies outside of the listings", i)
		}
		for set := body[prev:end]; len(set) > 0; {
			if len(set) < 6 || int(set[5]) > len(set)-6 || int(set[0]) >= d.manifest.Inputs {
				return corrupt("listing set %d is cut short", i)
			}
			set = set[6+int(set[5]):]
		}
		prev = end
	}
	for i := 0; i < len(d.secs); i += secSize {
		if uint64(le.Uint32(d.secs[i+32:])) >= n {
			return corrupt("security %d refers to no set of listings", i/secSize)
		}
	}
	return nil
}

func (d *Dataset) checkDirectory() error {
	for i := 0; i < len(d.dir); i += dirSize {
		e := d.dirAt(i / dirSize)
		in := d.claims
		if e.kind == blockSteps {
			in = d.evidence
		}
		if e.kind < blockSteps || e.kind > blockASSaid || int(e.feed) >= max(d.manifest.Inputs, 1) || e.size > maxBlock ||
			e.offset > uint64(len(in)) || uint64(e.length) > uint64(len(in))-e.offset {
			return corrupt("block %d of the evidence lies outside of it", i/dirSize)
		}
	}
	return nil
}

// dirAt reads an entry of the directory.
func (d *Dataset) dirAt(i int) dirEntry {
	b := d.dir[i*dirSize : (i+1)*dirSize]
	return dirEntry{
		kind: b[0], fam: family(b[1]), feed: b[2], length: le.Uint32(b[4:]), offset: le.Uint64(b[8:]),
		first: position{le.Uint64(b[16:]), le.Uint64(b[24:])}, size: le.Uint32(b[32:]),
	}
}

// Verify checks everything once more, the evidence included, and asks the
// canaries: addresses whose answers are known for certain.
func (d *Dataset) Verify() error {
	if _, _, err := readSections(d.data); err != nil {
		return err
	}
	if err := d.check(); err != nil {
		return err
	}
	for i := range len(d.dir) / dirSize {
		if err := d.checkBlock(i); err != nil {
			return corrupt("block %d of the evidence: %v", i, err)
		}
	}
	if missing := d.Canaries(); len(missing) > 0 {
		return fmt.Errorf("dataset: %d canaries fail, the first: %s", len(missing), missing[0])
	}
	return nil
}
