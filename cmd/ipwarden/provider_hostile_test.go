package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/dataset"
	"github.com/ipwarden/ipwarden/internal/proxytest"
	"github.com/ipwarden/ipwarden/overlay"
	"github.com/ipwarden/ipwarden/provider"
)

// A bad vendor is one that does not answer, or not as it should.
type badVendor struct {
	name string
	// start returns the URL, and what else the provider's entry says.
	start func(t *testing.T, n *atomic.Int64) (url, more string)
	// What comes of it: the breaker opens, the quota's gate closes, or the answer is
	// taken, and says nothing.
	quota, taken bool
	lingers      bool // Go's resolver asks on for ten seconds, once for all who wait
}

// tcp accepts connections, counts them, and does with each what serve does. Both ends
// go with the test.
func tcp(serve func(net.Conn)) func(*testing.T, *atomic.Int64) (string, string) {
	return func(t *testing.T, n *atomic.Int64) (string, string) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex // guards open
		open := map[net.Conn]bool{}
		t.Cleanup(func() {
			l.Close()
			mu.Lock()
			defer mu.Unlock()
			for c := range open {
				c.Close()
			}
		})
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				n.Add(1)
				mu.Lock()
				open[c] = true
				mu.Unlock()
				go func() {
					serve(c)
					c.Close()
					mu.Lock()
					delete(open, c)
					mu.Unlock()
				}()
			}
		}()
		return "http://" + l.Addr().String(), ""
	}
}

// overTLS has the same behind https.
func overTLS(start func(*testing.T, *atomic.Int64) (string, string)) func(*testing.T, *atomic.Int64) (string, string) {
	return func(t *testing.T, n *atomic.Int64) (string, string) {
		url, more := start(t, n)
		return "https" + strings.TrimPrefix(url, "http"), more
	}
}

func web(h http.HandlerFunc) func(*testing.T, *atomic.Int64) (string, string) {
	return func(t *testing.T, n *atomic.Int64) (string, string) {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n.Add(1)
			h(w, r)
		}))
		s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
		return s.URL, ""
	}
}

// certified serves with a certificate that is not what it should be: for names that
// are not this one's, of a time that is over, or of an authority that nobody knows.
func certified(names []string, ends time.Time, known bool) func(*testing.T, *atomic.Int64) (string, string) {
	return func(t *testing.T, n *atomic.Int64) (string, string) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "vendor"}, NotBefore: ends.Add(-48 * time.Hour), NotAfter: ends,
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		}
		for _, name := range names {
			if ip := net.ParseIP(name); ip != nil {
				c.IPAddresses = append(c.IPAddresses, ip)
			} else {
				c.DNSNames = append(c.DNSNames, name)
			}
		}
		der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was asked all the same") }))
		s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
		s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				n.Add(1)
			}
		}
		s.StartTLS()
		t.Cleanup(s.Close)
		if !known {
			return s.URL, ""
		}
		ca := filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return s.URL, `, ca_file: "` + ca + `"`
	}
}

