package feed

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"time"
)

// Bounds of Delegated, so that a few bytes cannot become facts without end.
const (
	maxDelegatedRow = 1 << 17 // systems in one row; the largest real block has 3,072
	maxDelegatedAS  = 1 << 20 // systems in a file
)

// Delegated reads the statistics exchange files of the regional registries,
// plain and extended, version 2 and its minors (the format is theirs:
// "RIR Statistics Exchange Format"):
//
//	2.3|lacnic|20240104|88619|19870101|20240104|-0300
//	lacnic|*|ipv4|*|19778|summary
//	lacnic|BR|ipv4|24.152.0.0|1024|20200310|allocated|310248
//
// The value of an ipv4 row is a count of addresses, often no power of two; of
// an ipv6 row a prefix length; of an asn row a count of systems, each of which
// is a fact. Facts: Registry, and on addresses Country, which is where the
// holder is registered. On systems the country is not claimed: it would be
// taken for where their addresses are. Space that is available or reserved
// yields nothing. The date is the version line's end date. A file with fewer
// records than its version line promises is truncated, and ends with an error.
func Delegated(r io.Reader, meta *Meta) facts {
	return readLines(r, "RIR statistics exchange file", func(ls *lines) {
		d := delegated{ls: ls}
		for ls.next() {
			row := bytes.TrimSpace(ls.row)
			if len(row) == 0 || row[0] == '#' {
				continue
			}
			d.cells = splitBar(d.cells[:0], row)
			switch {
			case '0' <= row[0] && row[0] <= '9':
				d.version(meta)
			case len(d.cells) >= 6 && string(d.cells[5]) == "summary":
			default:
				d.records++
				d.row()
			}
		}
		// One in a hundred may be missing: counts have been off by a few.
		if d.records < d.promised-d.promised/100 && ls.err == nil {
			ls.fail(fmt.Sprintf("the file is truncated: its first line promises %d records, and there are %d", d.promised, d.records), nil)
		}
	})
}

// delegated is the state of one reading.
type delegated struct {
	ls       *lines
	cells    [][]byte
	promised int // records, by the version line
	records  int
	systems  int
	fact     Fact // of addresses
	system   Fact
}

// version reads "2|apnic|20210715|69826|19830613|20210714|+1000": version,
// registry, serial, records, start date, end date, offset.
func (d *delegated) version(meta *Meta) {
	if len(d.cells) < 7 || d.cells[0][0] != '2' {
		d.ls.bad("want a version line 2|registry|serial|records|start|end|offset")
		return
	}
	if n, ok := parseUint(d.cells[3], 1<<31); ok {
		d.promised = int(n)
	}
	if t, err := time.Parse("20060102", string(d.cells[5])); err == nil {
		meta.Date = t
	}
}

// row reads registry|cc|type|start|value|date|status[|opaque-id…].
func (d *delegated) row() {
	c := d.cells
	if len(c) < 7 {
		d.ls.bad("want registry|cc|type|start|value|date|status")
		return
	}
	switch string(c[6]) {
	case "allocated", "assigned":
	case "available", "reserved":
		return
	default:
		d.ls.bad("the status is none of allocated, assigned, available, reserved")
		return
	}
	f := &d.fact
	if f.Registry = registry(c[0]); f.Registry == "" {
		if string(c[0]) != "iana" { // of the NRO's combined file: what no region holds
			d.ls.bad("the registry is none of afrinic, apnic, arin, lacnic, ripencc")
		}
		return
	}
	var why string
	switch string(c[2]) {
	case "ipv4":
		why = f.setCount(c[3], c[4])
	case "ipv6":
		why = f.setLength(c[3], c[4])
	case "asn":
		d.asn(c[3], c[4])
		return
	default:
		why = "the type is none of asn, ipv4, ipv6"
	}
	if why != "" {
		d.ls.bad(why)
		return
	}
	f.Country = parseCountry(c[1])
	d.ls.fact(f)
}

// setCount reads a first IPv4 address and a count of addresses.
func (f *Fact) setCount(start, value []byte) (why string) {
	u, ok := parse4(start)
	if !ok {
		return whyNoAddr(start)
	}
	n, ok := parseUint(value, 1<<32)
	if !ok || n == 0 || uint64(u)+n > 1<<32 {
		return "the count of addresses is none, or goes past the last address"
	}
	last := uint32(uint64(u) + n - 1)
	f.From, f.To, f.Bits, f.AS = addr4(u), addr4(last), bits4(u, last), 0
	return ""
}

// setLength reads an IPv6 address and the length of its prefix.
func (f *Fact) setLength(start, value []byte) (why string) {
	hi, lo, ok := parse6(start)
	n, nok := parseUint(value, 128)
	switch {
	case !ok:
		return whyNoAddr(start)
	case !nok:
		return "the prefix length is no number of 0 to 128"
	case hi == 0 && lo>>32 == 0xffff:
		return "an IPv4-mapped prefix is ambiguous: write it as IPv4"
	}
	f.SetPrefix(netip.PrefixFrom(addr6(hi, lo), int(n)))
	return ""
}

// asn yields a fact for each system of a block.
func (d *delegated) asn(start, value []byte) {
	first, ok := parseUint(start, 1<<32-1)
	n, nok := parseUint(value, 1<<32)
	switch {
	case !ok:
		d.ls.bad("this is no number of an autonomous system")
		return
	case !nok || n == 0 || first+n > 1<<32:
		d.ls.bad("the count of systems is none, or goes past the last number")
		return
	case n > maxDelegatedRow:
		d.ls.bad(fmt.Sprintf("a block of more than %d systems is not believed", maxDelegatedRow))
		return
	case d.systems+int(n) > maxDelegatedAS:
		d.ls.bad(fmt.Sprintf("the file has more than %d systems", maxDelegatedAS))
		return
	}
	d.systems += int(n)
	f := &d.system
	f.Registry = d.fact.Registry
	for i := range n {
		if f.AS = uint32(first + i); f.AS != 0 && !d.ls.fact(f) {
			return
		}
	}
}

func registry(b []byte) string {
	for _, name := range [...]string{"afrinic", "apnic", "arin", "lacnic", "ripencc"} {
		if string(b) == name {
			return name
		}
	}
	return ""
}

func splitBar(dst [][]byte, row []byte) [][]byte {
	for {
		i := bytes.IndexByte(row, '|')
		if i < 0 {
			return append(dst, row)
		}
		dst = append(dst, row[:i])
		row = row[i+1:]
	}
}
