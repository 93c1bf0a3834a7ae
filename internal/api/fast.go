package api

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"time"
	"unsafe"

	"github.com/valyala/fasthttp"
)

// FastHandler returns the fast shell. It answers GET /v1/ip/{ip}, POST /v1/ip
// with a JSON array, /healthz, and dialects, with the bytes that [API.Handler]
// answers with; everything else is a 404 problem that names the other listener. It
// speaks HTTP/1.1 without TLS: it stands behind a proxy.
func (a *API) FastHandler() fasthttp.RequestHandler { return a.serveFast }

func (a *API) serveFast(c *fasthttp.RequestCtx) { a.answerFast(c, (*fastBody)(&c.Request)) }

func (a *API) answerFast(c *fasthttp.RequestCtx, body bodyReader) {
	start := c.Time() // when its first byte came
	if start.IsZero() {
		start = time.Now()
	}
	x := a.take(start)
	defer a.give(x)
	x.fast = true
	x.ctx = context.Background() // c would do, but a Source may keep its context
	h := &c.Request.Header
	if p := x.readHeader(h); p != nil {
		x.closing = true
		x.refuse(p)
		a.finishFast(c, x, start)
		return
	}
	x.method = alias(h.Method())
	x.head, x.host = h.RawHeaders(), alias(h.Host())
	x.peer, x.local = peerOf(c.RemoteAddr())
	x.path, x.query = target(alias(h.RequestURI()))
	if host := authority(alias(h.RequestURI())); host != "" {
		x.host = host
	}
	x.mediaType = alias(h.ContentType())
	x.body = body
	x.serve()
	a.finishFast(c, x, start)
}

// finishFast hands the response to fasthttp.
func (a *API) finishFast(c *fasthttp.RequestCtx, x *exchange, start time.Time) {
	r := &c.Response
	if string(c.Request.Header.Protocol()) == "HTTP/1.0" {
		r.Header.SetProtocol(protocol10) // as net/http answers it
	}
	r.SetStatusCode(x.status)
	for _, l := range x.lines[:x.nLines] {
		r.Header.SetCanonical(bytesOf(l.name), bytesOf(l.value))
	}
	if x.closing || a.draining.Load() {
		r.SetConnectionClose()
	}
	// The bytes are copied: the exchange is reused before they are written.
	r.SetBody(x.payload)
	a.metrics.observe(listenerFast, x, time.Since(start))
}

// readHeader reads the header lines that matter, in one walk. It refuses what
// net/http's parser refuses and fasthttp's lets pass: a field name that is no
// token, no Host or several in HTTP/1.1, another version, an expectation. That
// matters most behind a proxy, where two readers of one request must not see
// two requests.
func (x *exchange) readHeader(h *fasthttp.RequestHeader) *problem {
	v11 := h.IsHTTP11()
	if !v11 && string(h.Protocol()) != "HTTP/1.0" {
		return unknownVersion()
	}
	hosts, folded, raw := 0, false, h.RawHeaders()
	if len(raw) > 0 && (raw[0] == ' ' || raw[0] == '\t') {
		return malformed() // folded behind the request line
	}
	for len(raw) > 0 {
		line, rest, _ := bytes.Cut(raw, newline)
		raw = rest
		if len(line) == 0 || line[0] == '\r' {
			continue // the end
		}
		if line[0] == ' ' || line[0] == '\t' {
			folded = true
			continue
		}
		n := 0
		for n < len(line) && tokenByte[line[n]] {
			n++
		}
		if n == 0 || n == len(line) || line[n] != ':' {
			return malformed()
		}
		name, value := alias(line[:n]), alias(bytes.TrimSpace(line[n+1:]))
		switch n {
		case len("Host"):
			if strings.EqualFold(name, "Host") {
				hosts++
			}
		case len("Accept"): // and Expect
			switch {
			case strings.EqualFold(name, "Accept"):
				x.accept = joinLine(x.accept, value)
			case strings.EqualFold(name, "Expect") && !strings.EqualFold(value, "100-continue"):
				return unknownExpectation()
			case strings.EqualFold(name, "Origin"):
				x.origin = joinLine(x.origin, value)
			}
		case len("Referer"):
			if strings.EqualFold(name, "Referer") {
				x.referer = joinLine(x.referer, value)
			}
		case len("X-Api-Key"):
			if strings.EqualFold(name, "X-Api-Key") {
				x.apiKey = joinLine(x.apiKey, value)
			}
		case len("If-None-Match"):
			switch {
			case strings.EqualFold(name, "If-None-Match"):
				x.ifNoneMatch = joinLine(x.ifNoneMatch, value)
			case strings.EqualFold(name, "Authorization"):
				x.authorization = joinLine(x.authorization, value)
			}
		case len("Accept-Encoding"):
			if strings.EqualFold(name, "Accept-Encoding") {
				x.acceptEncoding = joinLine(x.acceptEncoding, value)
			}
		}
	}
	if hosts > 1 || v11 && hosts == 0 {
		return malformed()
	}
	if folded { // fasthttp has unfolded them
		x.accept = unfolded(h, "Accept")
		x.acceptEncoding = unfolded(h, "Accept-Encoding")
		x.ifNoneMatch = unfolded(h, "If-None-Match")
		x.authorization, x.apiKey = unfolded(h, "Authorization"), unfolded(h, "X-Api-Key")
		x.origin, x.referer = unfolded(h, "Origin"), unfolded(h, "Referer")
	}
	return nil
}

