package api

import (
	"context"
	"errors"
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
	x.method = alias(h.Method())
	x.path, x.query = target(alias(h.RequestURI()))
	x.accept = fastHeader(h, "Accept")
	x.acceptEncoding = fastHeader(h, "Accept-Encoding")
	x.ifNoneMatch = fastHeader(h, "If-None-Match")
	x.mediaType = alias(h.ContentType())
	x.body = body
	x.serve()

	r := &c.Response
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
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		a.answerFast(c, largeBody{})
		c.SetConnectionClose()
		return
	case errors.As(err, &small):
		a.refuseFast(c, headerTooLarge())
	default:
		a.refuseFast(c, malformed())
	}
}

func (a *API) refuseFast(c *fasthttp.RequestCtx, p *problem) {
	x := a.take()
	defer a.give(x)
	x.refuse(p)
	c.Response.Reset()
	c.Response.SetStatusCode(x.status)
	for _, l := range x.lines[:x.nLines] {
		c.Response.Header.SetCanonical(bytesOf(l.name), bytesOf(l.value))
	}
	c.Response.SetConnectionClose()
	c.Response.SetBody(x.payload)
	a.metrics.observe(listenerFast, x, 0)
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
