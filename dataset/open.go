package dataset

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/feed"
)

// Dataset is an open dataset. It is immutable and safe for concurrent use. It
// is an [ipwarden.Source].
type Dataset struct {
	data []byte // the mapping

	root4, root6   *[4 << 16]byte
	reach4, reach6 *[1 << 16]byte
	nodes          []byte
	rows           []byte
	locs, as, secs []byte
	numbers        []byte
	profiles       []byte
	hot            []ipwarden.Hot
	store          *ipwarden.Store // of the answers
	orgs, orgTable []byte
	listings       []byte
	evidence       []byte
	claims         []byte
	dir            []byte

	// strings and hot are copies: what a Record returns may outlive the mapping,
	// and reading a word from the Go heap needs no care for it.
	strings   string
	manifest  manifest
	info      Info
	countries []ipwarden.Location // the reference part of each country
	zones     []zone
	freshest  [32]int16                            // of each trait: see freshestOfTraits
	sets      []atomic.Pointer[[]ipwarden.Listing] // decoded when first asked for
	flat      atomic.Pointer[flat]
	routes    func() *routes

	close func() error
}

var (
	_ ipwarden.LocalSource = (*Dataset)(nil)
	_ ipwarden.Shared      = (*Dataset)(nil)
)

// zone is a time zone; its rules are loaded when first asked for.
type zone struct {
	id    string
	once  *sync.Once
	rules **time.Location
}

