package api

import (
	"net/http"
	"net/netip"
	"strconv"

	"github.com/ipwarden/ipwarden"
)

const exampleNetwork = "GET /v1/network/8.8.8.0/24"

// networkFields are the fields of an answer inside a network: without those
// that speak of one address, and of the whole dataset.
var networkFields = without(ipwarden.DefaultFields(), perAddress)

var perAddress = ipwarden.FieldsOf(ipwarden.FieldIP, ipwarden.FieldQuery, ipwarden.FieldVersion, ipwarden.FieldNetwork,
	ipwarden.FieldTransition, ipwarden.FieldZone, ipwarden.FieldDatasetDate)

func without(s, t ipwarden.Fields) ipwarden.Fields {
	var rest ipwarden.Fields
	for f := range s.All() {
		if !t.Has(f) {
			rest = rest.With(f)
		}
	}
	return rest
}

// network answers GET /v1/network/{cidr}: the distinct answers inside it, in
// address order, a page at a time.
func (x *exchange) network(rest string) *problem {
	within, p := parseNetwork(rest)
	if p != nil {
		return p
	}
	o, p := x.options(paramFields | paramFormat | paramLimit | paramFrom)
	if p != nil {
		return p
	}
	f, p := x.choose(o.format, offerAnswer)
	if p != nil {
		return p
	}
	from := within.Addr()
	if o.from != "" {
		a, err := ipwarden.ParseAddr(o.from)
		if a = a.WithZone(""); err != nil || !within.Contains(a) {
			return badParameter("from="+quoted(o.from)+" is not an address inside "+within.String()+".",
				"GET /v1/network/"+within.String()+"?from="+within.Addr().String())
		}
		from = a
	}
	if x.st.data == nil {
		return noData()
	}
	limit := o.limit
	if limit == 0 {
		limit = defaultLimit
	}
	fields := networkFields
	if o.seen&paramFields != 0 {
		fields = without(o.fields, perAddress)
	}
	v := ipwarden.View{Fields: fields, Now: x.now, Scores: x.api.cfg.Scores}
	pg := x.pageOf(within, from, limit, &v, f == formatCSV)

	x.cache = cachePolicy{maxAge: hour} // some of the answers are threat
	if fields.Has(ipwarden.FieldTimeZoneCurrentTime) {
		x.cache = neverKept
	}
	if f == formatCSV {
		x.out = append(x.out[:0], pg.rows...)
		x.ok(f)
		return nil
	}
	doc := within.AppendTo([]byte(`{"network":"`))
	doc = strconv.AppendInt(append(doc, `","count":`...), int64(pg.count), 10)
	doc = append(doc, `,"truncated":`...)
	doc = strconv.AppendBool(doc, pg.next.IsValid())
	if pg.next.IsValid() {
		doc = within.AppendTo(append(doc, `,"next":"/v1/network/`...))
		doc = strconv.AppendInt(append(doc, "?limit="...), int64(limit), 10)
		doc = pg.next.AppendTo(append(doc, "&from="...))
		if o.seen&paramFields != 0 {
			doc = appendFieldList(append(doc, "&fields="...), o.fields)
		}
		doc = append(doc, '"')
	}
	doc = append(append(doc, `,"answers":[`...), pg.rows...)
	doc = append(doc, ']')
	doc = append(x.appendDatasetDate(doc), '}')
	x.document(f, doc)
	x.ok(f)
	return nil
}

func appendFieldList(dst []byte, s ipwarden.Fields) []byte {
	first := true
	for f := range s.All() {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, f.String()...)
	}
	return dst
}

// netPage is one page of answers.
type netPage struct {
	rows  []byte // JSON objects with commas between them, or CSV rows
	count int
	next  netip.Addr // where the next page begins; invalid on the last
}

func (x *exchange) pageOf(within netip.Prefix, from netip.Addr, limit int, v *ipwarden.View, csv bool) netPage {
	var pg netPage
	if csv {
		pg.rows = appendCSVHeader(append(pg.rows, "network,"...), v.Fields)
	}
	for _, block := range blocks(from, within) {
		for p, rec := range x.st.data.Networks(block) {
			if pg.count == limit {
				pg.next = p.Masked().Addr()
				return pg
			}
			pg.count++
			if csv {
				pg.rows = append(p.AppendTo(pg.rows), ',')
				pg.rows = appendCSVRecord(pg.rows, v, rec)
				continue
			}
			if pg.count > 1 {
				pg.rows = append(pg.rows, ',')
			}
			pg.rows = append(p.AppendTo(append(pg.rows, `{"network":"`...)), '"')
			pg.rows = append(v.AppendMembers(pg.rows, rec), '}')
		}
	}
	return pg
}

// blocks returns the prefixes that make up within from an address on. Prefixes
// that begin at the address or later lie in exactly one of them, so a page can
// begin where the last one ended without walking the answers before it.
func blocks(from netip.Addr, within netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for from.IsValid() && within.Contains(from) {
		bits := from.BitLen()
		for bits > within.Bits() {
			p, err := from.Prefix(bits - 1)
			if err != nil || p.Addr() != from {
				break
			}
			bits--
		}
		p := netip.PrefixFrom(from, bits)
		out = append(out, p)
		from = after(p)
	}
	return out
}

// after returns the address that follows a prefix; invalid past the last one.
func after(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	last, _ := netip.AddrFromSlice(b)
	return last.Next()
}

// parseNetwork reads a CIDR out of the rest of a path, or a single address. The
// slash may be percent-encoded.
func parseNetwork(rest string) (netip.Prefix, *problem) {
	text, ok := unescape(rest, false)
	if !ok {
		return netip.Prefix{}, malformed()
	}
	bad := func(why, example string) *problem {
		return &problem{
			status: http.StatusBadRequest, slug: "bad-network", title: "Not a network",
			detail: quoted(text) + " " + why + ".", example: example,
		}
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		a, err := ipwarden.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return p, bad("is not a network in CIDR form, an address and the length of its prefix", exampleNetwork)
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if p != p.Masked() {
		return p, bad("has bits set beyond its prefix; the network is "+p.Masked().String(), "GET /v1/network/"+p.Masked().String())
	}
	return p, nil
}
