package api

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/ipwarden/ipwarden/internal/api/dialect"
)

// dialectQuestions have one for each shape of answer that is asked often.
var dialectQuestions = []struct{ name, host, target string }{
	{"native", "x", "/v1/ip/8.8.8.8"},
	{"ipinfo", "ipinfo.io", "/8.8.8.8"},
	{"ipinfo-lite", "api.ipinfo.io", "/lite/8.8.8.8"},
	{"ipinfo-plus", "api.ipinfo.io", "/lookup/8.8.8.8"},
	{"ipdata", "api.ipdata.co", "/8.8.8.8?api-key=x"},
	{"ipasis", "api.ipasis.com", "/v1/8.8.8.8?key=x"},
	{"maxmind", "geoip.maxmind.com", "/geoip/v2.1/city/8.8.8.8"},
	{"maxmind-insights", "geoip.maxmind.com", "/geoip/v2.1/insights/8.8.8.8"},
	{"ip-api", "ip-api.com", "/json/8.8.8.8"},
	{"ipregistry", "api.ipregistry.co", "/8.8.8.8"},
	{"prefix", "x", "/compat/ipinfo/8.8.8.8"},
}

func readyDialects(t testing.TB) *API {
	set, err := dialect.New(dialect.Config{})
	if err != nil {
		t.Fatal(err)
	}
	d := newReadyData()
	return newAPI(t, func(c *Config) { c.Data = func() Data { return d }; c.Now, c.Scores, c.Dialects = nil, nil, set })
}

// A dialect's answer costs no more allocations than our own.
func TestDialectsAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	a := readyDialects(t)
	for _, q := range dialectQuestions {
		c := fastRequest("GET", q.target, "")
		c.Request.Header.SetHost(q.host)
		run := func() {
			c.Response.Reset()
			a.serveFast(c)
		}
		run()
		if c.Response.StatusCode() != 200 {
			t.Errorf("%s: %d %s", q.name, c.Response.StatusCode(), c.Response.Body())
		}
		// The header line is the transport's own; a collection may empty the pool.
		if n := testing.AllocsPerRun(500, run); n >= 1 {
			t.Errorf("%s: %v allocations", q.name, n)
		}
	}
}

func BenchmarkDialectHandler(b *testing.B) {
	a := readyDialects(b)
	for _, q := range dialectQuestions {
		b.Run(q.name, func(b *testing.B) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RequestURI, r.Host = q.target, q.host
			w := &sink{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				a.serveHTTP(w, r)
			}
		})
	}
}

// BenchmarkDialectConnection asks over loopback TCP, as BenchmarkConnection does.
func BenchmarkDialectConnection(b *testing.B) {
	s, _ := serve(b, ServerConfig{API: readyDialects(b), FastListen: "127.0.0.1:0"})
	for _, l := range []struct {
		name string
		addr net.Addr
	}{{"http", s.Addr()}, {"fast", s.FastAddr()}} {
		for _, q := range dialectQuestions {
			b.Run(l.name+"/"+q.name, func(b *testing.B) {
				c, err := net.Dial("tcp", l.addr.String())
				if err != nil {
					b.Fatal(err)
				}
				defer c.Close()
				raw := []byte("GET " + q.target + " HTTP/1.1\r\nHost: " + q.host + "\r\n\r\n")
				buf := make([]byte, 8192)
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
}

// BenchmarkFindDialect is what each request for our own routes pays.
func BenchmarkFindDialect(b *testing.B) {
	set, err := dialect.New(dialect.Config{})
	if err != nil {
		b.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1:8080", "ip.example.org", "ipinfo.io"} {
		b.Run(host, func(b *testing.B) {
			for b.Loop() {
				set.Find(host, "/v1/ip/8.8.8.8")
			}
		})
	}
}
