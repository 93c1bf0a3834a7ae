package dialect

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/ipwarden/ipwarden"
)

// ipapi is ip-api.com: /json/8.8.8.8, the same in other formats, and /batch. What
// went wrong with a question is in an answer of status 200.
type ipapi struct{}

// apiFormat is how an answer is written.
type apiFormat uint8

const (
	apiJSON apiFormat = iota
	apiXML
	apiCSV
	apiLine
	apiPHP
	apiHuman // JSON for people at a terminal
)

var (
	apiFormats = [...]string{apiJSON: "json", apiXML: "xml", apiCSV: "csv", apiLine: "line", apiPHP: "php"}
	apiTypes   = [...]string{
		apiJSON: typeJSONUTF, apiXML: "application/xml; charset=utf-8", apiCSV: "text/csv; charset=utf-8",
		apiLine: typeText, apiPHP: typeText, apiHuman: typeText,
	}
)

const (
	maxAPIBatch = 100
	// The vendor's own limits, which are told while nobody set others: a client
	// that looks at them goes on asking.
	apiPerMinute      = 45
	apiBatchPerMinute = 15
)

func (a ipapi) serve(c *Call) {
	var s [maxSegments]string
	n := segments(c.path, &s)
	if n == 1 && s[0] == "batch" {
		a.batch(c)
		return
	}
	if c.Method == http.MethodPost {
		c.fail(wrongMethod)
		return
	}
	format, query := apiHuman, ""
	switch {
	case n < 0 || n > 2:
		c.fail(notFound)
		return
	case n > 0:
		f, named := apiFormatNamed(s[0])
		switch {
		case named:
			format, query = f, s[1]
		case n == 1:
			query = s[0]
		default:
			c.fail(notFound)
			return
		}
	}
	apiLimits(c, apiPerMinute)
	q := apiQuestion{fields: parseAPIFields(param(c.Query, "fields")), tongue: tongueNamed(param(c.Query, "lang")), text: query, own: query == ""}
	callback := ""
	if format == apiJSON {
		callback = param(c.Query, "callback")
	}
	c.ContentType = apiTypes[format]
	if callback != "" {
		if !goodCallback(callback) {
			c.ContentType = apiTypes[apiJSON]
			c.Out = (&apiAnswer{failed: "invalid callback", query: clip(query)}).append(c.Out, apiDefault, apiJSON)
			return
		}
		c.ContentType = typeScript
		c.Out = append(append(c.Out, callback...), '(')
	}
	var ans apiAnswer
	if !a.find(c, &q, &ans) {
		return
	}
	c.Out = ans.append(c.Out, q.fields, format)
	if callback != "" {
		c.Out = append(c.Out, ");"...)
	}
	if ans.failed == "" {
		c.about(ans.rec)
		c.Zoned = q.fields.has(apiOffset)
	}
}

func apiFormatNamed(name string) (apiFormat, bool) {
	for f, n := range apiFormats {
		if n == name {
			return apiFormat(f), true
		}
	}
	return 0, false
}

// apiQuestion is one address and what is asked of it.
type apiQuestion struct {
	fields apiFields
	tongue int
	text   string
	own    bool // who asks
}

// find answers a question into ans, which is empty; on false a failure is written.
func (ipapi) find(c *Call, q *apiQuestion, ans *apiAnswer) (ok bool) {
	ans.query, ans.now = q.text, c.Now
	var rec ipwarden.Record
	if q.own {
		addr := c.client()
		c.Private = true
		if !addr.IsValid() {
			ans.failed = "invalid query"
			return true
		}
		rec, ok = c.look(addr)
	} else {
		var addr netip.Addr
		if addr, ok = parseAddr(q.text); !ok {
			ans.failed, ans.query = "invalid query", clip(q.text)
			return true
		}
		rec, ok = c.look(addr)
	}
	if !ok {
		return false
	}
	if q.own {
		ans.query = rec.Addr().String()
	}
	if rec.Traits().Has(ipwarden.Bogon) {
		ans.failed = "reserved range"
		if rec.Addr().IsPrivate() {
			ans.failed = "private range"
		}
		return true
	}
	ans.read(rec, q)
	return true
}

// apiLimits tells what is left of a minute, in the vendor's header lines.
func apiLimits(c *Call, left int) {
	c.line("X-Rl", strconv.Itoa(left))
	c.line("X-Ttl", "60")
}

// maxCallback bounds the name of a function, bytes.
const maxCallback = 64

// goodCallback reports whether a name is one of a JavaScript function, perhaps
// inside of others: letters, digits, _ and $ with dots between them. Anything
// else would let the asker write a script that comes from here.
func goodCallback(name string) bool {
	if len(name) > maxCallback {
		return false
	}
	for part := range strings.SplitSeq(name, ".") {
		if part == "" || '0' <= part[0] && part[0] <= '9' {
			return false
		}
		for _, b := range []byte(part) {
			if !('a' <= b|0x20 && b|0x20 <= 'z' || '0' <= b && b <= '9' || b == '_' || b == '$') {
				return false
			}
		}
	}
	return true
}

// credential is the key of the vendor's paid service.
func (ipapi) credential(c *Call) Credential { return keyOf(param(c.Query, "key")) }

func (ipapi) refuse(c *Call, r *Refusal) {
	text := "invalid/expired key"
	switch r.Code {
	case OverQuota, TooFast:
		c.Status, text = http.StatusTooManyRequests, "too many requests"
		if !r.Reset.IsZero() {
			c.line("X-Rl", "0")
			c.line("X-Ttl", strconv.FormatInt(r.wait(c), 10))
		}
	case WrongAddress, WrongOrigin:
		text = "not allowed from here"
	case NotInPlan:
		text = "not included"
	}
	apiFail(c, text+": "+r.sentence(c))
}

func (ipapi) fail(c *Call, f failure) { apiFail(c, f.String()) }

// apiFail writes a mistake in the format that the path asks for.
func apiFail(c *Call, message string) {
	format := apiJSON
	var s [maxSegments]string
	if segments(c.path, &s) > 0 {
		if f, ok := apiFormatNamed(s[0]); ok {
			format = f
		}
	}
	c.ContentType = apiTypes[format]
	c.Out = (&apiAnswer{failed: message}).append(c.Out, 1<<apiStatus|1<<apiMessage, format)
}