// drip sends text a byte at a time until the other end has gone, and then goes on
// with the last byte.
func drip(c net.Conn, text string) {
	for i := 0; ; i++ {
		if _, err := c.Write([]byte{text[min(i, len(text)-1)]}); err != nil {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func badVendors() []badVendor {
	silent := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
	asked := func(c net.Conn) { _, _ = http.ReadRequest(bufio.NewReader(c)) }
	sends := func(text string) func(*testing.T, *atomic.Int64) (string, string) {
		return tcp(func(c net.Conn) { asked(c); _, _ = io.WriteString(c, text); silent(c) })
	}
	says := func(status int, body string, header ...string) func(*testing.T, *atomic.Int64) (string, string) {
		return web(func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i+1 < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		})
	}
	endless := func(w http.ResponseWriter, r *http.Request) {
		for junk := bytes.Repeat([]byte(" "), 4096); r.Context().Err() == nil; {
			if _, err := w.Write(junk); err != nil {
				return
			}
		}
	}
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = z.Write(bytes.Repeat([]byte{' '}, 16<<20))
	z.Close()
	day := 24 * time.Hour
	all := []badVendor{
		{name: "silent", start: tcp(silent)},
		{name: "silent over TLS", start: overTLS(tcp(silent))},
		{name: "half open", start: func(t *testing.T, n *atomic.Int64) (string, string) { // the kernel shakes hands, nobody accepts
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			return "http://" + l.Addr().String(), ""
		}},
		{name: "TLS that stops in the middle", start: overTLS(tcp(func(c net.Conn) {
			_, _ = c.Read(make([]byte, 1024))
			_, _ = c.Write([]byte{0x16, 3, 3, 0, 200, 2}) // the beginning of a ServerHello
			silent(c)
		}))},
		{name: "TLS a byte at a time", start: overTLS(tcp(func(c net.Conn) {
			_, _ = c.Read(make([]byte, 1024))
			drip(c, "\x16\x03\x03\x3f\xff\x02\x00")
		}))},
		{name: "unknown authority", start: certified([]string{"127.0.0.1"}, time.Now().Add(day), false)},
		{name: "expired certificate", start: certified([]string{"127.0.0.1"}, time.Now().Add(-time.Hour), true)},
		{name: "certificate of another name", start: certified([]string{"other.example"}, time.Now().Add(day), true)},
		{name: "resets", start: tcp(func(c net.Conn) { asked(c); _ = c.(*net.TCPConn).SetLinger(0) })},
		{name: "slow header", start: tcp(func(c net.Conn) { asked(c); drip(c, "HTTP/1.1 200 OK\r\nX-A: a") })},
		{name: "half a header", start: sends("HTTP/1.1 200 OK\r\nContent-")},
		{name: "partial JSON, then silence", start: sends("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"country\":")},
		{name: "partial JSON", start: says(200, `{"country":"IS","vpn":`)},
		{name: "slow body without an end", start: tcp(func(c net.Conn) { asked(c); drip(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n ") })},
		{name: "fast body without an end", start: web(endless)},
		{name: "endless 500", start: web(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500); endless(w, r) })},
		{name: "huge body", start: says(200, `{"country":"`+strings.Repeat("a", 4<<20)+`"}`)},
		{name: "gzip bomb", start: says(200, bomb.String(), "Content-Encoding", "gzip")},
		{name: "HTML", start: says(200, "<html><title>Log in to the network</title></html>", "Content-Type", "text/html")},
		{name: "nothing", start: says(200, "")},
		{name: "no HTTP", start: tcp(func(c net.Conn) { asked(c); _, _ = io.WriteString(c, "SSH-2.0-OpenSSH_9.2\r\n") })},
		{name: "elsewhere", start: func(t *testing.T, n *atomic.Int64) (string, string) {
			other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				t.Error("the other host was asked")
				_, _ = io.WriteString(w, `{"country":"IS","vpn":true}`)
			}))
			t.Cleanup(other.Close)
			return web(func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, other.URL+r.URL.Path, http.StatusFound)
			})(t, n)
		}},
		{name: "round and round", start: web(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) })},
		{name: "wrong types", start: says(200, `{"country":["IS"],"vpn":"perhaps","network":7,"operator":{"a":[]}}`), taken: true},
		{name: "no DNS", start: func(t *testing.T, n *atomic.Int64) (string, string) {
			silentDNS(t, n)
			return "http://vendor.example:1", ""
		}, lingers: true},
	}
	for _, retry := range []string{"", "-5", "0", "soon", "99999999999999999999", "1e9", "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2999 07:28:00 GMT"} {
		all = append(all, badVendor{name: "429 and " + retry, start: says(429, `{"message":"slow down"}`, "Retry-After", retry), quota: true})
	}
	return all
}

