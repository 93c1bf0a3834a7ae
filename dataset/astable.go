package dataset

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// asTable holds the autonomous systems that any feed names or that announce
// anything, by number; index 0 is none.
type asTable struct {
	index  map[uint32]uint32 // number to row
	rows   []asRow
	claims *table[asClaim]
	// traits numbers, for each row, the set of claims that say anything about
	// security; sets are encoded as feed and claim.
	traits    []uint32
	traitSets *table[string]
	// said holds every claim, by AS and then by precedence: the evidence.
	said []asSaid
}

type asRow struct {
	number                     uint32
	name, domain               string
	kind, registry             string
	byName, byKind, byRegistry uint8
}

// sameName stands for the name that won, in the evidence.
const sameName = "="

type asSaid struct {
	number uint32
	feed   uint8
	claim  uint32
}

func newASTable(order []*active, net *table[netClaim]) *asTable {
	t := &asTable{claims: newTable[asClaim](), traitSets: newTable[string]()}
	var rank [maxInputs]int
	facts := 0
	for i, a := range order {
		rank[a.in.index] = i
		facts += len(a.in.as)
	}
	t.said = make([]asSaid, 0, facts)
	for _, a := range order {
		for i, f := range a.in.as {
			t.said = append(t.said, asSaid{f.number, uint8(a.in.index), uint32(i)}) // which fact, until its claim has a number
		}
	}
	slices.SortFunc(t.said, func(a, b asSaid) int {
		return cmp.Or(cmp.Compare(a.number, b.number), rank[a.feed]-rank[b.feed], cmp.Compare(a.claim, b.claim))
	})
	numbers := make([]uint32, 0, len(t.said)+len(net.values))
	for _, s := range t.said {
		numbers = append(numbers, s.number)
	}
	for _, c := range net.values {
		if c.Origin != 0 {
			numbers = append(numbers, c.Origin)
		}
	}
	slices.Sort(numbers)
	numbers = slices.Compact(numbers)
	t.index = make(map[uint32]uint32, len(numbers))
	t.rows = make([]asRow, 1, len(numbers)+1)
	t.traits = make([]uint32, len(numbers)+1)
	said := t.said
	var set []byte
	for _, n := range numbers {
		row := asRow{number: n}
		set = set[:0]
		i := uint32(len(t.rows))
		for ; len(said) > 0 && said[0].number == n; said = said[1:] {
			c, by := order[rank[said[0].feed]].in.as[said[0].claim].claim, said[0].feed+1
			if row.name == "" && c.Name != "" {
				row.name, row.byName = c.Name, by
			}
			if c.Name != "" && c.Name == row.name { // it stands in the table already
				c.Name = sameName
			}
			said[0].claim = t.claims.id(c)
			if row.domain == "" {
				row.domain = c.Domain
			}
			if row.kind == "" && c.Kind != "" {
				row.kind, row.byKind = c.Kind, by
			}
			if row.registry == "" && c.Registry != "" {
				row.registry, row.byRegistry = c.Registry, by
			}
			if c.Traits != 0 || order[rank[said[0].feed]].in.Listing != "" {
				set = append(set, said[0].feed)
				set = binary.LittleEndian.AppendUint32(set, t.claims.id(asClaim{Traits: c.Traits, Detail: c.Detail}))
			}
		}
		t.traits[i] = t.traitSets.id(string(set))
		t.index[n] = i
		t.rows = append(t.rows, row)
	}
	for _, a := range order {
		a.in.as = nil
	}
	return t
}

// number returns the AS number of a row, 0 for none.
func (t *asTable) number(i uint32) uint32 { return t.rows[i].number }
