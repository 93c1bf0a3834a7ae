package gate

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/policy"
)

// Types of the problems that a refused client is told (RFC 9457). Those of
// limits are registered by draft-ietf-httpapi-ratelimit-headers.
const (
	problemQuota     = "https://iana.org/assignments/http-problem-types#quota-exceeded"
	problemCapacity  = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"
	problemBlocked   = "https://ipwarden.dev/problems/blocked"
	problemChallenge = "https://ipwarden.dev/problems/challenge-required"
	problemAmbiguous = "https://ipwarden.dev/problems/ambiguous-path"
)

// RetrySeconds is RetryAfter in whole seconds, upward, as Retry-After has it.
func (d *Decision) RetrySeconds() int {
	return int(min(int64(math.Ceil(d.RetryAfter.Seconds())), math.MaxInt32))
}

// WantsPage reports whether a client would rather see a page than JSON: it
// accepts text/html, and does not prefer another type to it by naming it first.
func WantsPage(accept string) bool {
	html := strings.Index(accept, "text/html")
	if html < 0 {
		return false
	}
	json := strings.Index(accept, "json")
	return json < 0 || html < json
}

// AppendRefusal appends the body of the answer to a request that does not go
// on, a problem document or a page, and returns its media type. A redirect has
// no body: the media type is then "".
func (d *Decision) AppendRefusal(dst []byte, page bool) (body []byte, mediaType string) {
	status := d.Status()
	if status == 0 || d.Location != "" && status < 400 {
		return dst, ""
	}
	if page {
		if d.Response != nil && d.Response.HTML != "" {
			return append(dst, d.Response.HTML...), mediaPage
		}
		w := d.words()
		return AppendPage(dst, w.title, w.detail, status, d.ID.String()), mediaPage
	}
	return d.appendProblem(dst, status), mediaProblem
}

// Media types of refusals.
const (
	mediaPage    = "text/html; charset=utf-8"
	mediaProblem = "application/problem+json"
)

// OwnPage reports whether the page of a refusal is the gate's own and not the
// policy's: it loads nothing, and [PagePolicy] says so.
func (d *Decision) OwnPage() bool { return d.Response == nil || d.Response.HTML == "" }

// words are what a refusal says.
type words struct{ kind, title, detail string }

func (d *Decision) words() (w words) {
	switch {
	case d.Reason == policy.ByAmbiguousPath:
		w = words{
			problemAmbiguous, "The path can be read in two ways",
			"Write the path without dot segments that are encoded, encoded slashes and backslashes, such as /a/b.",
		}
	case d.Reason == policy.ByFailClosed:
		w = words{problemCapacity, "Not available now", "Something that decides about requests is away. Try again shortly."}
	case d.Verdict == ipwarden.Throttle:
		w = words{problemQuota, "Too many requests", d.limitSentence()}
	case d.Verdict == ipwarden.Challenge:
		w = words{problemChallenge, "Prove that you are welcome", "This client has to solve a challenge first."}
	default:
		w = words{problemBlocked, "Not allowed", "This request is not allowed from where it comes. Who thinks that this is wrong can tell the site the decision's ID."}
	}
	if r := d.Response; r != nil {
		if r.Title != "" {
			w.title = r.Title
		}
		if r.Detail != "" {
			w.detail = r.Detail
		}
	}
	return w
}

// limitSentence says which limit is used up and when to come back.
func (d *Decision) limitSentence() string {
	again := " Try again in " + strconv.Itoa(max(d.RetrySeconds(), 1)) + " seconds."
	if d.RetrySeconds() <= 1 {
		again = " Try again in a second."
	}
	switch {
	case d.Ban == nil:
	case d.Ban.OverLimit:
		return "This network was over the limit " + strconv.Quote(d.Ban.Reason) + ", and is shut out for a while." + again
	default:
		return "This network is shut out for a while." + again
	}
	for i := range d.Limits {
		if l := &d.Limits[i]; !l.Allowed {
			return "The limit " + strconv.Quote(l.Name) + " is " + strconv.FormatUint(uint64(l.Limit), 10) + " in " + period(l.Window) + d.others() + "." + again
		}
	}
	return "There were too many requests." + again
}

