package api

import (
	"bytes"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// plainErrors makes the refusals that net/http writes itself problem documents
// too. A request that its parser turns down (a bad percent sign in the target,
// a header out of bounds) never reaches a handler: net/http writes a fixed text
// straight to the connection, in one Write, and closes it. That text has a shape
// that no answer of ours has, so it can be told and replaced.
type plainErrors struct {
	net.Listener
	api *API
}

func (l *plainErrors) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &plainErrorConn{Conn: c, api: l.api}, nil
}

type plainErrorConn struct {
	net.Conn
	api *API
}

// CloseWrite lets net/http close its half first, so that a client that is still
// sending can read the refusal.
func (c *plainErrorConn) CloseWrite() error { return endWriting(c.Conn) }

// plainTail is what follows the status line of such a text.
const plainTail = "Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"

// Write passes answers on.
func (c *plainErrorConn) Write(p []byte) (int, error) {
	problem := plainError(p, c.api.headerBound())
	if problem == nil {
		return c.Conn.Write(p)
	}
	if _, err := c.Conn.Write(c.api.rawProblem(problem, time.Now())); err != nil {
		return 0, err
	}
	return len(p), nil
}

// plainError recognises a text of net/http by all of its bytes: bodies pass
// here as well, in pieces, and parts of them are the client's. bound is that of a
// request's header.
func plainError(p []byte, bound int) *problem {
	const version = "HTTP/1.1 "
	if len(p) > 512 || !bytes.HasPrefix(p, []byte(version+"4")) && !bytes.HasPrefix(p, []byte(version+"5")) {
		return nil
	}
	line, rest, _ := strings.Cut(string(p), "\r\n")
	if len(line) < len(version)+3 {
		return nil
	}
	// An Expect that nobody knows (RFC 9110 section 10.1.1) gets an empty answer.
	if line == "HTTP/1.1 417 Expectation Failed" && strings.HasSuffix(rest, "\r\nContent-Length: 0\r\n\r\n") {
		return unknownExpectation()
	}
	text, ok := strings.CutPrefix(rest, plainTail)
	if !ok || text != line[len(version):] && text != "Unsupported transfer encoding" {
		return nil
	}
	switch status, _ := strconv.Atoi(line[len(version) : len(version)+3]); status {
	case http.StatusRequestHeaderFieldsTooLarge:
		return headerTooLarge(bound)
	case http.StatusNotImplemented:
		return &problem{
			status: http.StatusNotImplemented, slug: "unknown-transfer-coding", title: "Unknown transfer coding",
			detail: "Of the transfer codings only chunked is understood.", example: exampleLookup,
		}
	case http.StatusHTTPVersionNotSupported:
		return unknownVersion()
	default:
		return malformed()
	}
}

// rawProblem returns a problem as the bytes of a whole response.
func (a *API) rawProblem(p *problem, now time.Time) []byte {
	x := a.take(now)
	defer a.give(x)
	x.refuse(p)
	b := append([]byte("HTTP/1.1 "), strconv.Itoa(x.status)...)
	b = append(append(append(b, ' '), http.StatusText(x.status)...), "\r\n"...)
	for _, l := range x.lines[:x.nLines] {
		b = append(append(append(append(b, l.name...), ": "...), l.value...), "\r\n"...)
	}
	b = now.UTC().AppendFormat(append(b, "Date: "...), http.TimeFormat)
	b = append(b, "\r\nConnection: close\r\nContent-Length: "...)
	b = append(strconv.AppendInt(b, int64(len(x.payload)), 10), "\r\n\r\n"...)
	a.metrics.observe(listenerNet, x, 0)
	return append(b, x.payload...)
}