// Open maps the file at path and checks it. The file must not be changed while
// it is open; replace it by renaming another one over it. Memory is given back
// by Close, or when nothing refers to the Dataset or its Records any more.
// Errors about the content wrap [ErrCorrupt].
func Open(path string) (*Dataset, error) {
	data, unmap, err := mapFile(path)
	if err != nil {
		return nil, err
	}
	d, err := OpenData(data)
	if err != nil {
		unmap()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	unload(data)
	cleanup := runtime.AddCleanup(d, func(f func()) { f() }, unmap)
	var closed sync.Once
	d.close = func() error {
		closed.Do(func() { cleanup.Stop(); unmap() })
		return nil
	}
	return d, nil
}

// OpenData opens a dataset that is already in memory, such as an embedded one.
// data must not be changed afterwards.
func OpenData(data []byte) (*Dataset, error) {
	d := &Dataset{data: data, close: func() error { return nil }}
	if err := d.open(); err != nil {
		return nil, err
	}
	return d, nil
}

// Close gives the mapping back at once. No method of the Dataset or of one of
// its Records may be called afterwards, nor be running; leave it to the garbage
// collector where that is not certain.
func (d *Dataset) Close() error { return d.close() }

// Info describes the dataset.
func (d *Dataset) Info() Info { return d.info }

// Date of the data.
func (d *Dataset) Date() time.Time { return d.info.Date }

func (d *Dataset) open() error {
	sec, date, err := readSections(d.data)
	if err != nil {
		return err
	}
	fixed := func(kind int, size int) ([]byte, error) {
		if len(sec[kind]) != size {
			return nil, corrupt("the section %s has %d bytes, not %d", sectionNames[kind], len(sec[kind]), size)
		}
		return sec[kind], nil
	}
	var roots, reaches [2][]byte
	for i, k := range []int{secRoot4, secRoot6} {
		if roots[i], err = fixed(k, 4<<16); err != nil {
			return err
		}
	}
	for i, k := range []int{secRootBits4, secRootBits6} {
		if reaches[i], err = fixed(k, 1<<16); err != nil {
			return err
		}
	}
	d.root4, d.root6 = (*[4 << 16]byte)(roots[0]), (*[4 << 16]byte)(roots[1])
	d.reach4, d.reach6 = (*[1 << 16]byte)(reaches[0]), (*[1 << 16]byte)(reaches[1])
	d.nodes, d.rows, d.locs, d.as, d.secs = sec[secNodes], sec[secRows], sec[secLocations], sec[secAS], sec[secSecurity]
	d.numbers, d.profiles = sec[secASNumbers], sec[secASProfiles]
	d.hot = hotWords(sec[secHot])
	d.orgs, d.orgTable, d.listings = sec[secOrgs], sec[secOrgTable], sec[secListings]
	d.evidence, d.claims, d.dir = sec[secEvidence], sec[secClaims], sec[secDirectory]
	d.strings = string(sec[secStrings])
	if err := json.Unmarshal(sec[secManifest], &d.manifest); err != nil {
		return corrupt("the manifest: %v", err)
	}
	d.info = d.manifest.info(date, hex.EncodeToString(d.data[offSum:offSum+sha256.Size]), int64(len(d.data)))
	if err := d.check(); err != nil {
		return err
	}
	d.prepare()
	return nil
}

// hotWords copies the section of hot words.
func hotWords(b []byte) []ipwarden.Hot {
	hot := make([]ipwarden.Hot, len(b)/hotSize)
	for i := range hot {
		hot[i] = ipwarden.Hot(le.Uint64(b[i*hotSize:]))
	}
	return hot
}

// readSections checks the frame of a file and returns its sections.
func readSections(data []byte) (sec sections, date time.Time, err error) {
	if len(data) < headerSize {
		return sec, date, corrupt("it has only %d bytes", len(data))
	}
	if string(data[:len(magic)]) != magic {
		return sec, date, corrupt("it does not begin with %q", magic)
	}
	if v := le.Uint32(data[offVersion:]); v != formatVersion {
		return sec, date, corrupt("it is of format %d; this program reads format %d", v, formatVersion)
	}
	if n := le.Uint64(data[offLength:]); n != uint64(len(data)) {
		return sec, date, corrupt("it should have %d bytes and has %d: it was cut short or written over", n, len(data))
	}
	n := le.Uint32(data[offSections:])
	if n > maxSections || headerSize+int(n)*sectionEntry > len(data) {
		return sec, date, corrupt("it claims %d sections", n)
	}
	h := sha256.New()
	h.Write(data[:offSum])
	h.Write(data[headerSize:])
	if string(h.Sum(nil)) != string(data[offSum:offSum+sha256.Size]) {
		return sec, date, corrupt("its checksum does not match its content")
	}
	for i := range int(n) {
		e := data[headerSize+i*sectionEntry:]
		kind, off, size := le.Uint32(e), le.Uint64(e[8:]), le.Uint64(e[16:])
		if off > uint64(len(data)) || size > uint64(len(data))-off {
			return sec, date, corrupt("section %d lies outside of it", kind)
		}
		if kind < numSections { // kinds of a later minor version are passed over
			sec[kind] = data[off : off+size : off+size]
		}
	}
	unix := int64(le.Uint64(data[offDate:]))
	if unix < 0 || unix > maxDate {
		return sec, date, corrupt("its date is out of range")
	}
	return sec, time.Unix(unix, 0).UTC(), nil
}

// prepare makes the small tables that answers refer to.
func (d *Dataset) prepare() {
	m := &d.manifest
	d.zones = make([]zone, len(m.Zones))
	for i, id := range m.Zones {
		d.zones[i] = zone{id, new(sync.Once), new(*time.Location)}
	}
	langs := make([]ipwarden.Language, len(m.Languages))
	for i, l := range m.Languages {
		langs[i] = ipwarden.Language(l)
	}
	d.countries = make([]ipwarden.Location, len(m.Countries))
	for i, c := range m.Countries {
		l := &d.countries[i]
		*l = ipwarden.Location{
			ContinentCode: c.ContinentCode, Continent: c.Continent, CountryCode: c.Code, Country: c.Name, IsEU: c.EU,
			Currency:    ipwarden.Currency{Code: c.Currency, Name: c.CurrencyName, Symbol: c.Symbol},
			CallingCode: c.Calling, Flag: feed.FlagEmoji(c.Code),
		}
		for _, n := range c.Languages {
			l.Languages = append(l.Languages, langs[n])
		}
	}
	d.fillKinds()
	d.freshest = d.freshestOfTraits()
	d.store = ipwarden.NewStore(d, d.hot)
	d.sets = make([]atomic.Pointer[[]ipwarden.Listing], d.numSets())
	d.routes = sync.OnceValue(d.collectRoutes)
}

// load returns the rules of the zone, nil when this system does not know it.
func (z *zone) load() *time.Location {
	if z.id == "" {
		return nil
	}
	z.once.Do(func() {
		if l, err := time.LoadLocation(z.id); err == nil {
			*z.rules = l
		}
	})
	return *z.rules
}

// str returns a string of the table; references were checked by Open.
func (d *Dataset) str(ref uint32) string {
	if ref == 0 {
		return ""
	}
	s := d.strings[ref:]
	if n := s[0]; n < 0x80 {
		return s[1 : 1+int(n)]
	}
	n := int(s[0]&0x7f) | int(s[1])<<7
	return s[2 : 2+n]
}

// maxString is the longest string of the table: two bytes of length.
const maxString = 1<<14 - 1

func (d *Dataset) checkStr(ref uint32) error {
	if ref == 0 {
		return nil
	}
	if uint64(ref) >= uint64(len(d.strings)) {
		return errors.New("a string lies outside of the strings")
	}
	s := d.strings[ref:]
	n, w := binary.Uvarint([]byte(s[:min(len(s), 3)]))
	if w <= 0 || w > 2 || n > maxString || int(n)+w > len(s) {
		return errors.New("a string is longer than what is left of the strings")
	}
	return nil
}
