package gateway

import (
	"net/http"
	"strconv"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/gate"
)

// failures in sending a request on, by result.
var failures = [numResults]malformed{
	resultUnreachable: {http.StatusBadGateway, "upstream-unavailable", "The application is not available", "The application behind this address does not answer. Try again shortly."},
	resultTimeout:     {http.StatusGatewayTimeout, "upstream-timeout", "The application took too long", "The application behind this address did not answer in time. Try again shortly."},
	resultTooLarge:    {http.StatusRequestEntityTooLarge, "too-large", "The request's body is too large", "Send less at a time."},
	resultStalled:     {http.StatusRequestTimeout, "too-slow", "The request's body did not come", "Send the whole body without long pauses."},
	resultBadBody:     {http.StatusBadRequest, "bad-body", "The request's body ended too early or was not well formed", "Send the whole body, framed as the header says."},
}

// write answers with a problem document (RFC 9457). id is of the decision, if
// there was one.
func (m *malformed) write(w http.ResponseWriter, r *http.Request, id gate.ID) {
	b := make([]byte, 0, 512)
	b = append(append(b, `{"type":"https://ipwarden.dev/problems/`...), m.slug...)
	b = ipwarden.AppendString(append(b, `","title":`...), m.title)
	b = strconv.AppendInt(append(b, `,"status":`...), int64(m.status), 10)
	b = ipwarden.AppendString(append(b, `,"detail":`...), m.detail)
	if id != (gate.ID{}) {
		b = append(id.AppendTo(append(b, `,"decision_id":"`...)), '"')
	}
	b = append(b, '}', '\n')
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	if m.status == http.StatusMethodNotAllowed {
		h.Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
	}
	w.WriteHeader(m.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(b) // the client went away: nobody to tell
	}
}
