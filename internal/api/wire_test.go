package api

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"slices"
	"strings"
	"testing"
	"time"
)

// reply is a response as it came over the wire, without Date, Server and
// Connection.
type reply struct {
	status     int
	line       string
	lines      []string // of the header, sorted
	connection string
	body       string
}

func dial(t testing.TB, addr net.Addr) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewReaderSize(c, 64<<10)
}

// ask sends raw bytes and reads the answer.
func ask(t testing.TB, c net.Conn, br *bufio.Reader, raw string) reply {
	t.Helper()
	go func() { _, _ = io.WriteString(c, raw) }() // a refusal may come before all is sent
	return readFor(t, br, strings.HasPrefix(raw, "HEAD "))
}

func read(t testing.TB, br *bufio.Reader) reply { t.Helper(); return readFor(t, br, false) }

func readFor(t testing.TB, br *bufio.Reader, head bool) reply {
	t.Helper()
	r, err := parseReply(br, head)
	if err != nil {
		t.Errorf("reading the answer: %v", err)
	}
	return r
}

func tryRead(br *bufio.Reader) (reply, error) { return parseReply(br, false) }

func parseReply(br *bufio.Reader, head bool) (reply, error) {
	var r reply
	var raw strings.Builder
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			return r, fmt.Errorf("%w after %q", err, raw.String())
		}
		raw.WriteString(line)
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			break
		}
		if r.line == "" {
			r.line = line
			continue
		}
		switch name, value, _ := strings.Cut(line, ": "); strings.ToLower(name) {
		case "date", "server":
		case "connection":
			r.connection = value
		default:
			r.lines = append(r.lines, line)
		}
	}
	slices.Sort(r.lines)
	var minor int
	if _, err := fmt.Sscanf(r.line, "HTTP/1.%d %d", &minor, &r.status); err != nil {
		return r, fmt.Errorf("the status line is %q", r.line)
	}
	if r.status == 100 {
		return parseReply(br, head)
	}
	length := 0
	for _, l := range r.lines {
		if _, err := fmt.Sscanf(l, "Content-Length: %d", &length); err == nil {
			break
		}
		if l == "Transfer-Encoding: chunked" {
			body, err := io.ReadAll(httputil.NewChunkedReader(br))
			r.body = string(body)
			return r, err
		}
	}
	if head || r.status == 204 || r.status == 304 {
		return r, nil
	}
	body := make([]byte, length)
	n, err := io.ReadFull(br, body)
	r.body = string(body[:n])
	return r, err
}

// answer asks the net/http shell without a connection.
func (a *API) answer(t testing.TB, method, target string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, "/", nil)
	r.RequestURI = target
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, r)
	return w
}
