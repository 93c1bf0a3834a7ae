package api

import (
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"unsafe"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/gzip"

	"github.com/ipwarden/ipwarden"
)

// cachePolicy says how long an answer may be kept.
type cachePolicy struct {
	noStore bool
	private bool  // only by the caller's own cache, and only to ask again
	mine    bool  // only by the caller's own cache
	maxAge  int64 // seconds
}

const (
	day  = 24 * 3600
	hour = 3600
)

// shortLived are the traits of lists that change by the hour: an answer that
// rests on one is worth an hour, others a day.
const shortLived = ipwarden.Anonymous | ipwarden.Threat | ipwarden.Scanner

var neverKept = cachePolicy{noStore: true}

// cacheFor returns how long the answer holds: never when it tells the time, an
// hour for threat and anonymity, else a day; and not past the next change of
// the clocks when it tells the offset.
func (x *exchange) cacheFor(rec ipwarden.Record, o *options) cachePolicy {
	if o.volatile || x.pending {
		return neverKept
	}
	c := cachePolicy{maxAge: day}
	if x.st.asks != nil {
		c.maxAge = hour // what others say changes without the dataset
	}
	if rec.Traits().Has(shortLived) {
		c.maxAge = hour
	}
	if o.zoned {
		c.maxAge = min(c.maxAge, x.zoneLasts(rec))
	}
	return c
}

// forCaller makes the policy one of an answer that depends on who asks: no
// shared cache may keep it, and the own one asks again, since a laptop moves
// between networks while the URL stays.
func (c cachePolicy) forCaller() cachePolicy {
	c.private = true
	return c
}

func (c cachePolicy) append(dst []byte) []byte {
	switch {
	case c.noStore && c.private:
		return append(dst, "private, no-store"...)
	case c.noStore:
		return append(dst, "no-store"...)
	case c.private:
		return append(dst, "private, no-cache"...)
	case c.mine:
		return strconv.AppendInt(append(dst, "private, max-age="...), c.maxAge, 10)
	}
	return strconv.AppendInt(append(dst, "public, max-age="...), c.maxAge, 10)
}

// ok notes that out holds the answer in format f.
func (x *exchange) ok(f format) { x.status, x.contentType = http.StatusOK, mediaTypes[f] }

// minZip is the size from which compressing pays: a smaller answer fits into
// one packet anyway.
const minZip = 860

// finish turns what the core decided into the payload and the header lines.
//
// The entity tag is a hash of the bytes of the answer, combined with the hash of
// the dataset. So it changes whenever the answer does, for whatever reason (a
// new dataset, an overlay, the clocks, a score that aged), and when the dataset
// does. Each encoding has its own, as a strong tag must (RFC 9110 section 8.8.3).
func (x *exchange) finish() {
	if x.stream != nil {
		x.headers("", "")
		return
	}
	if x.done {
		x.payload = x.out
		return
	}
	if x.status == http.StatusNoContent {
		return // preflight wrote its own
	}
	x.payload = x.out
	if x.cache.noStore || x.status != http.StatusOK || x.method == "POST" {
		x.headers(x.zip(), "")
		return
	}
	zip := len(x.out) > minZip && acceptsGzip(x.acceptEncoding)
	tag := x.tag(zip)
	if x.ifNoneMatch != "" && matches(x.ifNoneMatch, tag) {
		x.status, x.contentType, x.payload = http.StatusNotModified, "", nil
		x.headers("", tag)
		return
	}
	if zip {
		x.headers(x.zip(), tag)
		return
	}
	x.headers("", tag)
}

const varyAnswer = "Accept, Accept-Encoding"

// headers writes the header lines in the order of their names. Server, Date
// and Connection are the transport's.
func (x *exchange) headers(encoding, tag string) {
	keyed := x.keyed != nil && x.keyed.asked
	x.cache.mine = keyed
	x.usual = !keyed && x.status == http.StatusOK && x.negotiated && x.contentType == mediaTypes[formatJSON] &&
		tag != "" && encoding == "" && !x.page && x.allow == "" && x.csp == "" && !x.pending
	if !x.page {
		x.line("Access-Control-Allow-Origin", x.allowOrigin())
	}
	if keyed && x.origin != "" {
		x.line("Access-Control-Expose-Headers", "Etag, RateLimit, RateLimit-Policy, Retry-After")
	}
	if x.allow != "" {
		x.line("Allow", x.allow)
	}
	x.line("Cache-Control", alias(x.cache.append(x.control[:0])))
	if encoding != "" {
		x.line("Content-Encoding", encoding)
	}
	if x.csp != "" {
		x.line("Content-Security-Policy", x.csp)
	}
	if x.contentType != "" {
		x.line("Content-Type", x.contentType)
	}
	if tag != "" {
		x.line("Etag", tag)
	}
	if x.pending {
		x.line("Ipwarden-Pending", "true")
	}
	if keyed {
		x.limitLines()
	}
	if x.page {
		x.line("Referrer-Policy", "no-referrer")
	}
	switch {
	case x.status == http.StatusServiceUnavailable:
		x.line("Retry-After", "5")
	case keyed:
		x.retryLine()
	}
	x.line("Vary", x.varies())
	if keyed && x.status == http.StatusUnauthorized {
		x.line("Www-Authenticate", x.challenge())
	}
	if x.page || x.contentType != mediaTypes[formatJSON] && x.contentType != "" {
		x.line("X-Content-Type-Options", "nosniff")
	}
}

