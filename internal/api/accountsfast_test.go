package api

import (
	"net/http/httptest"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// Where accounts are on, the two shells answer alike too, but for what is left.
func TestKeyedListenersAnswerAlike(t *testing.T) {
	a, shop := withAccounts(t)
	srv, _ := serve(t, ServerConfig{API: a, FastListen: "127.0.0.1:0"})
	keys, left := shop.replacer(), regexp.MustCompile(`;r=\d+`)
	for _, raw := range []string{
		"GET /v1/ip/8.8.8.8 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $GOOD\r\n\r\n",
		"GET /v1/ip/8.8.8.8 HTTP/1.1\r\nHost: x\r\nauthorization: bEARER   $GOOD\r\n\r\n",
		"GET /v1/ip/8.8.8.8 HTTP/1.1\r\nHost: x\r\nX-Api-Key: $GOOD\r\nAccept-Encoding: gzip\r\n\r\n",
		"GET /v1/ip/8.8.8.8?key=$GOOD HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /v1/ip/8.8.8.8?fields=ip&key=$GOOD&explain=1 HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /v1/ip/8.8.8.8?fields=ip HTTP/1.1\r\nHost: x\r\nX-Api-Key: $PAGE\r\nOrigin: https://shop.example\r\n\r\n",
		"GET /v1/ip/8.8.8.8?fields=ip HTTP/1.1\r\nHost: x\r\nX-Api-Key: $PAGE\r\nReferer: https://shop.example/a\r\n\r\n",
		"GET /v1/ip/8.8.8.8?fields=ip HTTP/1.1\r\nHost: x\r\nX-Api-Key: $PAGE\r\nOrigin: https://evil.test\r\n\r\n",
		"GET /v1/ip/8.8.8.8?fields=ip HTTP/1.1\r\nHost: x\r\nX-Api-Key: $PAGE\r\nOrigin:\r\n https://shop.example\r\n\r\n",
		"GET /v1/ip/8.8.8.8 HTTP/1.1\r\nHost: x\r\nX-Api-Key: $PLACE\r\n\r\n",
		"GET /v1/ip/8.8.8.8?fields=asn HTTP/1.1\r\nHost: x\r\nX-Api-Key: $PLACE\r\n\r\n",
		"GET /v1/ip/8.8.8.8 HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /v1/ip/8.8.8.8 HTTP/1.1\r\nHost: x\r\nX-Api-Key: $UNKNOWN\r\n\r\n",
		"GET /v1/ip/8.8.8.8 HTTP/1.1\r\nHost: x\r\nX-Api-Key: $REVOKED\r\n\r\n",
		"GET /v1/ip/8.8.8.8 HTTP/1.1\r\nHost: x\r\nX-Api-Key: $GOOD\r\nX-Api-Key: $GOOD\r\n\r\n",
		"GET /v1/ip/8.8.8.8 HTTP/1.1\r\nHost: x\r\nX-Api-Key: $MISTYPED\r\n\r\n",
		"GET /v1/ip/nonsense HTTP/1.1\r\nHost: x\r\nX-Api-Key: $GOOD\r\n\r\n",
		"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Api-Key: $UNKNOWN\r\n\r\n",
		"HEAD /v1/ip/8.8.8.8 HTTP/1.1\r\nHost: x\r\nX-Api-Key: $GOOD\r\n\r\n",
		"OPTIONS /v1/ip/8.8.8.8 HTTP/1.1\r\nHost: x\r\nOrigin: https://shop.example\r\n\r\n",
		"POST /v1/ip?fields=ip HTTP/1.1\r\nHost: x\r\nX-Api-Key: $GOOD\r\nContent-Length: 21\r\n\r\n[\"8.8.8.8\",\"1.1.1.1\"]",
		"POST /v1/ip?fields=ip HTTP/1.1\r\nHost: x\r\nX-Api-Key: $UNKNOWN\r\nContent-Length: 21\r\n\r\n[\"8.8.8.8\",\"1.1.1.1\"]",
		"GET /compat/ipinfo/8.8.8.8/country HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $GOOD\r\n\r\n",
		"GET /compat/ipinfo/8.8.8.8/country?token=$UNKNOWN HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		wire := keys.Replace(raw)
		var got [2]reply
		c, br := dial(t, srv.Addr())
		got[0] = ask(t, c, br, wire)
		c, br = dial(t, srv.FastAddr())
		got[1] = ask(t, c, br, wire)
		for i := range got {
			for j, l := range got[i].lines {
				got[i].lines[j] = left.ReplaceAllString(l, ";r=…")
			}
		}
		if got[0].line != got[1].line || !slices.Equal(got[0].lines, got[1].lines) || got[0].body != got[1].body {
			t.Errorf("%s\nnet/http: %s\n%s\n%s\nfast:     %s\n%s\n%s", raw, got[0].line, strings.Join(got[0].lines, "\n"), got[0].body,
				got[1].line, strings.Join(got[1].lines, "\n"), got[1].body)
		}
	}
}

// fastAsk answers a request that readHead knows, as the fast loop does.
func fastAsk(tb testing.TB, a *API, x *exchange, out, raw []byte, now time.Time) []byte {
	if _, found := x.readHead(raw); found != headWhole {
		tb.Fatalf("%q is nothing for the loop", raw)
	}
	x.begin(now)
	x.fast, x.ctx = true, background
	x.serve()
	out = x.appendAnswer(out, a.dateAt(now), false)
	x.reset()
	return out
}

func TestKeyedLoopAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	d := newReadyData() // which does not allocate
	a, shop := withAccounts(t, func(c *Config) { c.Data = func() Data { return d } })
	x := a.take(noon)
	defer a.give(x)
	out := make([]byte, 0, 8<<10)
	for name, most := range map[string]float64{"GOOD": 0, "PAGE": 0, "UNKNOWN": 0, "MISTYPED": 0, "REVOKED": 0, "TINY": 0} {
		raw := []byte("GET /v1/ip/8.8.8.8?fields=ip HTTP/1.1\r\nHost: x\r\nX-Api-Key: " + shop.keys[name] + "\r\nOrigin: https://shop.example\r\n\r\n")
		run := func() { out = fastAsk(t, a, x, out[:0], raw, noon) }
		for range 5 { // TINY is used up
			run()
		}
		if n := testing.AllocsPerRun(100, run); n > most {
			t.Errorf("%s: %v allocations, want %v at most: %s", name, n, most, out)
		}
	}
}

