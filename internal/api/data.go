package api

import (
	"iter"
	"net/netip"
	"time"

	"github.com/ipwarden/ipwarden"
)

// Data is what the API reads: a dataset, or one with overlays on top. All
// methods are safe for concurrent use, and what they return stays readable
// after the data was replaced. Implementations are pointers: the API compares
// them to notice a change.
type Data interface {
	ipwarden.Source
	// LookupBatch answers addrs, which are canonical, into dst of the same length.
	LookupBatch(dst []ipwarden.Record, addrs []netip.Addr)
	// Networks yields the distinct answers inside a prefix, in address order.
	Networks(within netip.Prefix) iter.Seq2[netip.Prefix, ipwarden.Record]
	// AS describes an autonomous system; false when nothing is known of it.
	AS(number uint32) (ipwarden.ASN, bool)
	// ASPrefixes yields what it announces, IPv4 before IPv6, in address order.
	ASPrefixes(number uint32) iter.Seq[netip.Prefix]
}

// Info describes the data in use.
type Info struct {
	Date       time.Time // of the data
	Hash       string    // of the file, hexadecimal; entity tags change with it
	Size       int64     // bytes
	NetworksV4 int64     // distinct IPv4 answers
	NetworksV6 int64
	Records    int64 // distinct contents behind them
	ASes       int64 // autonomous systems with a name
	Feeds      []Feed
}

// Feed is one input of the dataset.
type Feed struct {
	Name        string
	Title       string
	Homepage    string
	Date        time.Time
	Licence     string
	Attribution string
	Rows        int64 // taken
	Skipped     int64 // bad rows
}
