package api

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/gate"
)

// A refusal as nginx brings it back: it takes no body with the answer to
// auth_request, and asks with a second question for what the client reads.
type refusal struct {
	status   int
	location string
	problem  string
	html     string // the policy's page
}

// readRefusal reads what [gate.Decision.Carry] and nginx have said. A page is that of
// the policy in use now.
func readRefusal(h ipwarden.Header, g *gate.Gate) (r refusal, ok bool) {
	only := func(name string) string {
		if v := h.Values(name); len(v) == 1 {
			return v[0]
		}
		return ""
	}
	status, err := strconv.Atoi(only(gate.HeaderStatus))
	if err != nil || status < 200 || status > 599 {
		return r, false
	}
	r.status, r.location, r.problem = status, only(gate.HeaderLocation), only(gate.HeaderProblem)
	if !r.redirects() && (len(r.problem) > gate.MaxCarried || !json.Valid([]byte(r.problem))) {
		return r, false
	}
	if name, err := url.PathUnescape(only(gate.HeaderResponse)); err == nil && name != "" {
		if response := g.Program().Response(name, ipwarden.NoVerdict); response != nil {
			r.html = response.HTML
		}
	}
	return r, true
}

func (r *refusal) redirects() bool { return r.location != "" && r.status < 400 }

// append appends the body and returns its media type, "" for none, and whether it is
// the gate's own page.
func (r *refusal) append(dst []byte, page bool) (body []byte, mediaType string, own bool) {
	switch {
	case r.redirects():
		return dst, "", false
	case !page:
		return append(append(dst, r.problem...), '\n'), "application/problem+json", false
	case r.html != "":
		return append(dst, r.html...), "text/html; charset=utf-8", false
	}
	var p struct {
		Title, Detail string
		ID            string `json:"decision_id"`
	}
	_ = json.Unmarshal([]byte(r.problem), &p) // it is valid; what it lacks is left out
	return gate.AppendPage(dst, p.Title, p.Detail, r.status, p.ID), "text/html; charset=utf-8", true
}

// broughtBack answers nginx in the client's place, with the refusal that it was told.
func (x *exchange) broughtBack(g *gate.Gate) *problem {
	r, ok := readRefusal(x.header, g)
	if !ok {
		return &problem{
			status: http.StatusBadRequest, slug: "no-refusal", title: "Which refusal?",
			detail: "This is for nginx, which brings back the X-Ipwarden-Status, -Location, -Problem and -Response that /gate/nginx has told it; " +
				"the page on proxies has a configuration that works.",
			example: "GET /gate/nginx with X-Original-Uri: /, X-Original-Method: GET",
		}
	}
	x.status, x.done = r.status, true
	x.line("Cache-Control", "no-store")
	if r.redirects() {
		x.line("Location", r.location)
	}
	var mediaType string
	var own bool
	x.out, mediaType, own = r.append(x.out[:0], gate.WantsPage(joined(x.header.Values("Accept"))))
	x.worded(mediaType, own)
	x.sortLines()
	return nil
}
