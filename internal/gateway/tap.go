package gateway

import (
	"bufio"
	"net"
	"net/http"
	"time"
)

// tap is where an answer passes through on its way to the client.
type tap struct {
	http.ResponseWriter
	status   int // the final one, 0 before it
	hijacked bool
	// In HTTP/2 a client that does not take an answer holds up its stream alone,
	// of which the connection knows nothing; nil in HTTP/1.
	stall   *time.Timer
	timeout time.Duration
	onTake  func() // told of a connection that is taken over
}

func (t *tap) watch(timeout time.Duration) {
	rc := http.NewResponseController(t.ResponseWriter)
	t.timeout = timeout
	t.stall = time.AfterFunc(timeout, func() { _ = rc.SetWriteDeadline(time.Unix(1, 0)) })
	t.stall.Stop()
}

// WriteHeader notes the final status. 101 is one.
func (t *tap) WriteHeader(status int) {
	if t.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		t.status = status
	}
	t.ResponseWriter.WriteHeader(status)
}

// Write writes to the client, who must take it in time.
func (t *tap) Write(p []byte) (int, error) {
	if t.stall == nil {
		return t.ResponseWriter.Write(p)
	}
	t.stall.Reset(t.timeout)
	defer t.stall.Stop()
	return t.ResponseWriter.Write(p)
}

// FlushError is for http.ResponseController.
func (t *tap) FlushError() error {
	if t.stall != nil {
		t.stall.Reset(t.timeout)
		defer t.stall.Stop()
	}
	return http.NewResponseController(t.ResponseWriter).Flush()
}

// Hijack takes the connection over, for a protocol that is switched to.
func (t *tap) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(t.ResponseWriter).Hijack()
	if err == nil {
		t.hijacked = true
		t.onTake()
	}
	return c, rw, err
}

// Unwrap is for http.ResponseController.
func (t *tap) Unwrap() http.ResponseWriter { return t.ResponseWriter }
