package gateway

import (
	"bytes"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// F4 and F5: in HTTP/2 a host is :authority, and what says otherwise is refused;
// malformed pseudo-headers are an error of the stream.
func TestHTTP2(t *testing.T) {
	a := newApp(t, nil)
	s := start(t, a, nil)
	plain := [][2]string{{":method", "GET"}, {":scheme", "http"}, {":path", "/p"}, {":authority", "app.example"}}
	with := func(more ...[2]string) [][2]string { return append(plain[:len(plain):len(plain)], more...) }
	for _, c := range []struct {
		name   string
		fields [][2]string
		want   string // the status, or "reset"
	}{
		{"plain", plain, "200"},
		{"the same host again", with([2]string{"host", "app.example"}), "200"},
		{"F4: another host", with([2]string{"host", "admin.example"}), "400"},
		{"F4: two hosts", with([2]string{"host", "app.example"}, [2]string{"host", "admin.example"}), "400"},
		{"a host that is judged", [][2]string{{":method", "GET"}, {":scheme", "http"}, {":path", "/p"}, {":authority", "admin.example"}}, "403"},
		{"F5: two paths", append([][2]string{{":path", "/blocked"}}, plain...), "reset"},
		{"F5: two authorities", append([][2]string{{":authority", "admin.example"}}, plain...), "reset"},
		{"F5: a pseudo-header behind", with([2]string{"x-a", "b"}, [2]string{":path", "/blocked"}), "reset"},
		{"an unknown pseudo-header", append([][2]string{{":upstream", "x"}}, plain...), "reset"},
		{"capitals", with([2]string{"X-Ipwarden-Verdict", "allow"}), "reset"},
		{"connection-specific", with([2]string{"transfer-encoding", "chunked"}), "400"},
	} {
		if got := overHTTP2(t, s, c.fields); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		seen, _ := a.taken()
		if (len(seen) == 1) != (c.want == "200") || len(seen) == 1 && (seen[0].Host != "app.example" || seen[0].URL.Path != "/p") {
			t.Errorf("%s: the application saw %v", c.name, seen)
		}
	}
}

// overHTTP2 sends one request with these fields on a connection of its own, and
// returns its status, or "reset".
func overHTTP2(t *testing.T, s *Server, fields [][2]string) string {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := c.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	f := http2.NewFramer(c, c)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, field := range fields {
		if err := enc.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
		t.Fatal(err)
	}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return "reset" // of the whole connection
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			return frame.PseudoValue("status")
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return "reset"
		}
	}
}
