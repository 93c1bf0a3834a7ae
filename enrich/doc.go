// Package enrich answers about what has already happened: a batch of events, or a
// file of any length.
//
// The calls most people want:
//
//	e, err := enrich.New(enrich.Config{Source: ds})
//	results := e.Batch(ctx, nil, events)                       // from a program
//	stats, err := e.Run(ctx, os.Stdin, os.Stdout, enrich.Stream{}) // a file
//
// An event's address is read in the forms in which logs have them: with a port, in
// brackets, with a zone (see [clientip.Parse]). What is no address gets a [Reason]
// and never an answer, nor does it stop what comes after it.
//
// Run keeps the order of the rows, uses every processor, and holds a bounded part
// of the file in memory, whatever is in it. It refuses to guess: a file whose
// address column cannot be told is an error that names the columns there are.
package enrich

import (
	"context"
	"errors"
	"net/netip"
	"time"
	"unsafe"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/clientip"
	"github.com/ipwarden/ipwarden/risk"
)

// A Config says what answers. Source alone is needed.
type Config struct {
	Source ipwarden.Source
	// Fields are what Run adds; default DefaultFields.
	Fields ipwarden.Fields
	// Where makes, once for each goroutine, what says whether Run keeps a row; nil
	// keeps all. compile.Filter is one way to write it. A row without an address
	// is not asked about, and goes the way of those that are malformed.
	Where func() func(ipwarden.Record) bool
	// Each makes, once for each goroutine, what is given the Record of every address
	// that Run keeps, in no order. With the output Nothing, Run does no more than that.
	Each func() func(ipwarden.Record)
	// Scores answers security.scores; default risk.Scores.
	Scores func(ipwarden.Record, time.Time) ipwarden.Scores
	// Now is the time of scores and time zones; default time.Now.
	Now func() time.Time
}

// DefaultFields are those that fit into a row: where, whose network, and the
// traits that most people ask for.
func DefaultFields() ipwarden.Fields {
	return ipwarden.FieldsOf(
		ipwarden.FieldCountryCode, ipwarden.FieldCity, ipwarden.FieldASNumber, ipwarden.FieldASName,
		ipwarden.FieldIsHosting, ipwarden.FieldIsAnonymous, ipwarden.FieldIsThreat,
	)
}

// An Enricher answers. It is immutable and safe for concurrent use.
type Enricher struct {
	cfg   Config
	batch batcher // nil: one by one
	kept  *ipwarden.Kept
}

// batcher is a Source that overlaps look-ups, as a dataset does.
type batcher interface {
	LookupBatch(dst []ipwarden.Record, addrs []netip.Addr)
}

// New checks cfg.
func New(cfg Config) (*Enricher, error) {
	if cfg.Source == nil {
		return nil, errors.New("enrich: no Source; give a dataset, such as that of dataset.Open")
	}
	if cfg.Fields.Len() == 0 {
		cfg.Fields = DefaultFields()
	}
	if cfg.Scores == nil {
		cfg.Scores = risk.Scores
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	e := &Enricher{cfg: cfg, kept: new(ipwarden.Kept)}
	e.batch, _ = cfg.Source.(batcher)
	return e, nil
}

// An Event is something that happened, of which the address matters here.
type Event struct {
	Address string
}

// A Result is the answer to one Event.
type Result struct {
	Record ipwarden.Record
	// Reason is why there is no Record; "" when there is one.
	Reason Reason
}

// A Reason says why something has no answer. Its text is the word of outputs.
type Reason string

// The reasons.
const (
	Missing    Reason = "missing"       // the row has no such column or member, or it is empty
	Null       Reason = "null"          // it is null
	NotText    Reason = "not_text"      // it is a number, a list, or something else that is no text
	NotAddress Reason = "not_address"   // it is no address in any form that is read
	NotJSON    Reason = "not_json"      // the line is no JSON object
	BadQuotes  Reason = "bad_quotes"    // the row's quotes do not match
	BadColumns Reason = "bad_columns"   // the row has more or fewer columns than the first
	TooLong    Reason = "too_long"      // the row is longer than it may be
	Failed     Reason = "lookup_failed" // the Source had no answer to give
)

// Batch answers events[i] into the i-th Result that it appends to dst.
func (e *Enricher) Batch(ctx context.Context, dst []Result, events []Event) []Result {
	addrs := make([]netip.Addr, len(events))
	from := len(dst)
	for i, ev := range events {
		a, reason := parse(ev.Address)
		addrs[i] = a
		dst = append(dst, Result{Reason: reason})
	}
	records := make([]ipwarden.Record, len(events))
	failed := make([]bool, len(events))
	e.lookup(ctx, records, failed, addrs)
	for i := range events {
		if r := &dst[from+i]; r.Reason == "" {
			if r.Record = records[i]; failed[i] {
				r.Reason = Failed
			}
		}
	}
	return dst
}

// lookup answers the addresses that are valid.
func (e *Enricher) lookup(ctx context.Context, dst []ipwarden.Record, failed []bool, addrs []netip.Addr) {
	if e.batch != nil {
		e.batch.LookupBatch(dst, addrs)
		return
	}
	for i, a := range addrs {
		if !a.IsValid() {
			continue
		}
		var err error
		if dst[i], err = e.cfg.Source.Lookup(ctx, a); err != nil {
			failed[i] = true
		}
	}
}

// parse reads an address in any of the forms that are read.
func parse(s string) (netip.Addr, Reason) {
	if s == "" {
		return netip.Addr{}, Missing
	}
	a, zone, ok := clientip.Parse(s)
	if !ok {
		return netip.Addr{}, NotAddress
	}
	if zone && a.Is6() {
		a = a.WithZone("0") // so that the Record says that there was one
	}
	return a, ""
}

// text is b as a string, for as long as b is not changed.
func text(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return unsafe.String(&b[0], len(b))
}
