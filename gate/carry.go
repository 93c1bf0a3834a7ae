package gate

import (
	"net/http"
	"net/url"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Headers of a refusal that nginx carries: auth_request takes no body from the answer
// to its question, so what the client reads is asked for with a second one, which
// brings these. nginx sets them itself, and the gate takes them from whom it trusts.
const (
	HeaderProblem  = HeaderPrefix + "Problem"  // the problem document, in ASCII
	HeaderResponse = HeaderPrefix + "Response" // the policy's response that has a page, percent-encoded
)

// MaxCarried bounds the problem document in a header, in bytes: nginx has a page of
// memory, mostly 4 KiB, for all of an answer's header. Of a longer one its words are
// left out, for those of the status.
const MaxCarried = 1536

// Carry calls set with the headers of a refusal for a proxy that carries it. The
// values are in d's memory, as those of [Decision.Reply] are.
func (d *Decision) Carry(set func(name, value string)) {
	status := d.Status()
	if status == 0 || d.Location != "" && status < 400 {
		return // a redirect is told by its place
	}
	b := d.appendProblem(d.text, status)
	from := len(b)
	b = appendASCII(b, b[len(d.text):])
	if len(b)-from > MaxCarried {
		b = d.appendBrief(b[:from], status)
	}
	set(HeaderProblem, alias(b[from:]))
	if d.Response != nil && d.Response.HTML != "" {
		from = len(b)
		b = append(b, url.PathEscape(d.Response.Name)...)
		set(HeaderResponse, alias(b[from:]))
	}
	d.text = b
}

// appendBrief appends a problem document of what is always short.
func (d *Decision) appendBrief(dst []byte, status int) []byte {
	dst = append(append(append(dst, `{"type":"`...), d.words().kind...), '"')
	if title := http.StatusText(status); title != "" {
		dst = append(append(append(dst, `,"title":"`...), title...), '"')
	}
	dst = strconv.AppendInt(append(dst, `,"status":`...), int64(status), 10)
	dst = append(d.ID.AppendTo(append(dst, `,"decision_id":"`...)), '"')
	if s := d.RetrySeconds(); s > 0 {
		dst = strconv.AppendInt(append(dst, `,"retry_after":`...), int64(s), 10)
	}
	return append(dst, '}')
}

// appendASCII appends a JSON document, without the end of its line and with what is
// not ASCII escaped (RFC 8259 section 7).
func appendASCII(dst, document []byte) []byte {
	for i := 0; i < len(document); {
		c := document[i]
		if c < utf8.RuneSelf {
			if i++; c != '\n' {
				dst = append(dst, c)
			}
			continue
		}
		r, n := utf8.DecodeRune(document[i:])
		i += n
		if r > 0xffff {
			high, low := utf16.EncodeRune(r)
			dst = appendEscape(appendEscape(dst, high), low)
		} else {
			dst = appendEscape(dst, r)
		}
	}
	return dst
}

func appendEscape(dst []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}