// TestFloodOfUnknownKeys: distinct keys that nobody has leave nothing behind, and
// what pays is answered beside them.
func TestFloodOfUnknownKeys(t *testing.T) {
	a, shop := withAccounts(t)
	flood := func(n int) {
		x := a.take(noon)
		defer a.give(x)
		var out []byte
		for range n {
			text := customer.NewKeyText(customer.Secret, customer.Live)
			out = fastAsk(t, a, x, out[:0], []byte("GET /v1/ip/8.8.8.8 HTTP/1.1\r\nHost: x\r\nX-Api-Key: "+text+"\r\n\r\n"), noon)
			if !strings.HasPrefix(string(out), "HTTP/1.1 401 ") {
				t.Errorf("a key that nobody has: %s", out)
				return
			}
		}
	}
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // what pools hold goes with the second
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	flood(100)
	before := heap()
	var floods sync.WaitGroup
	for range 2 {
		floods.Go(func() { flood(10_000) })
	}
	x := a.take(noon)
	paying := []byte("GET /v1/ip/8.8.8.8?fields=ip HTTP/1.1\r\nHost: x\r\nX-Api-Key: " + shop.keys["PLACE"] + "\r\n\r\n")
	var took []time.Duration
	var out []byte
	for range 5000 {
		start := time.Now()
		out = fastAsk(t, a, x, out[:0], paying, noon)
		took = append(took, time.Since(start))
		if !strings.HasPrefix(string(out), "HTTP/1.1 200 ") {
			t.Fatalf("a key that pays: %s", out)
		}
	}
	a.give(x)
	floods.Wait()
	slices.Sort(took)
	t.Logf("beside the flood, in the process: median %v, p99 %v", took[len(took)/2], took[len(took)*99/100])
	if grown := heap() - before; grown > 1<<20 {
		t.Errorf("20,000 unknown keys left %d bytes behind", grown)
	}
}

// Whatever carries a key, nothing panics, and the key is never said again.
func FuzzCarriers(f *testing.F) {
	f.Add("Bearer KEY", "", "fields=ip")
	f.Add("", "KEY", "key=KEY&fields=ip")
	f.Add("bearer  KEY ", "", "fields=ip&key=KEY")
	f.Add("Basic KEY", "a, KEY", "key=&key=KEY&key=%4")
	f.Add("Bearer", "\x00", "&&key=KEY&")
	f.Add("", "", "xkey=KEY&k%65y=KEY")
	a, shop := withAccounts(f)
	f.Fuzz(func(t *testing.T, authorization, header, query string) {
		key := shop.keys["PLACE"]
		with := strings.NewReplacer("KEY", key)
		r := httptest.NewRequest("GET", "/", nil)
		r.RequestURI = "/v1/ip/8.8.8.8?" + with.Replace(query)
		r.Header["Authorization"] = []string{with.Replace(authorization)}
		r.Header["X-Api-Key"] = []string{with.Replace(header)}
		w := httptest.NewRecorder()
		a.Handler().ServeHTTP(w, r)
		switch w.Code {
		case 200, 400, 401, 403, 406:
		default:
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if strings.Contains(authorization+header, "KEY") || strings.HasPrefix(query, "key=KEY") {
			if strings.Contains(w.Body.String(), key) {
				t.Fatalf("the answer has the key: %s", w.Body)
			}
		}
	})
}

func BenchmarkKeyed(b *testing.B) {
	d := newReadyData()
	ready := func(c *Config) { c.Data = func() Data { return d } }
	a, shop := withAccounts(b, ready)
	open := newAPI(b, ready)
	for _, bb := range []struct {
		name string
		api  *API
		line string
	}{
		{"open", open, ""},
		{"keyed", a, "X-Api-Key: " + shop.keys["FAST"] + "\r\n"},
		{"unknown", a, "X-Api-Key: " + shop.keys["UNKNOWN"] + "\r\n"},
		{"none", a, ""},
	} {
		b.Run(bb.name, func(b *testing.B) {
			raw := []byte("GET /v1/ip/8.8.8.8 HTTP/1.1\r\nHost: x\r\n" + bb.line + "\r\n")
			x := bb.api.take(noon)
			defer bb.api.give(x)
			out := make([]byte, 0, 8<<10)
			b.ReportAllocs()
			for b.Loop() {
				out = fastAsk(b, bb.api, x, out[:0], raw, noon)
			}
		})
	}
}