// silentDNS lets names be looked up at a server that never answers.
func silentDNS(t *testing.T, n *atomic.Int64) {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	was := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		n.Add(1)
		var d net.Dialer
		return d.DialContext(ctx, "udp", server.LocalAddr().String())
	}}
	t.Cleanup(func() { net.DefaultResolver = was; server.Close() })
}

// someWorld is a dataset with an overlay that says where 52.0.0.0/8 is.
func someWorld(t *testing.T) *data {
	t.Helper()
	world := filepath.Join(t.TempDir(), "world.ipw")
	var errs bytes.Buffer
	e := &env{stdin: strings.NewReader(""), stdout: io.Discard, stderr: &errs, getenv: func(string) string { return "" }, now: time.Now}
	if status := run([]string{"data", "build", "--from", "testdata/feeds", "--catalogue", "testdata/catalogue.yaml", "-o", world}, e); status != exitOK {
		t.Fatalf("%d: %s", status, &errs)
	}
	ds, err := dataset.Open(world)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ds.Close() })
	d, err := newData(ds, []overlay.Entry{{
		Network: netip.MustParsePrefix("52.0.0.0/8"), Facts: []overlay.Fact{{Field: ipwarden.FieldCountryCode, Value: "SE"}}, Reason: "test", Owner: "test",
	}}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// startOutside asks a vendor, as "serve --providers" does.
func startOutside(t *testing.T, d *data, url, more string) *outside {
	t.Helper()
	return startOutsideWith(t, d, url, more, "")
}

func startOutsideWith(t *testing.T, d *data, url, more, cache string) *outside {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"map.yaml":       "name: vendor\nurl: http://127.0.0.1/{ip}\nlicence: terms\nnetwork: network\nfields: {location.country_code: country, security.is_vpn: vpn, security.vpn.name: operator}\n",
		"providers.yaml": "providers: [{name: vendor, kind: generic, map: \"" + filepath.Join(dir, "map.yaml") + "\", url: \"" + url + "/{ip}\"" + more + "}]\nintelligence: sync\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e := &env{getenv: func(string) string { return "" }, now: time.Now}
	o, err := (&providerFlags{Providers: filepath.Join(dir, "providers.yaml"), Cache: cache}).open(e, func() *data { return d }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// tooLong is far above what a question with a budget takes on the slowest machine,
// and far below what the providers below are given.
const (
	tooLong = 20 * time.Second
	short   = 20 * time.Millisecond
)

// timed asks, and fails when that takes longer than any budget explains.
func (o *outside) timed(t *testing.T, i int, how ipwarden.Intelligence, budget time.Duration) (rec ipwarden.Record, pending bool, err error) {
	t.Helper()
	start := time.Now()
	rec, pending, err = o.Ask(t.Context(), netip.AddrFrom4([4]byte{52, byte(i >> 8), byte(i), 1}), how, budget)
	if took := time.Since(start); took > tooLong {
		t.Errorf("question %d took %v", i, took)
	}
	if how != ipwarden.IntelligenceStrict && (err != nil || rec.CountryCode() != "SE" || rec.Traits().Has(ipwarden.VPN)) {
		t.Errorf("question %d: %s %v %v", i, rec.CountryCode(), rec.Traits().Names(), err)
	}
	return rec, pending, err
}

// However a provider does not answer, a question ends with its budget and is
// answered from the data; what is asked behind it is bounded; and the provider is
// left alone soon, so that nobody waits any more.
func TestHostileProviders(t *testing.T) {
	d := someWorld(t)
	for _, v := range badVendors() {
		t.Run(v.name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			var calls atomic.Int64
			url, more := v.start(t, &calls)
			budgets(t, d, url, more)
			o := startOutside(t, d, url, more+", timeout: 200ms, concurrency: 4, breaker: {least: 4, pause: 1h}")
			p := o.asks.Load().providers[0]
			var wg sync.WaitGroup
			for i := range 64 {
				wg.Go(func() { o.timed(t, i, ipwarden.IntelligenceSync, short) })
			}
			wg.Wait()
			// A spray of first questions: nobody waits, and what is on its way is bounded.
			most := 0
			for i := range 3000 {
				if _, _, err := o.timed(t, 1000+i, ipwarden.IntelligenceAsync, 0); err != nil {
					t.Fatal(err)
				}
				if i%100 == 0 {
					most = max(most, runtime.NumGoroutine()-before)
				}
			}
			if most > 1024+300 {
				t.Errorf("%d goroutines", most)
			}
			left := func() bool { return p.breaker.Open() }
			switch {
			case v.quota:
				left = func() bool { return !p.src.(*provider.Provider).Quota().Closed.IsZero() }
			case v.taken:
				left = func() bool { return p.cached.Stats().Asked > p.cached.Stats().Failed }
			}
			again, n := false, 5000
			proxytest.Eventually(t, "it is left alone", func() bool {
				if again { // on a slow machine those above may all have been too few, or too late
					o.timed(t, n, ipwarden.IntelligenceAsync, 0)
					n++
				}
				again = true
				return left()
			})
			proxytest.Eventually(t, "nothing is on its way", func() bool { return p.cached.Stats().Flights == 0 && p.timeout.Abandoned() == 0 })
			if !v.taken {
				was := calls.Load()
				for i := range 200 {
					if _, pending, _ := o.timed(t, 10_000+i, ipwarden.IntelligenceSync, tooLong/2); pending {
						t.Errorf("question %d is pending", i)
					}
				}
				if _, _, err := o.timed(t, 20_000, ipwarden.IntelligenceStrict, short); err == nil {
					t.Error("a strict question is answered")
				}
				// A connection that was begun for one who has gone, or the question that tries
				// whether the quota is there again.
				if n := calls.Load() - was; n > 8 {
					t.Errorf("it was asked %d times more", n)
				}
				if v.quota && was > 16 { // those that were on their way with the first
					t.Errorf("%d calls", was)
				}
			}
			if err := o.Close(); err != nil {
				t.Error(err)
			}
			// A server's side of a connection ends with it, a little later.
			slack := 12
			if v.lingers {
				slack = 50
			}
			proxytest.Eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before+slack })
		})
	}
}

