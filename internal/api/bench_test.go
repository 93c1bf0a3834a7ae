package api

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/ipwardentest"
)

// readyData answers every question with one Record, at once: what is measured
// is the way round it.
type readyData struct {
	*ipwardentest.World
	rec ipwarden.Record
}

func newReadyData() *readyData {
	w := ipwardentest.Sample()
	rec, err := w.Lookup(context.Background(), netip.MustParseAddr("8.8.8.8"))
	if err != nil {
		panic(err) // the world always answers
	}
	return &readyData{w, rec}
}

func (d *readyData) Lookup(context.Context, netip.Addr) (ipwarden.Record, error) { return d.rec, nil }

func (d *readyData) LookupBatch(dst []ipwarden.Record, addrs []netip.Addr) {
	for i := range addrs {
		dst[i] = d.rec
	}
}

func readyAPI(t testing.TB) *API {
	d := newReadyData()
	return newAPI(t, func(c *Config) { c.Data = func() Data { return d }; c.Now = nil })
}

// small is the question whose answer has the size of the peers', some 110 bytes.
const small = "/v1/ip/8.8.8.8?fields=ip,network,location.country_code,asn.number,asn.name,security.is_hosting"

func fastRequest(method, target, body string) *fasthttp.RequestCtx {
	c := new(fasthttp.RequestCtx)
	raw := method + " " + target + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\r\n"
	if err := c.Request.Header.Read(bufio.NewReader(strings.NewReader(raw))); err != nil {
		panic(err) // it is our own
	}
	c.Request.SetBodyString(body)
	return c
}

func hundred() string {
	return "[" + strings.Repeat(`"8.8.8.8",`, 99) + `"8.8.8.8"]`
}

// The fast shell allocates nothing of its own.
func TestFastAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	a := readyAPI(t)
	for _, tt := range []struct {
		name, method, target, body string
	}{
		{"one address, fields", "GET", small, ""},
		{"one address, everything", "GET", "/v1/ip/8.8.8.8", ""},
		{"a hundred in bulk", "POST", "/v1/ip?fields=ip,location.country_code,asn.number", hundred()},
		{"health", "GET", "/healthz", ""},
	} {
		c := fastRequest(tt.method, tt.target, tt.body)
		run := func() {
			c.Response.Reset()
			a.serveFast(c)
		}
		run()
		if c.Response.StatusCode() != 200 {
			t.Errorf("%s: %d %s", tt.name, c.Response.StatusCode(), c.Response.Body())
		}
		// A collection may empty the pool in between: less than one is none.
		if n := testing.AllocsPerRun(500, run); n >= 1 {
			t.Errorf("%s: %v allocations", tt.name, n)
		}
	}
}

func BenchmarkFastHandler(b *testing.B) {
	a := readyAPI(b)
	for _, bb := range []struct{ name, method, target, body string }{
		{"fields", "GET", small, ""},
		{"everything", "GET", "/v1/ip/8.8.8.8", ""},
		{"bulk100", "POST", "/v1/ip?fields=ip,location.country_code,asn.number", hundred()},
	} {
		b.Run(bb.name, func(b *testing.B) {
			c := fastRequest(bb.method, bb.target, bb.body)
			b.ReportAllocs()
			for b.Loop() {
				c.Response.Reset()
				a.serveFast(c)
			}
		})
	}
}

func BenchmarkHandler(b *testing.B) {
	a := readyAPI(b)
	for _, bb := range []struct{ name, target string }{{"fields", small}, {"everything", "/v1/ip/8.8.8.8"}} {
		b.Run(bb.name, func(b *testing.B) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RequestURI = bb.target
			w := &sink{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				a.serveHTTP(w, r)
			}
		})
	}
}

// sink is a ResponseWriter that keeps nothing.
type sink struct{ header http.Header }

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(int)             {}
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkConnection asks over loopback TCP, one request at a time: most of it
// is the kernel's.
func BenchmarkConnection(b *testing.B) {
	s, _ := serve(b, ServerConfig{API: readyAPI(b), FastListen: "127.0.0.1:0"})
	for _, bb := range []struct {
		name string
		addr net.Addr
	}{{"http", s.Addr()}, {"fast", s.FastAddr()}} {
		b.Run(bb.name, func(b *testing.B) {
			c, err := net.Dial("tcp", bb.addr.String())
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			raw := []byte("GET " + small + " HTTP/1.1\r\nHost: x\r\n\r\n")
			buf := make([]byte, 4096)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Write(raw); err != nil {
					b.Fatal(err)
				}
				if _, err := c.Read(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
