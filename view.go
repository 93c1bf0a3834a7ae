package ipwarden

import (
	"math"
	"math/bits"
	"strconv"
	"time"
)

// View says what of a Record is shown, and writes it. The zero View shows
// nothing; start from [NewView]. A View is read-only while in use and may be
// shared.
type View struct {
	Fields  Fields
	Query   string                               // as asked; shown when it differs from the canonical address
	Now     time.Time                            // of the answer: time zones, scores
	Scores  func(r Record, now time.Time) Scores // nil: no scores
	Explain bool                                 // add the evidence
	Kept    *Kept                                // nil: everything is written anew
}

// NewView shows the default fields as of now.
func NewView(now time.Time) View { return View{Fields: DefaultFields(), Now: now} }

// AppendJSON appends the answer as one JSON object. It does not allocate
// beyond dst, except for the evidence and the current time.
func (v *View) AppendJSON(dst []byte, r Record) []byte {
	dst = append(dst, '{')
	n := len(dst)
	dst = v.AppendMembers(dst, r)
	if len(dst) > n && dst[n] == ',' {
		dst = append(dst[:n], dst[n+1:]...)
	}
	return append(dst, '}')
}

// AppendMembers appends the members of the answer, each with a comma before
// it, for callers that put members of their own first.
func (v *View) AppendMembers(dst []byte, r Record) []byte { return v.AppendMembersOf(dst, r, "") }

// AppendMembersOf is [View.AppendMembers] for callers who have the text of the
// canonical address already: copying it is cheaper than writing it.
func (v *View) AppendMembersOf(dst []byte, r Record, addr string) []byte {
	if v.Kept != nil && !v.Explain {
		if out, ok := v.appendKept(dst, r, addr); ok {
			return out
		}
	}
	dst = v.appendAddress(dst, r, v.Fields, addr)
	dst = v.appendFields(dst, r, v.Fields.without(groupAddress), nil)
	if v.Explain {
		dst = append(dst, `,"evidence":`...)
		dst = appendEvidence(dst, r.Evidence(), v.Fields)
	}
	return dst
}

// appendFields appends some fields, none of groupAddress; where the announced
// prefix is written goes into cut.
func (v *View) appendFields(dst []byte, r Record, fields Fields, cut *routeCut) []byte {
	if fields == (Fields{}) {
		return dst
	}
	rd := reading{r: r, view: v}
	rd.read(fields)
	var open1, open2 uint8 // the objects that are open
	for lo, hi := fields.lo, fields.hi; lo|hi != 0; {
		var f Field
		if lo != 0 {
			f = Field(bits.TrailingZeros64(lo))
			lo &= lo - 1
		} else {
			f = Field(64 + bits.TrailingZeros64(hi))
			hi &= hi - 1
		}
		val := rd.field(f)
		if val.kind == absent {
			continue
		}
		p := &fieldPaths[f]
		comma := true
		if p.group1 != open1 {
			dst = closeObjects(dst, open1, open2)
			open1, open2 = p.group1, 0
			if open1 != 0 {
				dst = append(append(dst, ','), groupKeys[open1]...)
				comma = false
			}
		}
		if p.group2 != open2 {
			if open2 != 0 {
				dst = append(dst, '}')
			}
			if open2 = p.group2; open2 != 0 {
				if comma {
					dst = append(dst, ',')
				}
				dst = append(dst, groupKeys[open2]...)
				comma = false
			}
		}
		if comma {
			dst = append(dst, ',')
		}
		dst = append(dst, p.key...)
		from := len(dst)
		dst = rd.appendJSON(dst, val)
		if f == FieldASRoute && cut != nil {
			*cut = routeCut{from + 1, len(dst) - 1, val.prefix.Bits()} // inside of the quotes
		}
	}
	return closeObjects(dst, open1, open2)
}

// appendAddress appends what differs between the addresses of one answer: the
// fields of groupAddress, which come first and are in no object. text is that of
// the address, if the caller has it.
func (v *View) appendAddress(dst []byte, r Record, fields Fields, text string) []byte {
	addr := r.Addr()
	if fields.Has(FieldIP) {
		dst = append(dst, `,"ip":"`...)
		if text != "" {
			dst = append(dst, text...)
		} else {
			dst = addr.AppendTo(dst)
		}
		dst = append(dst, '"')
	}
	if v.Query != "" && fields.Has(FieldQuery) {
		rd := reading{r: r, view: v}
		if q := rd.query(); q.kind != absent {
			dst = AppendString(append(dst, `,"query":`...), q.s)
		}
	}
	if fields.Has(FieldVersion) {
		version := byte('6')
		if addr.Is4() {
			version = '4'
		}
		dst = append(append(dst, `,"version":`...), version)
	}
	if fields.Has(FieldNetwork) {
		if p := r.Network(); p.IsValid() {
			dst = p.AppendTo(append(dst, `,"network":"`...))
			dst = append(dst, '"')
		}
	}
	if t := r.Transition(); t != NotWrapped && fields.Has(FieldTransition) {
		dst = AppendString(append(dst, `,"transition":`...), t.String())
	}
	if r.Zone() && fields.Has(FieldZone) {
		dst = append(dst, `,"zone":true`...)
	}
	return dst
}

