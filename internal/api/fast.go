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
// with a JSON array, and /healthz, with the bytes that [API.Handler] answers
// with; everything else is a 404 problem that names the other listener. It
// speaks HTTP/1.1 without TLS: it stands behind a proxy.
func (a *API) FastHandler() fasthttp.RequestHandler { return a.serveFast }

func (a *API) serveFast(c *fasthttp.RequestCtx) { a.answerFast(c, (*fastBody)(&c.Request)) }

func (a *API) answerFast(c *fasthttp.RequestCtx, body bodyReader) {
	start := time.Now()
	x := a.take()
	defer a.give(x)
	x.fast = true
	x.ctx = context.Background() // c would do, but a Source may keep its context
	h := &c.Request.Header
	if p := strict(h); p != nil {
		x.closing = true
		x.refuse(p)
		a.finishFast(c, x, start)
		return
	}
	x.method = alias(h.Method())
	x.path, x.query = target(alias(h.RequestURI()))
	x.accept = fastHeader(h, "Accept")
	x.acceptEncoding = fastHeader(h, "Accept-Encoding")
	x.ifNoneMatch = fastHeader(h, "If-None-Match")
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

// strict refuses what net/http's parser refuses and fasthttp's lets pass: a
// field name that is no token, no Host or several in HTTP/1.1, another version,
// an expectation. It matters most behind a proxy, where two readers of one
// request must not see two requests.
func strict(h *fasthttp.RequestHeader) *problem {
	v11 := h.IsHTTP11()
	if !v11 && string(h.Protocol()) != "HTTP/1.0" {
		return unknownVersion()
	}
	hosts, raw := 0, h.RawHeaders()
	for len(raw) > 0 {
		line, rest, _ := bytes.Cut(raw, newline)
		raw = rest
		if len(line) == 0 || line[0] == '\r' || line[0] == ' ' || line[0] == '\t' {
			continue // the end, or a folded line
		}
		n := 0
		for n < len(line) && tokenByte[line[n]] {
			n++
		}
		switch {
		case n == 0 || n == len(line) || line[n] != ':':
			return malformed()
		case n == 4 && strings.EqualFold(alias(line[:4]), "host"):
			hosts++
		case n == 6 && strings.EqualFold(alias(line[:6]), "expect") && !strings.EqualFold(alias(bytes.TrimSpace(line[7:])), "100-continue"):
			return unknownExpectation()
		}
	}
	if hosts > 1 || v11 && hosts == 0 {
		return malformed()
	}
	return nil
}

var (
	newline    = []byte{'\n'}
	protocol10 = []byte("HTTP/1.0")
)

// tokenByte holds the characters of a token (RFC 9110 section 5.6.2).
var tokenByte = func() (set [256]bool) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		set[c] = true
	}
	return set
}()

// fastHeader returns the field lines of a header as one value.
func fastHeader(h *fasthttp.RequestHeader, name string) string {
	first := h.PeekBytes(bytesOf(name))
	if len(first) == 0 {
		return ""
	}
	if all := h.PeekAll(name); len(all) > 1 {
		joined := append([]byte(nil), all[0]...)
		for _, v := range all[1:] {
			joined = append(append(joined, ", "...), v...)
		}
		return alias(joined)
	}
	return alias(first)
}

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
		a.refuseFast(c, headerTooLarge())
	default:
		a.refuseFast(c, malformed())
	}
}

func (a *API) refuseFast(c *fasthttp.RequestCtx, p *problem) {
	x := a.take()
	defer a.give(x)
	x.closing = true
	x.refuse(p)
	c.Response.Reset()
	a.finishFast(c, x, time.Now())
}

// Bounds on what comes from outside; both listeners have the same.
const (
	maxRequestHeader  = 16 << 10 // bytes, with the request line
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second // of header and body
	writeTimeout      = 30 * time.Second
	idleTimeout       = 75 * time.Second
	maxConnections    = 65_536 // of the fast listener
)

// fastServer returns the server of the fast shell, with its bounds.
func (a *API) fastServer() *fasthttp.Server {
	return &fasthttp.Server{
		Handler:                       a.serveFast,
		ErrorHandler:                  a.fastError,
		NoDefaultServerHeader:         true,
		NoDefaultContentType:          true,
		DisablePreParseMultipartForm:  true,
		CloseOnShutdown:               true,
		SecureErrorLogMessage:         true,
		ReadBufferSize:                maxRequestHeader,
		MaxRequestBodySize:            maxBulkBody,
		ReadTimeout:                   readTimeout,
		WriteTimeout:                  writeTimeout,
		IdleTimeout:                   idleTimeout,
		Concurrency:                   maxConnections,
		TCPKeepalive:                  true,
		MaxIdleWorkerDuration:         10 * time.Second,
		Logger:                        discard{},
		DisableHeaderNamesNormalizing: false,
	}
}

// discard drops fasthttp's own log, which speaks of clients' mistakes.
type discard struct{}

func (discard) Printf(string, ...any) {}

// bytesOf reads a string as bytes without copying them, for callees that only read.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
