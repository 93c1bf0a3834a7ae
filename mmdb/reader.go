package mmdb

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/feed"
)

// ErrClosed is the error of a look-up in a Reader that was closed.
var ErrClosed = errors.New("mmdb: the database is closed")

// A Reader answers from one MaxMind DB file. It is safe for concurrent use.
// Its Records are copies and outlive it. A look-up costs about a microsecond.
type Reader struct {
	mu     sync.RWMutex // guards db against Close
	db     *maxminddb.Reader
	closed bool

	newRow schema
	name   string // in the evidence
	date   time.Time
	v4only bool
	zones  zones
}

var _ ipwarden.LocalSource = (*Reader)(nil)

// Open maps the file at path, of MaxMind's schema or IPinfo's. Replace the file
// by renaming another over it: writing into a mapped file changes answers, and
// truncating it ends the process. Close the Reader when it is not used any more.
func Open(path string) (*Reader, error) {
	db, err := maxminddb.Open(path)
	if err != nil {
		return nil, fmt.Errorf("mmdb: %s: %w", path, err)
	}
	r, err := newReader(db, func() ([]byte, error) { return os.ReadFile(path) })
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("mmdb: %s: %w", path, err)
	}
	return r, nil
}

// OpenBytes answers from a file that is in memory; it must not be changed.
func OpenBytes(file []byte) (*Reader, error) {
	db, err := maxminddb.OpenBytes(file)
	if err != nil {
		return nil, fmt.Errorf("mmdb: %w", err)
	}
	r, err := newReader(db, func() ([]byte, error) { return file, nil })
	if err != nil {
		return nil, fmt.Errorf("mmdb: %w", err)
	}
	return r, nil
}

func newReader(db *maxminddb.Reader, file func() ([]byte, error)) (*Reader, error) {
	newRow, err := schemaOf(db, file)
	if err != nil {
		return nil, err
	}
	return &Reader{
		db: db, newRow: newRow, name: db.Metadata.DatabaseType,
		date: buildDate(db), v4only: db.Metadata.IPVersion == 4,
	}, nil
}

// Type returns the database type that the file says it is.
func (r *Reader) Type() string { return r.name }

// Date returns the day the file was built.
func (r *Reader) Date() time.Time { return r.date }

// Close unmaps the file; look-ups fail with [ErrClosed] from then on.
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	return r.db.Close()
}

// Local is true: the file is mapped into memory.
func (r *Reader) Local() bool { return true }

// Lookup answers from the file. An address that it does not hold is a Record
// that knows nothing but the network that is empty; an error says that the
// file is broken there, or that the Reader is closed.
func (r *Reader) Lookup(ctx context.Context, addr netip.Addr) (ipwarden.Record, error) {
	if err := ctx.Err(); err != nil {
		return ipwarden.Record{}, err
	}
	zone := addr.Zone() != ""
	addr, transition := ipwarden.Canonical(addr)
	if !addr.IsValid() || r.v4only && addr.Is6() {
		return ipwarden.NewRecord(addr, ipwarden.Full{Date: r.date}).Asked(transition, zone), nil
	}
	row := r.newRow()
	r.mu.RLock()
	if r.closed {
		r.mu.RUnlock()
		return ipwarden.Record{}, ErrClosed
	}
	res := r.db.Lookup(addr)
	err := res.Decode(row)
	found, network := res.Found(), res.Prefix()
	r.mu.RUnlock()
	if err != nil {
		return ipwarden.Record{}, fmt.Errorf("mmdb: %s: the record of %s: %s", r.name, addr, clip(err.Error()))
	}
	a := &answer{name: r.name, network: network, full: ipwarden.Full{Network: network, Date: r.date}}
	if found {
		var f feed.Fact
		row.fact(&f)
		fullOf(&f, &a.full)
		row.more(&a.full)
		a.full.Location.TimeZone.Zone = r.zones.load(a.full.Location.TimeZone.ID)
	}
	return ipwarden.MakeRecord(addr, ipwarden.NewStore(a, nil), 0).Asked(transition, zone), nil
}

