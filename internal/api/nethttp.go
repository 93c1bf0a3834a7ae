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
)

// Handler returns the net/http shell, which serves everything.
func (a *API) Handler() http.Handler { return http.HandlerFunc(a.serveHTTP) }

func (a *API) serveHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	x := a.take(start)
	defer a.give(x)
	x.ctx = r.Context()
	x.method = r.Method
	x.path, x.query = target(r.RequestURI)
	x.accept = joined(r.Header["Accept"])
	x.acceptEncoding = joined(r.Header["Accept-Encoding"])
	x.ifNoneMatch = joined(r.Header["If-None-Match"])
	x.mediaType = joined(r.Header["Content-Type"])
	if p, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		x.peer = p.Addr()
	}
	x.local = !x.peer.IsValid() && overUnix(r)
	x.host, x.header = r.Host, r.Header
	x.body = (*requestBody)(r)
	x.serve()

	h := w.Header()
	values := make([]string, x.nLines+2)
	for i, l := range x.lines[:x.nLines] {
		// The server writes the header after this function returned and the
		// exchange was given back, so what aliases its memory is copied.
		values[i] = strings.Clone(l.value)
		h[l.name] = values[i : i+1 : i+1]
	}
	if x.closing || a.draining.Load() {
		h.Set("Connection", "close")
	}
	if x.stream != nil {
		w.WriteHeader(x.status)
		x.serveStream(w, r)
	} else {
		if x.status != http.StatusNoContent && x.status != http.StatusNotModified {
			values[x.nLines] = strconv.Itoa(len(x.payload))
			h["Content-Length"] = values[x.nLines : x.nLines+1]
		}
		w.WriteHeader(x.status)
		if r.Method != http.MethodHead {
			_, _ = w.Write(x.payload) // the client went away: nobody to tell
		}
	}
	a.metrics.observe(listenerNet, x, time.Since(start))
}

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
