package feed

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/ipwarden/ipwarden"
)

// Bounds of a special-purpose registry; they are of 3 KiB and have 28 blocks.
const (
	maxRegistry = 1 << 20
	maxSpecial  = 1000 // each is compared with each
)

// IANASpecial reads a special-purpose address registry of IANA (RFC 6890, the
// flags as of RFC 8190). A block that is not globally reachable is a bogon; a
// block inside one that is globally reachable takes that back, so that the
// more specific entry wins (192.0.0.9/32 in 192.0.0.0/24). The other entries
// say nothing about bogons and yield nothing: reachable ones, those whose
// reachability is "N/A" (6to4, Teredo: it is that of the IPv4 address inside),
// and terminated ones, whose flags are empty.
//
// Quirks of the file: marks of footnotes ("192.0.0.0/24 [2]"), several prefixes
// in a cell, cells with line breaks.
func IANASpecial(r io.Reader, _ *Meta) facts {
	return func(yield func(*Fact, error) bool) {
		data, err := io.ReadAll(io.LimitReader(r, maxRegistry+1))
		switch {
		case err != nil:
			yield(nil, &FileError{Why: "reading stopped", Cause: err})
			return
		case len(data) > maxRegistry:
			yield(nil, &FileError{Why: "the file is larger than 1 MiB, which no special-purpose registry is"})
			return
		}
		if why := sniff(data); why != "" {
			yield(nil, &FileError{Why: why})
			return
		}
		var blocks []netip.Prefix // that are not reachable
		seen := 0
		err = eachSpecial(data, func(e special) bool {
			if seen++; e.reachable == "False" {
				blocks = append(blocks, e.prefix)
			}
			return seen <= maxSpecial
		}, func(*RowError) bool { return true })
		if err == nil && seen > maxSpecial {
			err = errors.New("it has more than 1000 blocks")
		}
		if err != nil {
			yield(nil, &FileError{Why: "the file is no special-purpose registry", Cause: err})
			return
		}
		var f Fact
		_ = eachSpecial(data, func(e special) bool { // it has been read once
			f = Fact{Name: e.name, RFC: e.rfc}
			switch {
			case e.prefix.Addr().Is4In6():
				return true // nobody asks for it: an address is taken out of this form first
			case e.reachable == "False":
				f.Traits = ipwarden.Bogon
			case e.reachable == "True" && within(e.prefix, blocks):
				f = Fact{Denied: ipwarden.Bogon} // it is no bogon, so it has no bogon's name
			default:
				return true
			}
			f.SetPrefix(e.prefix)
			return yield(&f, nil)
		}, func(e *RowError) bool { return yield(nil, e) })
	}
}

// special is one block of a registry.
type special struct {
	prefix               netip.Prefix
	name, rfc, reachable string
}

// eachSpecial calls visit for each block and bad for each bad row, until one
// of them returns false.
func eachSpecial(data []byte, visit func(special) bool, bad func(*RowError) bool) error {
	cr := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, bom)))
	cr.FieldsPerRecord = -1
	cr.LazyQuotes = true
	head, err := cr.Read()
	if err != nil {
		return err
	}
	var cols [4]int
	cells := make([][]byte, len(head))
	for i, h := range head {
		cells[i] = []byte(strings.TrimSpace(h))
	}
	for i, name := range []string{"Address Block", "Name", "RFC", "Globally Reachable"} {
		if cols[i] = column(cells, name); cols[i] < 0 {
			return errors.New("its header has no \"" + name + "\"")
		}
	}
	for {
		row, err := cr.Read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		line, _ := cr.FieldPos(0)
		if len(row) <= slices.Max(cols[:]) {
			if !bad(rowError(line, strings.Join(row, ","), "the row is shorter than the header")) {
				return nil
			}
			continue
		}
		at := func(i int) string { return row[cols[i]] }
		e := special{
			name:      string(clean([]byte(strings.Trim(withoutNotes(at(1)), `" `)))),
			rfc:       rfcs(at(2)),
			reachable: withoutNotes(at(3)),
		}
		for block := range strings.SplitSeq(withoutNotes(at(0)), ",") {
			block = strings.TrimSpace(block)
			p, why := parseSpecial(block)
			if why != "" {
				if !bad(rowError(line, block, why)) {
					return nil
				}
				continue
			}
			if e.prefix = p; !visit(e) {
				return nil
			}
		}
	}
}

// parseSpecial is parsePrefix, but that it knows ::ffff:0:0/96, which the
// registry rightly lists.
func parseSpecial(block string) (netip.Prefix, string) {
	if p, err := netip.ParsePrefix(block); err == nil && p.Addr().Is4In6() {
		return p.Masked(), ""
	}
	p, _, why := parsePrefix([]byte(block))
	return p, why
}

// within reports whether p is a part of one of blocks.
func within(p netip.Prefix, blocks []netip.Prefix) bool {
	for _, b := range blocks {
		if b.Bits() < p.Bits() && b.Contains(p.Addr()) {
			return true
		}
	}
	return false
}

// withoutNotes takes marks of footnotes, "[2]", off.
func withoutNotes(s string) string {
	var b strings.Builder
	for s != "" {
		i := strings.IndexByte(s, '[')
		if i < 0 {
			break
		}
		n := strings.IndexByte(s[i:], ']')
		if n < 0 {
			break
		}
		b.WriteString(s[:i])
		if _, ok := parseUint([]byte(s[i+1:i+n]), 99); !ok {
			b.WriteString(s[i : i+n+1])
		}
		s = s[i+n+1:]
	}
	b.WriteString(s)
	return strings.TrimSpace(b.String())
}

// rfcs reads "[RFC8880][RFC7050], Section 2.2" as "RFC8880, RFC7050".
func rfcs(s string) string {
	var out []string
	for len(out) < 8 {
		_, rest, ok := strings.Cut(s, "[")
		if !ok {
			break
		}
		ref, rest, ok := strings.Cut(rest, "]")
		if !ok {
			break
		}
		s = rest
		number, ok := strings.CutPrefix(ref, "RFC")
		if _, isNumber := parseUint([]byte(number), 99999); ok && isNumber {
			out = append(out, ref)
		}
	}
	return strings.Join(out, ", ")
}
