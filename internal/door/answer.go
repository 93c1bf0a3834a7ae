package door

import (
	"context"
	"net/http"
	"unsafe"

	"github.com/ipwarden/ipwarden"
)

// Decide settles what to do with req and writes it into a, which is empty. It is
// called from many goroutines, must return within the budget of the route, and
// must keep nothing of req: its strings may be those of a buffer that is used
// again as soon as Decide has returned.
type Decide func(ctx context.Context, req *ipwarden.Request, a *Answer)

// A Field is a field line of a header. The name is in canonical form.
type Field struct{ Name, Value string }

// An Answer is what a door hears of a request. Its zero value lets nobody in.
// What it holds is used before Decide is called with it again.
type Answer struct {
	// Verdict says whether the request goes on ([ipwarden.Verdict.Passes]).
	Verdict ipwarden.Verdict
	// Status is what the client gets when it does not: 403, 429, or a redirect
	// with a Location, which is sent even if the verdict passes. 0 is the
	// verdict's own ([Answer.Refusal]).
	Status int
	// RetryAfter is in seconds; 0 is none.
	RetryAfter int
	// Location is where the client is sent, as an absolute URL or path; "" is
	// nowhere.
	Location string
	// Upstream is what the application gets to see, in place of whatever the
	// client sent under these names: X-Ipwarden-*, and the client's address.
	Upstream []Field
	// Reply is for the client's answer, whether the application's or our own:
	// RateLimit, RateLimit-Policy, Set-Cookie, Cache-Control.
	Reply []Field
	// Awaits says that a limit waits to be told what becomes of the request.
	Awaits bool
	// Type and Body are our own answer; an empty Body leaves the words to the
	// proxy.
	Type string
	Body []byte

	text []byte // values that were copied
}

// Reset empties a and keeps its memory.
func (a *Answer) Reset() {
	clear(a.Upstream) // their strings must not outlive the request
	clear(a.Reply)
	*a = Answer{Upstream: a.Upstream[:0], Reply: a.Reply[:0], Body: a.Body[:0], text: a.text[:0]}
}

// kept copies a value into a's memory.
func (a *Answer) kept(value string) string {
	from := len(a.text)
	a.text = append(a.text, value...)
	return unsafe.String(unsafe.SliceData(a.text[from:]), len(value))
}

// SetUpstream adds a field for the application.
func (a *Answer) SetUpstream(name, value string) {
	a.Upstream = append(a.Upstream, Field{name, value})
}

// SetReply adds a field for the client's answer.
func (a *Answer) SetReply(name, value string) { a.Reply = append(a.Reply, Field{name, value}) }

// Passes reports whether the request goes on to the application.
func (a *Answer) Passes() bool { return a.Verdict.Passes() && !a.redirects() }

func (a *Answer) redirects() bool {
	return a.Status >= 300 && a.Status <= 399 && a.Location != ""
}

// Refusal is the status of an answer that does not pass: what was asked for
// where it is one of a refusal or of a redirect that has somewhere to go, else
// the verdict's own. No verdict at all is 503: nobody said that it may pass.
func (a *Answer) Refusal() int {
	switch {
	case a.Status >= 400 && a.Status <= 599:
		return a.Status
	case a.redirects():
		return a.Status
	case a.Verdict == ipwarden.Throttle:
		return http.StatusTooManyRequests
	case a.Verdict == ipwarden.Challenge && a.Location != "":
		return http.StatusFound
	case a.Verdict == ipwarden.NoVerdict:
		return http.StatusServiceUnavailable
	}
	return http.StatusForbidden
}