// tag returns the strong entity tag of out.
func (x *exchange) tag(zipped bool) string {
	const hex = "0123456789abcdef"
	b := append(x.etag[:0], '"')
	for sum, i := xxhash.Sum64(x.out)^x.st.seed, 60; i >= 0; i -= 4 {
		b = append(b, hex[sum>>i&15])
	}
	if zipped {
		b = append(b, "-gzip"...)
	}
	return alias(append(b, '"'))
}

// matches reports whether an If-None-Match header names the tag. The
// comparison is the weak one (RFC 9110 section 13.1.2).
func matches(header, tag string) bool {
	for header != "" {
		switch c := header[0]; {
		case c == ' ' || c == '\t' || c == ',':
			header = header[1:]
			continue
		case c == '*':
			return true
		}
		if len(header) > 2 && header[:2] == "W/" {
			header = header[2:]
		}
		if header[0] != '"' {
			return false
		}
		end := 1
		for end < len(header) && header[end] != '"' {
			end++
		}
		if end == len(header) {
			return false
		}
		if header[:end+1] == tag {
			return true
		}
		header = header[end+1:]
	}
	return false
}

// zip compresses the payload when it is worth it and wanted.
func (x *exchange) zip() (encoding string) {
	if len(x.out) <= minZip || !acceptsGzip(x.acceptEncoding) {
		return ""
	}
	w := x.api.zippers.Get().(*zipper)
	w.out = x.zipped[:0]
	w.gz.Reset(w)
	_, err1 := w.gz.Write(x.out)
	err2 := w.gz.Close()
	x.zipped, w.out = w.out, nil
	x.api.zippers.Put(w)
	if err1 != nil || err2 != nil {
		return "" // cannot be: the writer underneath takes everything
	}
	x.payload = x.zipped
	return "gzip"
}

// zipper is a gzip writer and the bytes under it.
type zipper struct {
	gz  *gzip.Writer
	out []byte
}

func (z *zipper) Write(p []byte) (int, error) {
	z.out = append(z.out, p...)
	return len(p), nil
}

// newZipper makes a compressor; they are dear (some 800 KiB each), so the API
// keeps them in a pool.
func newZipper() any {
	gz, err := gzip.NewWriterLevel(nil, 5)
	if err != nil {
		panic(err) // 5 is a level
	}
	return &zipper{gz: gz}
}

// refuse answers with a problem.
func (x *exchange) refuse(p *problem) {
	x.status, x.contentType, x.allow = p.status, "application/problem+json", p.allow
	x.stream, x.page, x.csp, x.negotiated, x.done = nil, false, "", false, false
	x.cache = neverKept
	x.nLines = 0
	if x.keyed != nil {
		x.settle() // first, so that what is given back is told as left
	}
	if x.api.cfg.GateOnly && strings.Contains(p.example, exampleOwn) {
		p.example = exampleGate // there are no look-ups
	}
	x.out = p.append(x.out[:0], x.path)
	x.finish()
}

// preflight answers OPTIONS (Fetch standard, CORS protocol).
func (x *exchange) preflight(allow string) {
	x.status = http.StatusNoContent
	if x.keyed != nil {
		x.line("Access-Control-Allow-Headers", "Accept, Authorization, Content-Type, If-None-Match, X-Api-Key")
	} else {
		x.line("Access-Control-Allow-Headers", "Accept, Content-Type, If-None-Match")
	}
	x.line("Access-Control-Allow-Methods", allow)
	x.line("Access-Control-Allow-Origin", "*")
	x.line("Access-Control-Max-Age", "86400")
	x.line("Allow", allow)
	x.line("Cache-Control", "public, max-age=86400")
}

// rescue turns a panic into a 500 problem: one request must not take the
// others down with it.
func (x *exchange) rescue() {
	if r := recover(); r != nil {
		x.api.cfg.Log.Error("panic while answering", "route", routeNames[x.route], "panic", r, "stack", string(debug.Stack()))
		x.closing = true
		x.refuse(internalError())
	}
}

// alias reads bytes as a string without copying them. The bytes are those of
// the exchange, and the string lives no longer than it.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