// joinLine adds a field line to the value of those before it (RFC 9110 section 5.3).
func joinLine(before, value string) string {
	if before == "" {
		return value
	}
	return before + ", " + value
}

func unfolded(h *fasthttp.RequestHeader, name string) (value string) {
	for _, v := range h.PeekAll(name) {
		value = joinLine(value, string(v))
	}
	return value
}

var (
	newline    = []byte{'\n'}
	protocol10 = []byte("HTTP/1.0")
)

// fastBody is a body that fasthttp has read already, within its limit.
type fastBody fasthttp.Request

func (b *fastBody) readAll(limit int) ([]byte, error) {
	body := (*fasthttp.Request)(b).Body()
	if len(body) > limit {
		return nil, errTooLarge
	}
	return body, nil
}

// largeBody stands for a body that fasthttp refused to read.
type largeBody struct{}

func (largeBody) readAll(int) ([]byte, error) { return nil, errTooLarge }

// fastError answers what fasthttp could not read as a request.
func (a *API) fastError(c *fasthttp.RequestCtx, err error) {
	if rest, ok := c.Conn().(*restConn); ok {
		rest.lingers.Store(true)
	}
	var small *fasthttp.ErrSmallBuffer
	var timeout net.Error
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		a.answerFast(c, largeBody{})
		c.SetConnectionClose()
		return
	case errors.As(err, &timeout) && timeout.Timeout():
		a.refuseFast(c, timedOut())
	case errors.As(err, &small):
		a.refuseFast(c, headerTooLarge(a.headerBound()))
	default:
		a.refuseFast(c, malformed())
	}
}

func (a *API) refuseFast(c *fasthttp.RequestCtx, p *problem) {
	start := time.Now()
	x := a.take(start)
	defer a.give(x)
	x.closing = true
	x.refuse(p)
	c.Response.Reset()
	a.finishFast(c, x, start)
}

// Bounds on what comes from outside; both listeners have the same.
const (
	maxRequestHeader  = 8 << 10  // bytes, with the request line
	maxGateHeader     = 72 << 10 // the same where a gate answers
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second // of header and body
	writeTimeout      = 30 * time.Second
	idleTimeout       = 75 * time.Second
)

// headerBound is how large a request's line and header may be, bytes. What asks
// the gate brings the header of another request with it, and proxies take more
// than a look-up needs: nginx 32 KiB, Envoy 60. A question that is refused would
// be an error to the proxy, which answers the visitor 500 or lets everything in.
func (a *API) headerBound() int {
	if a.gate != nil {
		return maxGateHeader
	}
	return maxRequestHeader
}

// fasthttpServer returns the server of the fast shell, with its bounds but those of
// time, which are its listener's (patience).
func (a *API) fasthttpServer() *fasthttp.Server {
	return &fasthttp.Server{
		Handler:                      a.serveFast,
		ErrorHandler:                 a.fastError,
		NoDefaultServerHeader:        true,
		NoDefaultContentType:         true,
		DisablePreParseMultipartForm: true,
		CloseOnShutdown:              true,
		SecureErrorLogMessage:        true,
		ReadBufferSize:               a.headerBound(),
		MaxRequestBodySize:           maxBulkBody,
		Concurrency:                  2 * maxConnections, // never reached: the listener is bounded
		MaxIdleWorkerDuration:        10 * time.Second,
		Logger:                       discard{},
	}
}

// discard drops fasthttp's own log, which speaks of clients' mistakes.
type discard struct{}

func (discard) Printf(string, ...any) {}

// bytesOf reads a string as bytes without copying them, for callees that only read.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
