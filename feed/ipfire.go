package feed

import (
	"bytes"
	"io"

	"github.com/ipwarden/ipwarden"
)

// IPFire reads the text that IPFire's "location dump" writes: blocks of
// "key: value" lines, divided by blank ones, of two kinds:
//
//	aut-num:                 AS13335        net:                     1.1.1.0/24
//	name:                    CLOUDFLARENET  country:                 AU
//	                                        aut-num:                 13335
//	                                        is-anycast:              yes
//
// Facts: of a system its ASName; of a net Country, Origin and Traits (Anycast,
// Proxy, Satellite, and Attacker where IPFire says that its packets should be
// dropped). Nets nest and the most specific wins. The pseudo countries (EU,
// AP) are no countries; a block that is left with nothing to say yields
// nothing. Keys that are not known are passed over.
func IPFire(r io.Reader, meta *Meta) facts {
	return readLines(r, "IPFire text export", func(ls *lines) {
		b := ipfireBlock{ls: ls}
		for ls.next() {
			row := ls.row
			if len(row) == 0 {
				b.end()
				continue
			}
			if row[0] == '#' {
				generated(row, meta)
				continue
			}
			i := bytes.IndexByte(row, ':')
			if i < 0 {
				if len(bytes.TrimSpace(row)) == 0 {
					b.end()
				} else {
					b.refuse("want \"key: value\"")
				}
				continue
			}
			value := row[i+1:]
			for len(value) > 0 && value[0] == ' ' {
				value = value[1:]
			}
			b.line(row[:i], bytes.TrimRight(value, " \t"))
		}
		b.end()
	})
}

// ipfireBlock is the block being read.
type ipfireBlock struct {
	ls    *lines
	names interner
	fact  Fact
	kind  blockKind
}

type blockKind uint8

const (
	noBlock   blockKind = iota
	netBlock            // of a network
	asBlock             // of an autonomous system
	skipBlock           // refused; its other lines are passed over
)

func (b *ipfireBlock) line(key, value []byte) {
	switch string(key) { // compares, makes no string
	case "net":
		b.end()
		p, _, why := parsePrefix(value)
		if why != "" {
			b.refuse(why)
			return
		}
		b.fact.SetPrefix(p)
		b.kind = netBlock
	case "aut-num":
		n, ok := parseASN(value)
		switch {
		case b.kind == skipBlock:
		case !ok:
			b.refuse("this is no number of an autonomous system")
		case b.kind == netBlock:
			b.fact.Origin = n
		default:
			b.end()
			b.fact.AS, b.kind = n, asBlock
		}
	case "name":
		if b.kind == asBlock {
			b.fact.ASName = b.names.text(value)
		}
	case "country":
		if b.kind == netBlock {
			b.fact.setPlace(value)
		}
	case "is-anycast":
		b.flag(value, ipwarden.Anycast)
	case "is-anonymous-proxy":
		b.flag(value, ipwarden.Proxy)
	case "is-satellite-provider":
		b.flag(value, ipwarden.Satellite)
	case "drop":
		b.flag(value, ipwarden.Attacker)
	}
}

func (b *ipfireBlock) flag(value []byte, t ipwarden.Traits) {
	if b.kind == noBlock || b.kind == skipBlock {
		return
	}
	switch string(value) {
	case "yes":
		b.fact.Traits |= t
	case "no":
	default:
		b.refuse("want \"yes\" or \"no\"")
	}
}

// refuse gives up the block, once.
func (b *ipfireBlock) refuse(why string) {
	if b.kind != skipBlock {
		b.ls.bad(why)
	}
	b.fact, b.kind = Fact{}, skipBlock
}

// end yields the block.
func (b *ipfireBlock) end() {
	f := &b.fact
	switch b.kind {
	case noBlock:
		return
	case netBlock:
		b.ls.fact(f) // also one that says nothing: it hides the network round it
		f.Country, f.Continent, f.Origin, f.Traits = "", "", 0, 0
	case asBlock:
		if f.AS != 0 && (f.ASName != "" || f.Traits != 0) {
			b.ls.fact(f)
		}
		*f = Fact{}
	}
	b.kind = noBlock
}
