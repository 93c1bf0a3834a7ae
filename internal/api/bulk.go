package api

import (
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/ipwarden/ipwarden"
)

const (
	maxBulkItems   = 10_000  // of a JSON array
	maxBulkExplain = 1_000   // with the evidence
	maxBulkBody    = 1 << 20 // bytes of a JSON array
	batchSize      = 64      // addresses looked up at once, so that their cache misses overlap
)

const exampleBulk = `POST /v1/ip with the body ["8.8.8.8","1.1.1.1"]`

// batch is the memory of a bulk request.
type batch struct {
	queries [batchSize]element
	errs    [batchSize]error // of the items that are no address
	addrs   [batchSize]netip.Addr
	asked   [batchSize]netip.Addr // as spelled
	recs    [batchSize]ipwarden.Record
}

// bulk answers POST /v1/ip.
func (x *exchange) bulk() *problem {
	lines, p := x.bulkKind()
	if p != nil {
		return p
	}
	if lines && x.fast {
		return x.otherListener()
	}
	o, p := x.options(paramsAnswer)
	if p != nil {
		return p
	}
	if o, p = x.mine(o); p != nil {
		return p
	}
	if x.st.data == nil {
		return noData()
	}
	x.cache = neverKept
	if lines {
		return x.bulkLines(o)
	}
	f, p := x.choose(o.format, offerBulk)
	if p != nil {
		return p
	}
	if f == formatCSV && o.explain {
		return badParameter("explain does not fit into CSV; ask for JSON.", exampleBulk)
	}
	body, err := x.body.readAll(maxBulkBody)
	if err != nil {
		x.closing = true // the rest of the body was not read
		if err == errTooLarge {
			return tooLarge("An array may have " + strconv.Itoa(maxBulkBody>>20) + " MiB.")
		}
		if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
			return timedOut()
		}
		return malformed() // its framing is broken, or it ended before its length
	}
	return x.bulkArray(body, o, f)
}

// bulkKind tells newline-delimited JSON (true) from an array by its type. curl
// -d calls its body a form, so that is taken for an array as well.
func (x *exchange) bulkKind() (lines bool, p *problem) {
	name, _, _ := strings.Cut(x.mediaType, ";")
	name = strings.Trim(name, " \t")
	for _, t := range bareTypes[formatNDJSON] {
		if strings.EqualFold(name, t) {
			return true, nil
		}
	}
	switch {
	case name == "", strings.EqualFold(name, "application/json"), strings.EqualFold(name, "text/json"),
		strings.EqualFold(name, "application/x-www-form-urlencoded"):
		return false, nil
	}
	x.closing = true // the body stays unread
	return false, &problem{
		status: http.StatusUnsupportedMediaType, slug: "unsupported-type", title: "No such form of the question",
		detail: "Content-Type: " + quoted(x.mediaType) + " is neither application/json (an array of addresses) nor " +
			"application/x-ndjson (one address a line, each a JSON string).",
		example: exampleBulk, offers: []string{bareTypes[formatJSON][0], bareTypes[formatNDJSON][0]},
	}
}

func (x *exchange) bulkArray(body []byte, o *options, f format) *problem {
	limit := maxBulkItems
	if o.explain {
		limit = maxBulkExplain
	}
	if p := x.admitItems(body, limit); p != nil {
		return p
	}
	v := x.view(o)
	out := x.out[:0]
	switch f {
	case formatJSON:
		out = append(out, '[')
	case formatCSV:
		out = appendBulkCSVHeader(out, o.fields)
	}
	var s arrayScanner
	b := x.batchMemory()
	index, good := 0, 0
	for more := s.open(body); more; {
		var n int
		n, more = s.fill(b.queries[:])
		if index+n > limit {
			x.out = out
			return tooLarge("An array may have " + strconv.Itoa(limit) + " items" + ifExplain(o) + ".")
		}
		good += b.look(x, n)
		out = b.append(out, v, index, n, f)
		index += n
	}
	if f == formatJSON {
		out = append(out, ']', '\n')
	}
	x.out = out
	if s.err != "" {
		return &problem{
			status: http.StatusBadRequest, slug: "bad-json", title: "Not a JSON array",
			detail: "The body has to be a JSON array of strings: " + s.err + ".", example: exampleBulk,
		}
	}
	x.metricsBulk(index)
	x.answered(good)
	x.ok(f)
	return nil
}

