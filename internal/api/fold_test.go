package api

import (
	"bufio"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

// fieldsOf are the field lines of a head as the gate gets them on the fast
// listener; ok is false for one that is refused.
func fieldsOf(t testing.TB, a *API, head string) (fields http.Header, ok bool) {
	t.Helper()
	var h fasthttp.RequestHeader
	if err := h.Read(bufio.NewReader(strings.NewReader("GET /gate/nginx HTTP/1.1\r\n" + head + "\r\n\r\n"))); err != nil {
		return nil, false
	}
	x := a.take(noon)
	defer a.give(x)
	if p := x.readHeader(&h); p != nil {
		return nil, false
	}
	x.head = h.RawHeaders()
	x.readFields()
	fields = http.Header{}
	lines := &x.gateMemory().fields
	for i := range lines.Len() {
		name, value := lines.At(i)
		name = textproto.CanonicalMIMEHeaderKey(name)
		fields[name] = append(fields[name], strings.Clone(value))
	}
	return fields, true
}

// readFoldsAlike holds the fast listener to net/http: where both take a head, they
// read the same fields in it.
func readFoldsAlike(t testing.TB, a *API, head string) (both bool) {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET /gate/nginx HTTP/1.1\r\n" + head + "\r\n\r\n")))
	fast, ok := fieldsOf(t, a, head)
	if err != nil || !ok {
		return false
	}
	for _, name := range []string{"Host", "Transfer-Encoding", "Content-Length", "Trailer", "Connection"} { // which net/http takes out
		delete(fast, name)
		delete(r.Header, name)
	}
	for name, want := range r.Header {
		got := fast[name]
		for i := range want {
			want[i] = strings.Trim(want[i], " \t")
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%q: %s is %q, of net/http %q", head, name, got, want)
		}
		delete(fast, name)
	}
	if len(fast) > 0 {
		t.Fatalf("%q: only the fast listener has %q", head, fast)
	}
	return true
}

var foldedHeads = []string{
	"Host: x\r\nX-Real-Ip: 8.8.8.8",
	"Host: x\r\nX-Original-Uri: /a\r\n b",
	"Host: x\r\nX-Original-Uri: /a\r\n\tb\r\n  c\r\nX-Real-Ip: 8.8.8.8",
	"Host: x\r\nX-Real-Ip:\r\n 8.8.8.8",
	"Host: x\r\nX-Forwarded-For: 192.0.2.1,\r\n 8.8.8.8\r\nX-Forwarded-For: 1.1.1.1",
	"Host: x\r\nX-Real-Ip: 8.8.8.8\r\n \r\n X-Real-Ip: 1.1.1.1",
	"Host: x\r\nX-Real-Ip: 8.8.8.8 \t\r\n\t \t1.1.1.1 \t",
	"Host: x\nX-Real-Ip: 8.8.8.8\n 1.1.1.1",
	"Host: x\r\nA: b\r\n : c\r\nD: e",
	" Host: y\r\nHost: x",
	"\tA: b\r\nHost: x",
}

// A header line that is folded is one line to the gate, on either listener: a part
// of it that is lost would be a part of a path, or of a list of addresses.
func TestFoldedLinesAreOne(t *testing.T) {
	a := gated(t, 3)
	both := 0
	for _, head := range foldedHeads {
		if readFoldsAlike(t, a, head) {
			both++
		}
	}
	if both < 7 {
		t.Errorf("%d of %d heads are read by both", both, len(foldedHeads))
	}
	fields, ok := fieldsOf(t, a, "Host: x\r\nX-Forwarded-For: 192.0.2.1,\r\n\t 8.8.8.8\r\nA: b")
	if !ok || fields.Get("X-Forwarded-For") != "192.0.2.1, 8.8.8.8" || fields.Get("A") != "b" {
		t.Errorf("%v, %q", ok, fields)
	}
	for _, head := range []string{" Host: y\r\nHost: x", "\tA: b\r\nHost: x"} {
		if _, ok := fieldsOf(t, a, head); ok {
			t.Errorf("%q: folded behind the request line, and taken", head)
		}
	}
}

// FuzzFolds looks for a head that the fast listener and net/http both take and
// read differently.
func FuzzFolds(f *testing.F) {
	for _, head := range foldedHeads {
		f.Add(head)
	}
	a := newAPI(f, nil)
	f.Fuzz(func(t *testing.T, head string) {
		if len(head) > 4096 || strings.Contains(head, "\r\n\r\n") || strings.Contains(head, "\n\n") || strings.Contains(head, "\n\r\n") || strings.HasPrefix(head, "\r\n") || strings.HasPrefix(head, "\n") {
			return
		}
		readFoldsAlike(t, a, head)
	})
}