func closeObjects(dst []byte, open1, open2 uint8) []byte {
	if open2 != 0 {
		dst = append(dst, '}')
	}
	if open1 != 0 {
		dst = append(dst, '}')
	}
	return dst
}

func (rd *reading) appendJSON(dst []byte, v value) []byte {
	switch v.kind {
	case text:
		return AppendString(dst, v.s)
	case address:
		dst = append(dst, '"')
		dst = rd.r.Addr().AppendTo(dst)
		return append(dst, '"')
	case network:
		dst = append(dst, '"')
		dst = v.prefix.AppendTo(dst)
		return append(dst, '"')
	case date:
		dst = append(dst, '"')
		dst = rd.appendText(dst, v)
		return append(dst, '"')
	case languages:
		dst = append(dst, '[')
		for i, l := range rd.loc.Languages {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = AppendString(append(dst, `{"code":`...), l.Code)
			if l.Name != "" {
				dst = AppendString(append(dst, `,"name":`...), l.Name)
			}
			if l.Native != "" {
				dst = AppendString(append(dst, `,"native":`...), l.Native)
			}
			dst = append(dst, '}')
		}
		return append(dst, ']')
	case listings:
		dst = append(dst, '[')
		for i, l := range rd.sec.Listings {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = AppendString(append(dst, `{"name":`...), l.Name)
			dst = AppendString(append(dst, `,"type":`...), l.Type)
			if l.URL != "" {
				dst = AppendString(append(dst, `,"url":`...), l.URL)
			}
			if !l.Date.IsZero() {
				dst = append(dst, `,"date":"`...)
				dst = l.Date.UTC().AppendFormat(dst, time.DateOnly)
				dst = append(dst, '"')
			}
			dst = append(dst, '}')
		}
		return append(dst, ']')
	}
	return rd.appendText(dst, v)
}

// AppendText appends one field as plain text; false when it is absent. Lists
// become their codes or names, separated by commas.
func (v *View) AppendText(dst []byte, r Record, f Field) ([]byte, bool) {
	rd := reading{r: r, view: v}
	rd.read(FieldsOf(f))
	val := rd.field(f)
	if val.kind == absent {
		return dst, false
	}
	return rd.appendText(dst, val), true
}

// A Row writes the fields of one Record after the other as plain text, as
// [View.AppendText] does, and reads the Record once for all of them. It can be used
// again for another Record, not by two goroutines at once.
type Row struct{ rd reading }

// Read reads what v shows of r.
func (w *Row) Read(v *View, r Record) {
	w.rd = reading{r: r, view: v}
	w.rd.read(v.Fields)
}

// AppendText appends one of the fields that the View shows; false when it is absent.
func (w *Row) AppendText(dst []byte, f Field) ([]byte, bool) {
	val := w.rd.field(f)
	if val.kind == absent {
		return dst, false
	}
	return w.rd.appendText(dst, val), true
}

func (rd *reading) appendText(dst []byte, v value) []byte {
	switch v.kind {
	case text:
		dst = append(dst, v.s...)
	case integer:
		dst = strconv.AppendInt(dst, v.n, 10)
	case decimal:
		if math.IsNaN(v.f) || math.IsInf(v.f, 0) {
			return append(dst, '0')
		}
		dst = strconv.AppendFloat(dst, v.f, 'f', -1, 64)
	case boolean:
		dst = strconv.AppendBool(dst, v.n != 0)
	case address:
		dst = rd.r.Addr().AppendTo(dst)
	case network:
		dst = v.prefix.AppendTo(dst)
	case date:
		dst = rd.r.Date().UTC().AppendFormat(dst, time.DateOnly)
	case languages:
		for i, l := range rd.loc.Languages {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, l.Code...)
		}
	case listings:
		for i, l := range rd.sec.Listings {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, l.Name...)
		}
	}
	return dst
}

// fieldPath is how a field is written: its key, and the objects round it.
type fieldPath struct {
	key            string
	group1, group2 uint8
}

// Tables made once from the names; groupKeys[0] is the top level.
var fieldPaths, groupKeys = makePaths()

func makePaths() (paths [numFields]fieldPath, keys []string) {
	keys = []string{""}
	ids := map[string]uint8{}
	group := func(path, key string) uint8 {
		if _, ok := ids[path]; !ok {
			ids[path] = uint8(len(keys))
			keys = append(keys, `"`+key+`":{`)
		}
		return ids[path]
	}
	for f, name := range fieldNames {
		p := &paths[f]
		for i, depth := 0, 0; ; depth++ {
			rest := name[i:]
			dot := -1
			for j := range len(rest) {
				if rest[j] == '.' {
					dot = j
					break
				}
			}
			if dot < 0 {
				p.key = `"` + rest + `":`
				break
			}
			id := group(name[:i+dot], rest[:dot])
			if depth == 0 {
				p.group1 = id
			} else {
				p.group2 = id
			}
			i += dot + 1
		}
	}
	return paths, keys
}
