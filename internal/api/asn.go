package api

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/ipwarden/ipwarden"
)

const (
	exampleASN   = "GET /v1/asn/AS15169"
	defaultLimit = 1000
	maxLimit     = 10_000
)

// asn answers GET /v1/asn/{asn}: what an autonomous system is called and what
// it announces.
func (x *exchange) asn(segment string) *problem {
	number, p := parseASN(segment)
	if p != nil {
		return p
	}
	o, p := x.options(paramFormat | paramLimit)
	if p != nil {
		return p
	}
	f, p := x.choose(o.format, offerAnswer)
	if p != nil {
		return p
	}
	if x.st.data == nil {
		return noData()
	}
	limit := o.limit
	if limit == 0 {
		limit = defaultLimit
	}
	as, known := x.st.data.AS(number)
	as.Number = number
	n := announce(x.st.data, number, limit)
	if !known && n.total() == 0 {
		return &problem{
			status: http.StatusNotFound, slug: "unknown-as", title: "Nothing is known",
			detail: "Nothing is known of AS" + strconv.FormatUint(uint64(number), 10) + ".", example: exampleASN,
		}
	}
	x.cache = cachePolicy{maxAge: day}
	switch f {
	case formatCSV:
		x.out = n.appendCSV(x.out[:0], as)
	default:
		x.document(f, x.appendAS(nil, as, n))
	}
	x.ok(f)
	return nil
}

// document writes a JSON document in the chosen form, which is not CSV.
func (x *exchange) document(f format, doc []byte) {
	switch f {
	case formatYAML:
		x.out = appendYAML(x.out[:0], doc)
	case formatText:
		x.out = appendFlat(x.out[:0], doc)
	default:
		x.out = append(append(x.out[:0], doc...), '\n')
	}
}

// parseASN reads "AS15169", "as15169" or "15169".
func parseASN(segment string) (uint32, *problem) {
	text, ok := unescape(segment, false)
	if !ok {
		return 0, malformed()
	}
	digits := text
	if len(text) > 2 && strings.EqualFold(text[:2], "AS") {
		digits = text[2:]
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || n == 0 || digits[0] < '1' || digits[0] > '9' {
		return 0, &problem{
			status: http.StatusBadRequest, slug: "bad-asn", title: "Not an AS number",
			detail:  quoted(text) + " is not the number of an autonomous system: 1 to 4294967295, with or without AS before it.",
			example: exampleASN,
		}
	}
	return uint32(n), nil
}

// announced is what an autonomous system announces.
type announced struct {
	v4, v6         []netip.Prefix // the first of each
	total4, total6 int
	addresses4     uint64 // IPv4 addresses in v4 prefixes, nested ones counted once
	subnets6       uint64 // /64 networks in v6 prefixes, nested ones counted once
	cover4, cover6 netip.Prefix
	limit          int
}

func (n *announced) total() int { return n.total4 + n.total6 }

func announce(d Data, number uint32, limit int) *announced {
	n := &announced{limit: limit}
	for p := range d.ASPrefixes(number) {
		n.add(p)
	}
	return n
}

func (n *announced) add(p netip.Prefix) {
	if p.Addr().Is4() {
		if n.total4++; len(n.v4) < n.limit {
			n.v4 = append(n.v4, p)
		}
		// In address order a prefix inside another follows it.
		if !n.cover4.IsValid() || !n.cover4.Overlaps(p) {
			n.cover4 = p
			n.addresses4 += 1 << (32 - p.Bits())
		}
		return
	}
	if n.total6++; len(n.v6) < n.limit {
		n.v6 = append(n.v6, p)
	}
	if (!n.cover6.IsValid() || !n.cover6.Overlaps(p)) && p.Bits() <= 64 {
		n.cover6 = p
		if p.Bits() > 0 {
			n.subnets6 += 1 << (64 - p.Bits())
		}
	}
}

func (x *exchange) appendAS(dst []byte, as ipwarden.ASN, n *announced) []byte {
	dst = strconv.AppendUint(append(dst, `{"asn":{"number":`...), uint64(as.Number), 10)
	for _, kv := range [...][2]string{{`,"name":`, as.Name}, {`,"domain":`, as.Domain}, {`,"kind":`, as.Kind}, {`,"registry":`, as.Registry}} {
		if kv[1] != "" {
			dst = ipwarden.AppendString(append(dst, kv[0]...), kv[1])
		}
	}
	dst = strconv.AppendInt(append(dst, `},"counts":{"prefixes_v4":`...), int64(n.total4), 10)
	dst = strconv.AppendInt(append(dst, `,"prefixes_v6":`...), int64(n.total6), 10)
	dst = strconv.AppendUint(append(dst, `,"addresses_v4":`...), n.addresses4, 10)
	dst = strconv.AppendUint(append(dst, `,"subnets_v6":`...), n.subnets6, 10)
	dst = appendPrefixes(append(dst, `},"prefixes":{"v4":`...), n.v4)
	dst = appendPrefixes(append(dst, `,"v6":`...), n.v6)
	dst = append(dst, '}')
	if len(n.v4) < n.total4 || len(n.v6) < n.total6 {
		dst = append(dst, `,"truncated":true`...)
	}
	dst = x.appendDatasetDate(dst)
	return append(dst, '}')
}

func (x *exchange) appendDatasetDate(dst []byte) []byte {
	if d := x.st.info.Date; !d.IsZero() {
		dst = d.UTC().AppendFormat(append(dst, `,"dataset":{"date":"`...), "2006-01-02")
		dst = append(dst, `"}`...)
	}
	return dst
}

func appendPrefixes(dst []byte, ps []netip.Prefix) []byte {
	dst = append(dst, '[')
	for i, p := range ps {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(p.AppendTo(append(dst, '"')), '"')
	}
	return append(dst, ']')
}

func (n *announced) appendCSV(dst []byte, as ipwarden.ASN) []byte {
	dst = append(dst, "prefix,asn.number,asn.name,asn.domain,asn.kind,asn.registry\r\n"...)
	for _, ps := range [][]netip.Prefix{n.v4, n.v6} {
		for _, p := range ps {
			dst = append(p.AppendTo(dst), ',')
			dst = append(strconv.AppendUint(dst, uint64(as.Number), 10), ',')
			dst = append(appendCSVText(dst, as.Name), ',')
			dst = append(appendCSVText(dst, as.Domain), ',')
			dst = append(appendCSVText(dst, as.Kind), ',')
			dst = append(appendCSVText(dst, as.Registry), '\r', '\n')
		}
	}
	return dst
}
