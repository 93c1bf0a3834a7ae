package api

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
)

// bytesConn is a connection whose client sends some bytes and its end.
type bytesConn struct {
	net.Conn // nil: whatever else is called fails
	in       io.Reader
	out      bytes.Buffer
}

func (c *bytesConn) Read(b []byte) (int, error)  { return c.in.Read(b) }
func (c *bytesConn) Write(b []byte) (int, error) { return c.out.Write(b) }
func (c *bytesConn) Close() error                { return nil }
func (c *bytesConn) LocalAddr() net.Addr         { return new(net.TCPAddr) }
func (c *bytesConn) RemoteAddr() net.Addr        { return new(net.TCPAddr) }

// replies reads all answers of a connection.
func replies(t testing.TB, raw []byte) (all []reply) {
	t.Helper()
	br := bufio.NewReader(bytes.NewReader(raw))
	for {
		if _, err := br.Peek(1); err != nil {
			return all
		}
		r, err := tryRead(br)
		if err != nil {
			t.Fatalf("%v in %q", err, raw)
		}
		all = append(all, r)
	}
}

// next is a request that shows where the one before it ended.
const next = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"

// readAlike compares what the loop makes of the first request in raw with what
// fasthttp and readHeader make of the same bytes: as many bytes, and the same
// answer. It returns what readHead found.
func readAlike(t testing.TB, a *API, raw string) headFound {
	t.Helper()
	x := a.take(noon)
	defer a.give(x)
	b := []byte(raw)
	n, found := x.readHead(b)
	if found != headWhole {
		return found
	}
	x.fast, x.ctx = true, background
	x.serve()
	loop := replies(t, x.appendAnswer(nil, a.dateAt(noon), x.closing))
	c := &bytesConn{in: strings.NewReader(raw[:n] + next)}
	if err := a.fasthttpServer().ServeConn(c); err != nil {
		t.Fatalf("%q: fasthttp: %v", raw[:n], err)
	}
	fast := replies(t, c.out.Bytes())
	if x.closing && len(fast) == 1 {
		fast = append(fast, reply{status: 200, body: "ok\n"})
	}
	if len(fast) != 2 || fast[1].status != 200 || fast[1].body != "ok\n" {
		t.Fatalf("%q: fasthttp does not see one request: %+v", raw[:n], fast)
	}
	l, f := loop[0], fast[0]
	if l.line != f.line || !slices.Equal(l.lines, f.lines) || l.connection != f.connection && !x.closing || l.body != f.body {
		t.Fatalf("%q:\nloop:     %+v\nfasthttp: %+v", raw[:n], l, f)
	}
	return found
}

func TestHeadsAreReadAlike(t *testing.T) {
	a := newAPI(t, nil)
	whole := 0
	for _, raw := range goodAndHostile() {
		if readAlike(t, a, raw) == headWhole {
			whole++
		}
	}
	if whole < 60 {
		t.Errorf("the loop reads %d of these requests, which is few", whole)
	}
}