// budgets asks the same of a provider that would be given half a minute: the budget of a
// question is ipwarden's own.
func budgets(t *testing.T, d *data, url, more string) {
	t.Helper()
	o := startOutside(t, d, url, more+", timeout: 30s, concurrency: 4, breaker: {least: 1000}")
	defer o.Close()
	for i := range 8 { // twice as many as may be on their way
		o.timed(t, i, ipwarden.IntelligenceSync, short)
	}
	o.timed(t, 100, ipwarden.IntelligenceStrict, short)
	if _, pending, _ := o.timed(t, 101, ipwarden.IntelligenceAsync, 0); !pending && o.asks.Load().layered.Stats().FailOpen == 0 && o.asks.Load().providers[0].cached.Stats().Asked == 0 {
		t.Error("nobody was asked")
	}
}

// A shared store that is away is told, and every question is answered all the same.
func TestSharedStoreAwayIsTold(t *testing.T) {
	d := someWorld(t)
	vendor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"country":"SE","vpn":false}`)
	}))
	t.Cleanup(vendor.Close)
	o := startOutsideWith(t, d, vendor.URL, "", "redis://"+proxytest.FreeAddr(t)+"/0")
	t.Cleanup(func() { o.Close() })
	if lines := o.impaired(); len(lines) != 0 {
		t.Errorf("before anything was asked: %q", lines)
	}
	n := 0
	proxytest.Eventually(t, "it is told", func() bool {
		o.timed(t, n, ipwarden.IntelligenceSync, tooLong/2)
		n++
		lines := o.impaired()
		return len(lines) == 1 && strings.HasPrefix(lines[0], "the shared store of answers is left alone")
	})
}
