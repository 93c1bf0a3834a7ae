package compact

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"iter"
	"math"
	"net/netip"
	"strconv"
	"time"

	"github.com/ipwarden/ipwarden"
)

// A World is where addresses come from: a *dataset.Dataset is one.
type World interface {
	Networks(within netip.Prefix) iter.Seq2[netip.Prefix, ipwarden.Record]
	Date() time.Time
}

// Encode writes what is needed of a world. The same world and needs give the same
// bytes.
func Encode(w World, needs Needs) ([]byte, error) {
	e := &encoder{needs: needs, answers: map[string]uint32{}, known: map[uint64]uint32{}, texts: map[string]uint32{}, rows: map[string]uint32{}, feeds: map[feedKey]uint16{}}
	e.text("")
	e.set(nil)
	e.answer(ipwarden.Record{}) // number 0 knows nothing
	last := uint32(math.MaxUint32)
	for p, rec := range w.Networks(netip.PrefixFrom(netip.IPv4Unspecified(), 0)) {
		if id := e.number(rec); id != last {
			a := p.Addr().As4()
			e.starts4, e.refs4, last = append(e.starts4, binary.BigEndian.Uint32(a[:])), append(e.refs4, id), id
		}
	}
	last = math.MaxUint32
	for p, rec := range w.Networks(netip.PrefixFrom(netip.IPv6Unspecified(), 0)) {
		if id := e.number(rec); id != last {
			a := p.Addr().As16()
			e.start6(binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(a[8:]), id, last)
			last = id
		}
	}
	if n := len(e.starts6); n > 0 && e.refs6[n-1] == fine && e.starts6[n-1] != math.MaxUint64 {
		e.starts6, e.refs6 = append(e.starts6, e.starts6[n-1]+1), append(e.refs6, last)
	}
	if e.err != nil {
		return nil, e.err
	}
	if len(e.hot) >= maxAnswers-1 {
		return nil, errors.New("compact: " + strconv.Itoa(len(e.hot)) + " distinct answers are more than an index takes; the policy reads too much for the edge")
	}
	b := e.file(w.Date())
	if len(b) > MaxSize {
		return nil, errors.New("compact: the dataset would have " + strconv.Itoa(len(b)) + " bytes, and an isolate takes " + strconv.Itoa(MaxSize) + "; the policy reads too much for the edge")
	}
	return b, nil
}

type feedKey struct {
	name string
	date int64
}

type encoder struct {
	needs   Needs
	known   map[uint64]uint32 // of answers of the world
	answers map[string]uint32
	rows    map[string]uint32 // of all kinds but locations, by their words: where they begin
	texts   map[string]uint32
	feeds   map[feedKey]uint16

	hot      []ipwarden.Hot
	answer4s []uint32 // four words an answer
	locs     []uint32
	nLocs    uint32
	details  []uint32
	sets     []uint32
	textEnds []uint32
	textData []byte
	feedRows []feedKey

	starts4, refs4 []uint32
	starts6        []uint64
	refs6          []uint32
	fine           []uint64 // two a row
	fineRefs       []uint32
	err            error
}

// start6 begins an answer at an address. A /64 in which more than one answer holds
// gets a mark and its parts.
func (e *encoder) start6(hi, lo uint64, id, before uint32) {
	n := len(e.starts6)
	inside := n > 0 && e.starts6[n-1] == hi
	switch {
	case lo == 0 && !inside:
		e.pause6(hi, before)
		e.starts6, e.refs6 = append(e.starts6, hi), append(e.refs6, id)
		return
	case !inside: // the /64 begins with what was before
		e.pause6(hi, before)
		e.starts6, e.refs6 = append(e.starts6, hi), append(e.refs6, fine)
		e.fine, e.fineRefs = append(e.fine, hi, 0), append(e.fineRefs, before)
	case e.refs6[n-1] != fine:
		e.fine, e.fineRefs = append(e.fine, hi, 0), append(e.fineRefs, e.refs6[n-1])
		e.refs6[n-1] = fine
	}
	e.fine, e.fineRefs = append(e.fine, hi, lo), append(e.fineRefs, id)
}

// pause6 goes on with the last answer behind a /64 that has several.
func (e *encoder) pause6(hi uint64, before uint32) {
	if n := len(e.starts6); n > 0 && e.refs6[n-1] == fine && e.starts6[n-1]+1 < hi {
		e.starts6, e.refs6 = append(e.starts6, e.starts6[n-1]+1), append(e.refs6, before)
	}
}

// number is that of what is kept of a record.
func (e *encoder) number(r ipwarden.Record) uint32 {
	_, id := r.Answer()
	if n, ok := e.known[uint64(id)]; ok {
		return n
	}
	n := e.answer(r)
	e.known[uint64(id)] = n
	return n
}

