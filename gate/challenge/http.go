package challenge

import (
	"net/http"
	"net/url"
)

// maxForm bounds the body of a form, in bytes.
const maxForm = 16 << 10

// Handler serves the page at its path and leaves all else to next, which is the
// gate: whoever is to be challenged must be able to reach the page.
func (c *Challenges) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == c.cfg.Path {
			c.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ServeHTTP serves the page, at whatever path it is mounted.
func (c *Challenges) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := Ask{Method: r.Method, Language: r.Header.Get("Accept-Language"), HTTPS: r.TLS != nil}
	q.Query, _ = url.ParseQuery(r.URL.RawQuery) // what can be read of it
	if r.Method == http.MethodPost {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			r.PostForm = nil // an empty form has no ticket, and says so
		}
		q.Form = r.PostForm
	}
	a := c.Answer(r.Context(), &q)
	h := w.Header()
	for name, values := range a.Header {
		h[name] = values
	}
	w.WriteHeader(a.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(a.Body) // the client may be gone
	}
}