// others says that a limit is not used up yet.
func (d *Decision) others() string {
	if !d.crowded {
		return ""
	}
	return ", and what becomes of other attempts is not known yet"
}

// period writes a window as people say it.
func period(d time.Duration) string {
	for _, u := range [...]struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if d >= u.size && d%u.size == 0 {
			if n := d / u.size; n > 1 {
				return strconv.FormatInt(int64(n), 10) + " " + u.name + "s"
			}
			if u.name == "hour" {
				return "an hour"
			}
			return "a " + u.name
		}
	}
	return d.String()
}

func (d *Decision) appendProblem(dst []byte, status int) []byte {
	w := d.words()
	dst = append(append(dst, `{"type":"`...), w.kind...)
	dst = ipwarden.AppendString(append(dst, `","title":`...), w.title)
	dst = strconv.AppendInt(append(dst, `,"status":`...), int64(status), 10)
	dst = ipwarden.AppendString(append(dst, `,"detail":`...), w.detail)
	dst = append(dst, `,"decision_id":"`...)
	dst = append(d.ID.AppendTo(dst), '"')
	if d.Verdict == ipwarden.Throttle {
		dst = d.appendViolated(dst)
	}
	if d.Verdict == ipwarden.Challenge && d.Location != "" {
		dst = ipwarden.AppendString(append(dst, `,"challenge":`...), d.Location)
	}
	if s := d.RetrySeconds(); s > 0 {
		dst = strconv.AppendInt(append(dst, `,"retry_after":`...), int64(s), 10)
	}
	return append(dst, '}', '\n')
}

// appendViolated names the limits that refused, as the draft wants it.
func (d *Decision) appendViolated(dst []byte) []byte {
	dst = append(dst, `,"violated-policies":[`...)
	first := true
	for i := range d.Limits {
		if d.Limits[i].Allowed {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = ipwarden.AppendString(dst, d.Limits[i].Name)
	}
	return append(dst, ']')
}

const (
	pageHead = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex"><meta name="color-scheme" content="light dark"><title>`
	pageStyle = `</title><style>
:root{font:1rem/1.5 system-ui,sans-serif}
body{margin:0;min-height:100vh;display:grid;place-items:center;background:Canvas;color:CanvasText}
main{max-width:34rem;padding:2rem 1.5rem}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 .75rem}
p{margin:.5rem 0}
small{display:block;margin-top:1.5rem;opacity:.75;overflow-wrap:anywhere}
</style></head><body><main><h1>`
)

// PagePolicy is the Content-Security-Policy of the gate's own page: it loads nothing.
const PagePolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// AppendPage appends the gate's own page: what it says is escaped, and it loads nothing.
func AppendPage(dst []byte, title, detail string, status int, id string) []byte {
	dst = appendHTML(append(dst, pageHead...), title)
	dst = appendHTML(append(dst, pageStyle...), title)
	dst = appendHTML(append(dst, "</h1><p>"...), detail)
	dst = append(dst, "</p><small>"...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(append(append(dst, ' '), http.StatusText(status)...), " · decision "...)
	dst = appendHTML(dst, id)
	return append(dst, "</small></main></body></html>\n"...)
}

// appendHTML appends text with what HTML would read otherwise escaped.
func appendHTML(dst []byte, text string) []byte {
	for i := range len(text) {
		switch c := text[i]; c {
		case '<':
			dst = append(dst, "&lt;"...)
		case '>':
			dst = append(dst, "&gt;"...)
		case '&':
			dst = append(dst, "&amp;"...)
		case '"':
			dst = append(dst, "&#34;"...)
		case '\'':
			dst = append(dst, "&#39;"...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