// fullOf puts a fact into an answer.
func fullOf(f *feed.Fact, full *ipwarden.Full) {
	full.Traits = f.Traits
	full.Location = ipwarden.Location{
		CountryCode: f.Country, Flag: feed.FlagEmoji(f.Country), Region: f.RegionName, City: f.City, Postal: f.Postal,
		HasCoordinates: f.HasCoordinates, Latitude: f.Latitude, Longitude: f.Longitude, AccuracyKM: f.AccuracyKM,
		TimeZone: ipwarden.TimeZone{ID: f.TimeZone},
	}
	if len(f.Region) > 3 {
		full.Location.RegionCode = f.Region[3:]
	}
	full.ASN = ipwarden.ASN{Number: f.Origin, Name: f.ASName, Domain: f.ASDomain, Kind: f.ASKind, Registry: f.Registry}
	full.Company = ipwarden.Company{Name: f.Company, Domain: f.CompanyDomain, Kind: f.CompanyKind}
	full.Carrier = ipwarden.Carrier{Name: f.Carrier, MCC: f.MCC, MNC: f.MNC}
	if f.Traits.Has(ipwarden.VPN) { // the provider is that of the anonymizer
		full.Security.VPN = f.Name
	}
}

// answer is the Backing of one Record of a Reader.
type answer struct {
	name    string
	network netip.Prefix
	full    ipwarden.Full
}

var _ ipwarden.Backing = (*answer)(nil)

func (a *answer) Network(netip.Addr, uint32) netip.Prefix { return a.network }
func (a *answer) Traits(uint32) ipwarden.Traits           { return a.full.Traits }
func (a *answer) CountryCode(uint32) string               { return a.full.Location.CountryCode }
func (a *answer) ASNumber(uint32) uint32                  { return a.full.ASN.Number }
func (a *answer) Location(uint32) ipwarden.Location       { return a.full.Location }
func (a *answer) ASN(netip.Addr, uint32) ipwarden.ASN     { return a.full.ASN }
func (a *answer) Company(uint32) ipwarden.Company         { return a.full.Company }
func (a *answer) Carrier(uint32) ipwarden.Carrier         { return a.full.Carrier }
func (a *answer) Security(uint32) ipwarden.Security       { return a.full.Security }
func (a *answer) Date() time.Time                         { return a.full.Date }

// notFacts are the fields that speak of the question or the file.
var notFacts = ipwarden.FieldsOf(ipwarden.FieldIP, ipwarden.FieldQuery, ipwarden.FieldVersion, ipwarden.FieldNetwork,
	ipwarden.FieldTransition, ipwarden.FieldZone, ipwarden.FieldDatasetDate, ipwarden.FieldFlag,
	ipwarden.FieldTimeZoneAbbr, ipwarden.FieldTimeZoneOffset, ipwarden.FieldTimeZoneIsDST, ipwarden.FieldTimeZoneCurrentTime)

// Evidence names the file for everything it says. What it does not say, or
// denies, it is no evidence for.
func (a *answer) Evidence(addr netip.Addr, id uint32) []ipwarden.Evidence {
	var evidence []ipwarden.Evidence
	record := ipwarden.MakeRecord(addr, ipwarden.NewStore(a, nil), id)
	var view ipwarden.View
	claims := []ipwarden.Claim{{Feed: a.name, Date: a.full.Date, Match: a.network.String()}}
	for f := range ipwarden.DefaultFields().All() {
		if notFacts.Has(f) {
			continue
		}
		value, ok := view.AppendText(nil, record, f)
		if !ok || string(value) == "false" {
			continue
		}
		evidence = append(evidence, ipwarden.Evidence{Field: f, Value: string(value), By: claims})
	}
	return evidence
}

// maxZones bounds the time zones a Reader keeps; there are some 600.
const maxZones = 1024

// zones keeps the rules of time zones by name; reading them is slow.
type zones struct {
	mu    sync.RWMutex // guards known
	known map[string]*time.Location
}

// load returns the rules of a zone, nil when there is none of that name.
func (z *zones) load(id string) *time.Location {
	if id == "" || id == "Local" {
		return nil
	}
	z.mu.RLock()
	zone, ok := z.known[id]
	z.mu.RUnlock()
	if ok {
		return zone
	}
	zone, err := time.LoadLocation(id)
	if err != nil {
		zone = nil
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.known == nil {
		z.known = map[string]*time.Location{}
	}
	if len(z.known) < maxZones {
		z.known[id] = zone
	}
	return zone
}
