// Package feed reads the list formats in which the world publishes what it
// knows about addresses: bytes in, facts about networks out. One file a
// family; [Formats] is the one table of names.
//
// The call most people want:
//
//	for fact, err := range feed.Formats()["aws"](file, &feed.Meta{}) {
//		if err != nil { continue } // a bad row: a *feed.RowError says which
//	}
//
// A bad row is yielded as an error and never ends a file. What ends it is a
// file that is not of the format at all, or larger than a bound: then the last
// error is a [*FileError]. The package fetches nothing and decides nothing:
// what a list asserts is the catalogue's word.
package feed

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"net/netip"
	"time"

	"github.com/ipwarden/ipwarden"
)

// A Parser reads one feed and yields a Fact or an error for each row.
//
// The Fact belongs to the parser and is valid until the next step of the
// iteration; its strings may be kept. Errors are *[RowError] (the row is
// skipped, the iteration goes on) or *[FileError] (the last thing yielded).
// A parser never panics and never reads without bound, whatever the bytes.
// It fills meta with what the file says of itself, at the latest by its end.
type Parser func(r io.Reader, meta *Meta) iter.Seq2[*Fact, error]

// Meta is what a file says of itself.
type Meta struct {
	Name string    // the base name of the file ("us.cidr"), set by the caller: some formats keep a fact there
	Date time.Time // of the data; zero when the file does not say
}

// A Fact is what one row says about a range of addresses, or about an
// autonomous system. What is empty is not claimed.
type Fact struct {
	// From and To are the first and last address, both of the same family and
	// without zone, From ≤ To. Both are invalid when the row speaks of AS.
	From, To netip.Addr
	// Bits is the length of the row's prefix; -1 when the row was a range that
	// is no single prefix.
	Bits int
	// AS is the autonomous system the row speaks of, when From is invalid.
	AS uint32

	// Where the addresses are used. A row that claims nothing at all says that
	// nothing is known, whatever a wider row of the feed says.
	Continent           string // "EU", where the row names that and no country
	Country             string // ISO 3166-1 alpha-2, upper case
	Region              string // ISO 3166-2 with the country, "US-CA", or ""
	RegionName          string
	City                string
	Postal              string
	HasCoordinates      bool
	Latitude, Longitude float64
	AccuracyKM          uint16
	TimeZone            string // IANA

	// Who announces them; on a fact about an AS, what the AS is.
	Origin   uint32 // the announcing AS
	ASName   string
	ASDomain string
	ASKind   string // business, education, government, hosting, isp
	Registry string // afrinic, apnic, arin, lacnic, ripencc

	// Who uses them.
	Company, CompanyDomain, CompanyKind string
	Carrier, MCC, MNC                   string

	// What they do. Traits holds what the row itself says; what the whole list
	// asserts, the catalogue adds.
	Traits ipwarden.Traits
	// Denied holds traits the row explicitly takes back (overlays, safelists).
	Denied ipwarden.Traits
	// Name is the operator: of the VPN, the cloud, the crawler or the scanner;
	// of a bogon the registry entry's name.
	Name                      string
	CloudRegion, CloudService string    // of the cloud
	RFC                       string    // of a bogon
	Purpose                   string    // of a crawler: search, ai_training, user_triggered, monitoring, preview, other
	Detail                    string    // of a listing: its type, when the row says so
	Count                     uint32    // of a listing: how often or on how many lists the address was seen; 0 when not said
	Seen                      time.Time // of a listing: when last seen; zero when not said
}

// SetPrefix makes the fact speak of p, masked.
func (f *Fact) SetPrefix(p netip.Prefix) {
	p = p.Masked()
	f.From, f.To, f.Bits, f.AS = p.Addr(), lastOf(p), p.Bits(), 0
}

// SetAddr makes the fact speak of one address.
func (f *Fact) SetAddr(a netip.Addr) {
	a = a.WithZone("")
	f.From, f.To, f.Bits, f.AS = a, a, a.BitLen(), 0
}

// SetRange makes the fact speak of the addresses from..to; Bits tells whether
// they are one prefix.
func (f *Fact) SetRange(from, to netip.Addr) error {
	if from.BitLen() != to.BitLen() || !from.IsValid() {
		return errors.New("the range's ends are not of one family")
	}
	if to.Less(from) {
		return errors.New("the range ends before it begins")
	}
	f.From, f.To, f.Bits, f.AS = from, to, rangeBits(from, to), 0
	return nil
}

// rangeBits returns the prefix length of from..to, or -1 when they are no
// prefix. They are of one family and from ≤ to.
func rangeBits(from, to netip.Addr) int {
	if from.Is4() {
		return bits4(num4(from), num4(to))
	}
	fhi, flo := num6(from)
	thi, tlo := num6(to)
	return bits6(fhi, flo, thi, tlo)
}

// lastOf returns the last address of a masked prefix.
func lastOf(p netip.Prefix) netip.Addr {
	if a := p.Addr(); a.Is4() {
		return addr4(num4(a) | uint32(uint64(1)<<(32-p.Bits())-1))
	}
	hi, lo := num6(p.Addr())
	mhi, mlo := mask6(^uint64(0), ^uint64(0), p.Bits())
	return addr6(hi|^mhi, lo|^mlo)
}

// RowError is a row that was skipped.
type RowError struct {
	Line int    // 1-based; in formats without lines, the number of the entry
	Row  string // the row, clipped and safe to print
	Why  string
}

// Error says where, what and why.
func (e *RowError) Error() string { return fmt.Sprintf("line %d: %s: %q", e.Line, e.Why, e.Row) }

// FileError ends the reading of a file.
type FileError struct {
	Why   string
	Cause error
}

// Error says why.
func (e *FileError) Error() string {
	if e.Cause == nil {
		return e.Why
	}
	return e.Why + ": " + e.Cause.Error()
}

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Cause }

// maxRow bounds how much of a bad row an error carries.
const maxRow = 120

func rowError(line int, row, why string) *RowError {
	if len(row) > maxRow {
		row = row[:maxRow] + "…"
	}
	return &RowError{Line: line, Row: row, Why: why}
}