func (e *encoder) answer(r ipwarden.Record) uint32 {
	var as uint32
	var country string
	if e.needs.Fields.Has(ipwarden.FieldASNumber) {
		as = r.ASNumber()
	}
	if e.needs.Fields.Has(ipwarden.FieldCountryCode) {
		country = r.CountryCode()
	}
	hot := ipwarden.HotOf(as, country, r.Traits()&e.needs.Traits).WithKind(e.kind(r))
	row := [4]uint32{e.loc(r), e.as(r), e.org(r), e.sec(r)}
	var key []byte
	key = le.AppendUint64(key, uint64(hot))
	for _, n := range row {
		key = le.AppendUint32(key, n)
	}
	if n, ok := e.answers[string(key)]; ok {
		return n
	}
	n := uint32(len(e.hot))
	e.answers[string(key)] = n
	e.hot, e.answer4s = append(e.hot, hot), append(e.answer4s, row[:]...)
	return n
}

// kind of the AS: what the score and the sharing ask for, unless all of it is read.
func (e *encoder) kind(r ipwarden.Record) string {
	switch k := r.ASKind(); {
	case e.needs.Fields.Has(ipwarden.FieldASKind), k == "education", k == "isp" && e.needs.Score:
		return k
	}
	return ""
}

// words keeps a row of words once, and returns where it begins, plus one; 0 is a row
// of nothing.
func (e *encoder) words(words []uint32) uint32 {
	var key []byte
	some := uint32(0)
	for _, n := range words {
		key = le.AppendUint32(key, n)
		some |= n
	}
	if some == 0 {
		return 0
	}
	if n, ok := e.rows[string(key)]; ok {
		return n
	}
	n := uint32(len(e.details)) + 1
	e.rows[string(key)] = n
	e.details = append(e.details, words...)
	return n
}

func (e *encoder) text(s string) uint32 {
	if n, ok := e.texts[s]; ok {
		return n
	}
	n := uint32(len(e.textEnds))
	e.texts[s] = n
	e.textEnds = append(e.textEnds, uint32(len(e.textData)))
	e.textData = append(e.textData, s...)
	return n
}

// wanted is the text of a field that is kept.
func (e *encoder) wanted(f ipwarden.Field, s string) uint32 {
	if !e.needs.Fields.Has(f) {
		return 0
	}
	return e.text(s)
}

// set keeps a list of words once, and returns where it begins.
func (e *encoder) set(words []uint32) uint32 {
	var key []byte
	key = append(key, "set"...)
	for _, n := range words {
		key = le.AppendUint32(key, n)
	}
	if n, ok := e.rows[string(key)]; ok {
		return n
	}
	n := uint32(len(e.sets))
	e.rows[string(key)] = n
	e.sets = append(append(e.sets, uint32(len(words))), words...)
	return n
}

func (e *encoder) file(date time.Time) []byte {
	e.textEnds = append(e.textEnds, uint32(len(e.textData)))
	c := counts{
		Hot: uint32(len(e.hot)), Feeds: uint32(len(e.feedRows)), Starts6: uint32(len(e.starts6)), Fine: uint32(len(e.fineRefs)),
		Starts4: uint32(len(e.starts4)), Rows: uint32(len(e.hot)), Locs: e.nLocs, Details: uint32(len(e.details)),
		Sets: uint32(len(e.sets)), Texts: uint32(len(e.textEnds)), Bytes: uint32(len(e.textData)),
	}
	b := make([]byte, headSize, headSize+8*len(e.hot)+12*len(e.starts6)+8*len(e.starts4)+len(e.textData)+4*len(e.details))
	copy(b, magic)
	b[4] = Version
	width := 2
	if len(e.hot) > 1<<16-2 {
		width = 4
	}
	b[atWidth] = byte(width)
	le.PutUint64(b[atDate:], uint64(date.Unix()))
	for i, n := range c.all() {
		le.PutUint32(b[atCounts+4*i:], *n)
	}
	for _, h := range e.hot {
		b = le.AppendUint64(b, uint64(h))
	}
	for _, f := range e.feedRows {
		b = le.AppendUint64(b, uint64(f.date))
		b = le.AppendUint32(b, e.texts[f.name])
		b = le.AppendUint32(b, 0)
	}
	for _, n := range e.starts6 {
		b = le.AppendUint64(b, n)
	}
	for _, n := range e.fine {
		b = le.AppendUint64(b, n)
	}
	for _, words := range [][]uint32{e.starts4, e.answer4s, e.locs, e.details, e.sets, e.textEnds} {
		for _, n := range words {
			b = le.AppendUint32(b, n)
		}
	}
	for _, refs := range [][]uint32{e.refs4, e.refs6, e.fineRefs} {
		for _, n := range refs {
			if width == 2 {
				b = le.AppendUint16(b, uint16(n)) // fine becomes 0xffff
			} else {
				b = le.AppendUint32(b, n)
			}
		}
	}
	b = append(b, e.textData...)
	le.PutUint32(b[atSum:], crc32.Checksum(b[atDate:], table))
	return b
}
