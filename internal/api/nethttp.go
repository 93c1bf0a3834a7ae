package api

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden/internal/api/dialect"
)

// Handler returns the net/http shell, which serves everything.
func (a *API) Handler() http.Handler { return http.HandlerFunc(a.serveHTTP) }

func (a *API) serveHTTP(w http.ResponseWriter, r *http.Request) { a.answerHTTP(w, r, nil) }

// answerHTTP answers a request at the listener of one dialect, or of nil.
func (a *API) answerHTTP(w http.ResponseWriter, r *http.Request, only *dialect.Dialect) {
	if g := a.gate; only == nil && g != nil && g.Challenges != nil && r.URL.Path == g.Challenges.Path() {
		g.Challenges.ServeHTTP(w, r)
		return
	}
	if only == nil && len(a.cfg.Mounts) > 0 {
		if h := a.mounted(r.URL.Path); h != nil {
			if a.draining.Load() {
				w.Header().Set("Connection", "close")
			}
			h.ServeHTTP(w, r)
			return
		}
	}
	start := a.now()
	x := a.take(start)
	defer a.give(x)
	x.ctx, x.only = r.Context(), only
	x.method = r.Method
	x.path, x.query = target(r.RequestURI)
	x.accept = joined(r.Header["Accept"])
	x.acceptEncoding = joined(r.Header["Accept-Encoding"])
	x.ifNoneMatch = joined(r.Header["If-None-Match"])
	x.mediaType = joined(r.Header["Content-Type"])
	x.remote = r.RemoteAddr
	if !strings.HasPrefix(x.path, lookupPath) { // which is the same for everybody
		if p, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
			x.peer = p.Addr()
		}
		x.local = !x.peer.IsValid() && overUnix(r)
	}
	x.host, x.header = r.Host, r.Header
	x.body = (*requestBody)(r)
	x.serve()

	h := w.Header()
	x.setLines(h)
	if x.closing || a.draining.Load() {
		h.Set("Connection", "close")
	}
	if x.stream != nil {
		w.WriteHeader(x.status)
		x.serveStream(w, r)
	} else {
		w.WriteHeader(x.status)
		if r.Method != http.MethodHead {
			_, _ = w.Write(x.payload) // the client went away: nobody to tell
		}
	}
	a.metrics.observe(listenerNet, x, time.Since(start))
}

// Lines that many answers have, as values of a map of header lines. Nobody changes
// them: net/http's own code only reads, and what appends to one makes a new one.
var (
	linesAny  = []string{"*"}
	linesJSON = []string{mediaTypes[formatJSON]}
	linesVary = []string{varyAnswer}
)

// setLines puts the header lines into h. The server writes them after the
// exchange was given back, so what aliases its memory is copied.
func (x *exchange) setLines(h http.Header) {
	if x.usual {
		control, tag := x.lines[1].value, x.lines[3].value
		text := control + tag
		values := [...]string{text[:len(control)], text[len(control):]}
		h["Access-Control-Allow-Origin"], h["Content-Type"], h["Vary"] = linesAny, linesJSON, linesVary
		h["Cache-Control"], h["Etag"] = values[0:1:1], values[1:2:2]
	} else {
		n := 0
		for _, l := range x.lines[:x.nLines] {
			n += len(l.value)
		}
		text := make([]byte, 0, n) // of all values, since each by itself is dear; never changed again
		for _, l := range x.lines[:x.nLines] {
			text = append(text, l.value...)
		}
		rest, values := alias(text), make([]string, x.nLines)
		for i, l := range x.lines[:x.nLines] {
			values[i], rest = rest[:len(l.value)], rest[len(l.value):]
			h[l.name] = values[i : i+1 : i+1]
		}
	}
	switch {
	case x.stream != nil, x.status == http.StatusNoContent, x.status == http.StatusNotModified:
	case len(x.payload) >= countedByServer || x.method == http.MethodHead:
		h["Content-Length"] = []string{strconv.Itoa(len(x.payload))}
	}
}

// countedByServer is the size below which net/http, which has the whole body
// before it writes the header, tells its length by itself, and cheaper.
const countedByServer = 2048

// overUnix reports whether a request came over a Unix socket.
func overUnix(r *http.Request) bool {
	a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && a.Network() == "unix"
}

// joined returns the field lines of a header as one value (RFC 9110 section 5.3).
func joined(lines []string) string {
	switch len(lines) {
	case 0:
		return ""
	case 1:
		return lines[0]
	}
	return strings.Join(lines, ", ")
}

type requestBody http.Request

func (b *requestBody) readAll(limit int) ([]byte, error) {
	if b.ContentLength > int64(limit) {
		return nil, errTooLarge
	}
	body, err := io.ReadAll(io.LimitReader(b.Body, int64(limit)+1))
	if err == nil && len(body) > limit {
		err = errTooLarge
	}
	return body, err
}

// streamIdle bounds how long a stream may stand still.
const streamIdle = 30 * time.Second

func (x *exchange) serveStream(w http.ResponseWriter, r *http.Request) {
	c := http.NewResponseController(w)
	// Without this the server would drain the body before the first answer. A
	// ResponseWriter that has no such thing, nor deadlines, goes by its server's.
	_ = c.EnableFullDuplex()
	extend := func() error {
		deadline := time.Now().Add(streamIdle)
		err := c.SetReadDeadline(deadline)
		if err == nil {
			err = c.SetWriteDeadline(deadline)
		}
		if errors.Is(err, http.ErrNotSupported) {
			return nil
		}
		return err
	}
	err := extend()
	if err == nil {
		err = x.stream(&streamWriter{in: r.Body, out: w, flush: c.Flush, extend: extend})
	}
	if err != nil {
		// The status is out. Ending the body without its last chunk is how
		// HTTP/1.1 says that an answer is not complete.
		panic(http.ErrAbortHandler)
	}
}
