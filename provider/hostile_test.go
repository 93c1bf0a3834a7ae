package provider

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/ipwardentest"
)

// patience is far above what a look-up that has a tenth of a second may take, and
// below what it would take without.
const patience = 8 * time.Second

// wantError looks an address up within a tenth of a second.
func wantError(t *testing.T, cfg Config, want Kind) {
	t.Helper()
	p := open(t, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if want != Timeout {
		ctx = t.Context()
	}
	begun := time.Now()
	_, err := p.Lookup(ctx, google)
	if took := time.Since(begun); want == Timeout && took > patience {
		t.Errorf("it took %v", took)
	}
	var e *Error
	if !errors.As(err, &e) || e.Kind != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if want == Timeout && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v is no deadline", err)
	}
}

// listen accepts connections and does with each what serve does.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return l.Addr().String()
}

// silent reads whatever comes and says nothing, until the other end goes.
func silent(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// asked reads the question: an answer before it is another mistake.
func asked(c net.Conn) { _, _ = http.ReadRequest(bufio.NewReader(c)) }

// hang waits until the client has gone.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func flush(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }

// However a vendor does not answer, a look-up ends with its context.
func TestTimeouts(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"no header": hang,
		"half an answer": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, `{"ip":`)
			flush(w)
			hang(w, r)
		},
		"endless spaces": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil { // slowly enough to stay below the cap
				_, _ = io.WriteString(w, " ")
				flush(w)
				select {
				case <-r.Context().Done():
				case <-time.After(5 * time.Millisecond):
				}
			}
		},
	} {
		for _, secure := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				s := newStandIn(t, secure, h)
				wantError(t, config(t, s, "ipinfo", "lite"), Timeout)
			})
		}
	}
	t.Run("silence", func(t *testing.T) {
		wantError(t, Config{Kind: "ipinfo", BaseURL: "http://" + listen(t, silent)}, Timeout)
	})
	t.Run("TLS stall", func(t *testing.T) {
		wantError(t, Config{Kind: "ipinfo", BaseURL: "https://" + listen(t, silent)}, Timeout)
	})
	t.Run("half of a header", func(t *testing.T) {
		wantError(t, Config{Kind: "ipinfo", BaseURL: "http://" + listen(t, func(c net.Conn) {
			asked(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-")
			silent(c)
		})}, Timeout)
	})
	t.Run("own timeout", func(t *testing.T) {
		p := open(t, Config{Kind: "ipinfo", BaseURL: "http://" + listen(t, silent), Timeout: 50 * time.Millisecond})
		begun := time.Now()
		_, err := p.Lookup(t.Context(), google)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > patience {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
	})
}

func TestHostileAnswers(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = io.WriteString(z, `{"ip":"`)
	_, _ = z.Write(bytes.Repeat([]byte{'a'}, 8<<20))
	z.Close()
	endless := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(bytes.Repeat([]byte(" "), 4096)); err != nil {
				return
			}
		}
	}
	for name, c := range map[string]struct {
		h    http.HandlerFunc
		want Kind
	}{
		"gzip bomb":    {says(200, bomb.String(), "Content-Encoding", "gzip"), TooLarge},
		"endless body": {endless, TooLarge},
		"large body":   {says(200, `{"a":"`+strings.Repeat("a", defaultMaxBytes)+`"}`), TooLarge},
		"no JSON":      {says(200, "<html>"), Junk},
		"cut JSON":     {says(200, `{"ip":"8.8.8.8","country_code":"US"`), Junk},
		"two values":   {says(200, `{} {}`), Junk},
		"deep JSON":    {says(200, strings.Repeat(`{"a":`, 20000)+"1"+strings.Repeat("}", 20000)), Junk},
		"deep array":   {says(200, strings.Repeat("[", 100000)), Junk},
		"array":        {says(200, `[{"country_code":"US"}]`), Junk},
		"string":       {says(200, `"US"`), Junk},
		"null":         {says(200, `null`), Junk},
		"empty":        {says(200, ``), Junk},
		"no gzip":      {says(200, `{}`, "Content-Encoding", "gzip"), Server},
		"huge headers": {says(200, `{}`, "X-A", strings.Repeat("a", 4*maxHeader)), Server},
		"short body": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "50")
			_, _ = io.WriteString(w, "{}")
		}, Server},
		"other redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.2:1/", http.StatusFound)
		}, Server},
		"http redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://"+r.Host+"/", http.StatusFound)
		}, Server},
		"many redirects": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/a"+r.URL.Path, http.StatusFound) }, Server},
		"endless 500":    {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500); endless(w, r) }, Server},
		"no protocol":    {func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }, Server},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStandIn(t, true, c.h)
			wantError(t, config(t, s, "ipinfo", "lite"), c.want)
			if n := s.calls.Load(); n > maxRedirects+1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
	t.Run("no HTTP", func(t *testing.T) {
		wantError(t, Config{Kind: "ipinfo", BaseURL: "http://" + listen(t, func(c net.Conn) {
			asked(c)
			_, _ = io.WriteString(c, "SSH-2.0-OpenSSH_9.2\r\n")
		})}, Server)
	})
	t.Run("unknown authority", func(t *testing.T) {
		s := newStandIn(t, true, says(200, "{}"))
		cfg := config(t, s, "ipinfo", "lite")
		cfg.RootCAs = nil
		wantError(t, cfg, Server)
		if s.calls.Load() != 0 {
			t.Error("asked all the same")
		}
	})
}