// What is in the shape is read, whatever is left is fasthttp's, and a part of a
// request is known as one.
func TestReadHead(t *testing.T) {
	a := newAPI(t, nil)
	const line = "GET /v1/ip/8.8.8.8?fields=ip HTTP/1.1\r\n"
	for _, tt := range []struct {
		raw  string
		want headFound
	}{
		{line + "Host: x\r\n\r\n", headWhole},
		{line + "host:x.example:8080\r\n\r\n", headWhole},
		{line + "Host: [2001:db8::1]:80\r\nConnection: Keep-Alive\r\nAccept: */*\r\nUser-Agent: a (b; c) d/1.0\r\n\r\n", headWhole},
		{line + "Host: x\r\nAccept: text/csv\r\naccept: application/json;q=0.5\r\nIf-None-Match: \"a\"\r\nIf-None-Match: *\r\nAccept-Encoding: gzip\r\naccept-encoding: br\r\n\r\n", headWhole},
		{line + "Host: x\r\nEmpty:\r\nX:   spaces   \r\n\r\n", headWhole},
		{line + "\r\n", headOdd},
		{line + "Host: x\r\nHost: x\r\n\r\n", headOdd},
		{line + "Host:\r\n\r\n", headOdd},
		{line + "Host: 127.0.0.1:80\r\n\r\n", headWhole},
		{line + "Host: [::1]\r\n\r\n", headWhole},
		{line + "Host: [::1\r\n\r\n", headOdd},
		{line + "Host: []\r\n\r\n", headOdd},
		{line + "Host: [127.0.0.1]\r\n\r\n", headOdd},
		{line + "Host: [::1]x\r\n\r\n", headOdd},
		{line + "Host: x:\r\n\r\n", headOdd},
		{line + "Host: :80\r\n\r\n", headOdd},
		{line + "Host: x:8a\r\n\r\n", headOdd},
		{line + "Host: a b\r\n\r\n", headOdd},
		{line + "Host: x\r\nContent-Length: 0\r\n\r\n", headOdd},
		{line + "Host: x\r\ntransfer-encoding: chunked\r\n\r\n", headOdd},
		{line + "Host: x\r\nExpect: 100-continue\r\n\r\n", headOdd},
		{line + "Host: x\r\nUpgrade: h2c\r\n\r\n", headOdd},
		{line + "Host: x\r\nTrailer: x\r\n\r\n", headOdd},
		{line + "Host: x\r\nConnection: close\r\n\r\n", headOdd},
		{line + "Host: x\r\nConnection: keep-alive, close\r\n\r\n", headOdd},
		{line + "Host: x\r\nA: b\r\n c\r\n\r\n", headOdd},
		{line + "Host: x\r\nA : b\r\n\r\n", headOdd},
		{line + "Host: x\r\n: b\r\n\r\n", headOdd},
		{line + "Host: x\r\nA\r\n\r\n", headOdd},
		{line + "Host: x\r\nA: b\x00c\r\n\r\n", headOdd},
		{line + "Host: x\r\nA: 12345678\x7f\r\n\r\n", headOdd},
		{line + "Host: x\r\nA: b\tc\r\n\r\n", headOdd},
		{line + "Host: x\r\nA: é\r\n\r\n", headOdd},
		{line + "Host: x\r\nA: b\rc\r\n\r\n", headOdd},
		{line + "Host: x\n\r\n", headOdd},
		{line + "Host: x\r\n\n", headOdd},
		{"GET /v1/ip/8.8.8.8 HTTP/1.0\r\nHost: x\r\n\r\n", headOdd},
		{"GET /v1/ip/8.8.8.8#a HTTP/1.1\r\nHost: x\r\n\r\n", headOdd},
		{"GET /v1/ip/8.8.8.8  HTTP/1.1\r\nHost: x\r\n\r\n", headOdd},
		{"GET http://x/v1/ip/8.8.8.8 HTTP/1.1\r\nHost: x\r\n\r\n", headOdd},
		{"HEAD /v1/ip/8.8.8.8 HTTP/1.1\r\nHost: x\r\n\r\n", headOdd},
		{"get /v1/ip/8.8.8.8 HTTP/1.1\r\nHost: x\r\n\r\n", headOdd},
		{"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", headOdd},
		{"P", headOdd},
		{"GET /\r\n\r\n", headOdd},
	} {
		if got := readAlike(t, a, tt.raw); got != tt.want {
			t.Errorf("%q: %d, want %d", tt.raw, got, tt.want)
		}
		x := a.take(noon)
		for n := range len(tt.raw) {
			x.request = request{}
			took, got := x.readHead([]byte(tt.raw[:n]))
			if tt.want == headWhole && got != headPart || got == headWhole || took != 0 {
				t.Errorf("%q: %d and %d bytes", tt.raw[:n], got, took)
			}
		}
		a.give(x)
	}
}

// printable tells of every byte in every place.
func TestPrintable(t *testing.T) {
	for n := range 20 {
		for at := range n {
			for c := range 256 {
				b := bytes.Repeat([]byte{' ' + byte(at)}, n)
				b[at] = byte(c)
				if want := c >= 0x20 && c <= 0x7e; printable(b) != want {
					t.Fatalf("%q: %v", b, !want)
				}
			}
		}
	}
}

// FuzzHead looks for a request that the loop answers and that fasthttp, with
// readHeader, understands in another way.
func FuzzHead(f *testing.F) {
	for _, raw := range goodAndHostile() {
		if len(raw) < 4096 {
			f.Add(raw)
		}
	}
	a := newAPI(f, nil)
	f.Fuzz(func(t *testing.T, raw string) { readAlike(t, a, raw) })
}
