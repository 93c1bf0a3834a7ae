package peoplehttp

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/account/people"
)

// problemBase is where each type of problem is described.
const problemBase = "https://ipwarden.dev/problems/"

// writeProblem answers with a problem document (RFC 9457).
func writeProblem(w http.ResponseWriter, status int, slug, title, detail string, more map[string]any) {
	doc := map[string]any{"type": problemBase + slug, "title": title, "status": status, "detail": detail}
	for k, v := range more {
		doc[k] = v
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(doc) // the client may be gone
}

// statuses are what each code is answered with, and its title.
var statuses = map[people.Code]struct {
	status int
	title  string
}{
	people.NoSession:   {http.StatusUnauthorized, "Nobody is signed in"},
	people.BadSignIn:   {http.StatusUnauthorized, "Not signed in"},
	people.BadCode:     {http.StatusForbidden, "The code is not right"},
	people.BadToken:    {http.StatusGone, "The link is not good any more"},
	people.BadPassword: {http.StatusForbidden, "The password is not right"},
	people.TooMany:     {http.StatusTooManyRequests, "Too many tries"},
	people.Busy:        {http.StatusServiceUnavailable, "Busy"},
	people.Closed:      {http.StatusForbidden, "Nobody can sign up"},
	people.NotNow:      {http.StatusConflict, "Not as things are"},
}

// fail says what went wrong.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	var e *people.Error
	var wrong account.Invalid
	var conflict *account.Conflict
	var p *problem
	var refused *Refused
	switch {
	case errors.As(err, &e):
		s := statuses[e.Code]
		if e.After > 0 {
			w.Header().Set("Retry-After", strconv.FormatInt(int64((e.After+time.Second-1)/time.Second), 10))
		}
		if s.status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Bearer realm="ipwarden account"`)
		}
		writeProblem(w, s.status, string(e.Code), s.title, e.Message, nil)
	case errors.As(err, &wrong):
		list := []map[string]string{}
		for _, m := range wrong {
			list = append(list, map[string]string{"field": m.Field, "message": m.Message})
		}
		writeProblem(w, http.StatusUnprocessableEntity, "invalid", "Something that was sent is wrong", wrong.Error(), map[string]any{"errors": list})
	case errors.As(err, &conflict):
		writeProblem(w, http.StatusConflict, "conflict", "Not as things are", conflict.Message, nil)
	case errors.As(err, &refused):
		if refused.RetryAfter != "" {
			w.Header().Set("Retry-After", refused.RetryAfter)
		}
		if refused.Status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Bearer realm="ipwarden account"`)
		}
		writeProblem(w, refused.Status, refused.Slug, refused.Title, refused.Detail, nil)
	case errors.As(err, &p):
		writeProblem(w, p.status, p.slug, p.title, p.detail, nil)
	case errors.Is(err, account.ErrNotFound):
		writeProblem(w, http.StatusNotFound, "not-found", "Not found", "Your account has nothing of that name.", nil)
	case errors.Is(err, account.ErrUnavailable):
		w.Header().Set("Retry-After", "10")
		writeProblem(w, http.StatusServiceUnavailable, "unavailable", "The accounts cannot be read or changed now", "The database does not answer. Try again in a while.", nil)
	case r.Context().Err() != nil: // nobody waits for an answer
	default:
		a.c.Log.Error("a request about an account failed", "path", r.Pattern, "error", err)
		writeProblem(w, http.StatusInternalServerError, "internal", "Internal error", "Something went wrong here, not in the request. It was logged.", nil)
	}
}

// A problem is one of HTTP itself.
type problem struct {
	status              int
	slug, title, detail string
}

func (p *problem) Error() string { return p.detail }
