package main

import (
	"net/netip"
)

// A contestant is one way to ask who an address is. It lives in a worker
// process of its own.
type contestant interface {
	// pass looks every address up and touches what was found, so that nothing
	// of it can be left undone; the sum says nothing else.
	pass(addrs []netip.Addr) uint64
	// answer is for the comparison before anything is timed.
	answer(a netip.Addr) answer
}

// A kind is a row of the table.
type kind struct {
	name, what string
	open       func(*world) (contestant, error)
	// says which parts of an answer the contestant has.
	country, as, traits bool
	otherData           bool // answers from data of its own
	only4               bool // knows nothing of IPv6
	// allocs is how many allocations a look-up may make; -1: as many as it likes.
	allocs  int
	missing string // why it is not here
}

// names of the rows that others refer to.
const (
	compactRow      = "ipwarden, compact index"
	flatRow         = "ipwarden, flat index"
	compactBatchRow = "ipwarden, compact index, 64 at a time"
	flatBatchRow    = "ipwarden, flat index, 64 at a time"
	structRow       = "maxminddb-golang v2, struct of 3 fields"
	ceilingRow      = "the machine's ceiling: a bare table"
	libmaxminddbRow = "libmaxminddb (C), two values"
)

// kinds is the one table of contestants.
func kinds() []kind {
	return []kind{
		{name: structRow, what: "country, AS, one trait", open: openMaxMindStruct, country: true, as: true, allocs: -1},
		{name: "maxminddb-golang v2, look-up only", what: "nothing is read", open: openMaxMindLookup, allocs: -1},
		{name: "geoip2-golang v2, Country()", what: "country, as names and codes", open: openGeoIP2, country: true, allocs: -1},
		{name: "phuslu/iploc", what: "country only, data of its own", open: openIPLoc, country: true, otherData: true, allocs: -1},
		{name: "gaissmai/bart Table[uint32]", what: "a number", open: openBart, country: true, as: true, traits: true, allocs: -1},
		libmaxminddb(),
		{name: ceilingRow, what: "a number of a /24 and its word; answers nothing", open: openBare, only4: true},
		{name: compactRow, what: "the Record: country, AS, traits", open: openCompact, country: true, as: true, traits: true},
		{name: flatRow, what: "the Record: country, AS, traits", open: openFlat, country: true, as: true, traits: true},
		{name: compactBatchRow, what: "the Record: country, AS, traits", open: openCompactBatch, country: true, as: true, traits: true},
		{name: flatBatchRow, what: "the Record: country, AS, traits", open: openFlatBatch, country: true, as: true, traits: true},
		{name: "ipwarden, every feed, compact index", what: "the same, from all feeds of the folder", open: openEverything, country: true, as: true, otherData: true},
		{name: "ipwarden, every feed, flat index", what: "the same, from all feeds of the folder", open: openEverythingFlat, country: true, as: true, otherData: true},
	}
}

func kindNamed(name string) (kind, bool) {
	for _, k := range append(kinds(), gateKinds()...) {
		if k.name == name {
			return k, true
		}
	}
	return kind{}, false
}