func ifExplain(o *options) string {
	if o.explain {
		return " with explain=1"
	}
	return ""
}

func (x *exchange) batchMemory() *batch {
	if x.batch == nil {
		x.batch = new(batch)
	}
	return x.batch
}

// itemError is why an item has no answer. Its text follows the item's.
type itemError struct{ slug, title, why string }

func (e *itemError) Error() string { return e.why }

var (
	errNotText  = &itemError{"bad-item", "Not a string", "is not a JSON string, such as \"8.8.8.8\""}
	errLongItem = &itemError{"bad-item", "Too long", "is longer than any address"}
	errBadLine  = &itemError{"bad-item", "Not JSON", "is not JSON; an address is written as a string, \"8.8.8.8\""}
)

// look answers the first n queries, and tells how many of them are addresses.
func (b *batch) look(x *exchange, n int) (good int) {
	for i := range n {
		q := &b.queries[i]
		if q.dotted {
			var octets [4]byte
			binary.BigEndian.PutUint32(octets[:], q.addr)
			b.addrs[good] = netip.AddrFrom4(octets)
			good++
			continue
		}
		if !q.isText {
			if b.errs[i] == nil {
				b.errs[i] = errNotText
			}
			continue
		}
		addr, err := ipwarden.ParseAddr(q.text)
		if b.errs[i] = err; err != nil {
			continue
		}
		b.asked[good] = addr
		b.addrs[good], _ = ipwarden.Canonical(addr)
		good++
	}
	x.st.data.LookupBatch(b.recs[:good], b.addrs[:good])
	return good
}

// append writes the answers to the first n queries, which are at index and on.
func (b *batch) append(dst []byte, v *ipwarden.View, index, n int, f format) []byte {
	good := 0
	for i := range n {
		q := &b.queries[i]
		if q.dotted && f == formatJSON {
			dst = appendItemStart(dst, index+i, q.text)
			dst = append(v.AppendMembersOf(dst, b.recs[good], q.text), '}')
			good++
			continue
		}
		query, err := q.text, b.errs[i]
		b.errs[i] = nil
		if len(query) > maxItem {
			query = strings.ToValidUTF8(query[:maxItem], "") + "…"
		}
		rec := ipwarden.Record{}
		if err == nil {
			rec = b.recs[good]
			if !q.dotted {
				_, transition := ipwarden.Canonical(b.asked[good])
				rec = rec.Asked(transition, b.asked[good].Zone() != "")
			}
			good++
		}
		switch f {
		case formatCSV:
			dst = appendBulkCSV(dst, v, index+i, query, rec, err)
			continue
		case formatJSON:
			if index+i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, '\n')
		}
		dst = strconv.AppendInt(append(dst, `{"index":`...), int64(index+i), 10)
		dst = ipwarden.AppendString(append(dst, `,"query":`...), query)
		if err == nil {
			dst = v.AppendMembers(dst, rec)
		} else {
			dst = appendItemError(dst, query, err)
		}
		dst = append(dst, '}')
		if f == formatNDJSON {
			dst = append(dst, '\n')
		}
	}
	return dst
}

// appendItemStart begins the answer to a query that needs no escapes.
func appendItemStart(dst []byte, index int, query string) []byte {
	if index > 0 {
		dst = append(dst, ',')
	}
	dst = strconv.AppendInt(append(dst, "\n{\"index\":"...), int64(index), 10)
	dst = append(append(dst, `,"query":"`...), query...)
	return append(dst, '"')
}

func appendItemError(dst []byte, query string, err error) []byte {
	slug, title := "bad-address", "Not an IP address"
	if e, ok := err.(*itemError); ok {
		slug, title = e.slug, e.title
	}
	dst = append(append(dst, `,"error":{"type":"`+problemBase...), slug...)
	dst = ipwarden.AppendString(append(dst, `","title":`...), title)
	dst = ipwarden.AppendString(append(dst, `,"detail":`...), quoted(query)+" "+err.Error()+".")
	return append(dst, '}')
}