// A redirect on the same host is followed, with the key.
func TestSameHostRedirect(t *testing.T) {
	s := newStandIn(t, false, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/lite/8.8.8.8":
			http.Redirect(w, r, "/moved/8.8.8.8", http.StatusMovedPermanently)
		case r.Header.Get("Authorization") == "Bearer "+secret && r.Header.Get("Referer") == "":
			says(200, good(t, "ipinfo-lite"))(w, r)
		}
	})
	rec, err := open(t, config(t, s, "ipinfo", "lite")).Lookup(t.Context(), google)
	if err != nil || rec.CountryCode() != "US" {
		t.Errorf("%v, %v", rec.CountryCode(), err)
	}
}

// A member of another type than expected is passed over; the rest counts.
func TestWrongTypes(t *testing.T) {
	s := newStandIn(t, false, says(200, `{"country_code":["US"],"city":{"a":1},"latitude":"37.5","longitude":null,"asn":{"asn":true,"name":15169,"route":"nonsense","type":"warehouse"},
		"calling_code":"+1 (212)","region":"a\u0000b","postal":"`+strings.Repeat("9", 500)+`","languages":"en","currency":[],"time_zone":{"name":"../../etc/passwd"},
		"emoji_flag":"🇺🇸","carrier":"none","threat":{"is_vpn":"yes","is_tor":1,"is_proxy":"perhaps","is_known_abuser":null,"blocklists":[1,{},{"name":"L","site":[]}]}}`))
	rec, err := open(t, config(t, s, "ipdata", "")).Lookup(t.Context(), google)
	if err != nil {
		t.Fatal(err)
	}
	f := rec.Full()
	if l := f.Location; l.CountryCode != "" || l.City != "" || l.HasCoordinates || l.CallingCode != "" || l.Region != "" || l.Postal != "" || l.TimeZone.ID != "" || l.Flag != "🇺🇸" || len(l.Languages) != 1 {
		t.Errorf("%+v", l)
	}
	if f.ASN.Number != 0 || f.ASN.Name != "15169" || f.ASN.Route.IsValid() || f.ASN.Kind != "" || len(f.Security.Listings) != 1 {
		t.Errorf("%+v %+v", f.ASN, f.Security)
	}
	if got := strings.Join(f.Traits.Names(), " "); got != "vpn tor" {
		t.Errorf("traits are %s", got)
	}
}

// Connections are kept, so that the next question costs no handshake.
func TestKeepAlive(t *testing.T) {
	for _, secure := range []bool{false, true} {
		var mu sync.Mutex // guards peers
		peers := map[string]bool{}
		s := newStandIn(t, secure, func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			peers[r.RemoteAddr] = true
			mu.Unlock()
			says(200, good(t, "ipinfo-lite"))(w, r)
		})
		p := open(t, config(t, s, "ipinfo", "lite"))
		for range 10 {
			if _, err := p.Lookup(t.Context(), google); err != nil {
				t.Fatal(err)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if len(peers) != 1 {
			t.Errorf("10 questions took %d connections", len(peers))
		}
	}
}

// A Provider keeps the contract of a Source.
func TestSource(t *testing.T) {
	s := newStandIn(t, false, says(200, good(t, "ipinfo-lite")))
	ipwardentest.TestSource(t, open(t, config(t, s, "ipinfo", "lite")), google)
}

// Nothing goes to another host, though it would answer.
func TestOtherHostRedirect(t *testing.T) {
	other := newStandIn(t, false, says(200, good(t, "ipinfo-lite")))
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		s := newStandIn(t, false, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL+r.URL.Path, status) })
		wantError(t, config(t, s, "ipinfo", "lite"), Server)
	}
	if n := other.calls.Load(); n != 0 {
		t.Errorf("the other host was asked %d times", n)
	}
}
