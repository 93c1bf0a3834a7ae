package gateway

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// body is a request's body on its way to the upstream: so long, and not slower
// than a client that means well. It belongs to one request and is not used
// again, because the transport may read on when the answer has come.
type body struct {
	io.ReadCloser
	left  int64 // bytes; negative: no bound
	stall time.Duration
	timer *time.Timer
	why   atomic.Uint32 // the result that a failed Read means
	rc    *http.ResponseController

	// What came after the body, and what of it goes on.
	came *http.Header
	goes http.Header
}

var errBody = errors.New("the request's body is not passed on")

// newBody wraps the body of r, whose answer goes to w.
func (g *Gateway) newBody(w http.ResponseWriter, r *http.Request) *body {
	b := &body{
		ReadCloser: r.Body, left: -1, stall: g.cfg.StallTimeout, rc: http.NewResponseController(w), came: &r.Trailer,
	}
	if g.cfg.MaxBody > 0 {
		b.left = g.cfg.MaxBody
	}
	b.timer = time.AfterFunc(b.stall, b.expire)
	b.timer.Stop()
	return b
}

// expire ends a Read that waits.
func (b *body) expire() {
	b.why.CompareAndSwap(0, uint32(resultStalled))
	_ = b.rc.SetReadDeadline(time.Unix(1, 0)) // whoever has no deadlines has no connection
}

// Read reads what came. Reads are never concurrent.
func (b *body) Read(p []byte) (n int, err error) {
	b.timer.Reset(b.stall)
	n, err = b.ReadCloser.Read(p)
	b.timer.Stop()
	if b.left >= 0 {
		if int64(n) > b.left {
			b.why.CompareAndSwap(0, uint32(resultTooLarge))
			return int(b.left), errBody
		}
		b.left -= int64(n)
	}
	switch {
	case err == io.EOF:
		for name := range b.goes {
			if v := (*b.came)[name]; v != nil {
				b.goes[name] = v
			}
		}
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.why.CompareAndSwap(0, uint32(resultStalled))
	case err != nil:
		b.why.CompareAndSwap(0, uint32(resultBadBody))
	}
	return n, err
}

// Close ends the body. The server reads what is left of a short one, so that the
// connection can be used again.
func (b *body) Close() error {
	b.timer.Reset(b.stall)
	defer b.timer.Stop()
	return b.ReadCloser.Close()
}

// hasten bounds how long the rest of a request's body may take that nobody wants: the
// server reads it before it answers, and has no patience of its own. It ends with the
// request (net/http sets the deadline anew for the next one).
func (g *Gateway) hasten(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 && r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(g.cfg.StallTimeout)) // as in expire
	}
}

// failed is the result that a failed body means; false when it did not fail.
func (b *body) failed() (result, bool) {
	if b == nil {
		return 0, false
	}
	r := result(b.why.Load())
	return r, r != 0
}
