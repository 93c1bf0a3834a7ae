package traefik

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// dynamic is the part of Traefik's dynamic configuration that the file has.
type dynamic struct {
	HTTP struct {
		Routers map[string]struct {
			Rule, Service string
			Middlewares   []string
		}
		Services map[string]struct {
			LoadBalancer struct {
				Servers []struct{ URL string }
			} `yaml:"loadBalancer"`
		}
		Middlewares map[string]struct {
			ForwardAuth *struct {
				Address                  string
				TrustForwardHeader       bool   `yaml:"trustForwardHeader"`
				AuthResponseHeadersRegex string `yaml:"authResponseHeadersRegex"`
			} `yaml:"forwardAuth"`
			Headers *struct {
				CustomRequestHeaders map[string]string `yaml:"customRequestHeaders"`
			}
		}
	}
}

func settings(t *testing.T) *dynamic {
	t.Helper()
	text, err := os.ReadFile("dynamic.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d := &dynamic{}
	if err := yaml.UnmarshalWithOptions(text, d, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	return d
}

// traefik does with requests what Traefik 3 does with the configuration's
// middlewares (pkg/middlewares/auth/forward.go, pkg/middlewares/headers), but
// for one thing: it believes the X-Forwarded-For of the test.
func traefik(t *testing.T, d *dynamic, gate, app string) http.Handler {
	t.Helper()
	forward := d.HTTP.Middlewares["ipwarden"].ForwardAuth
	address := strings.Replace(forward.Address, "127.0.0.1:8081", gate, 1)
	if address == forward.Address {
		t.Fatalf("the gate is at %s", forward.Address)
	}
	enriched := regexp.MustCompile(forward.AuthResponseHeadersRegex)
	upstream := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: app})
	client := &http.Client{
		Timeout:       30 * time.Second, // Traefik's own, and not to be changed
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client0 := r.Header.Get("X-Forwarded-For")
		for name := range d.HTTP.Middlewares["ipwarden-forged"].Headers.CustomRequestHeaders {
			r.Header.Del(name)
		}
		ask, err := http.NewRequestWithContext(r.Context(), http.MethodGet, address, nil)
		if err != nil {
			t.Error(err)
			return
		}
		ask.Header = r.Header.Clone()
		for name, value := range map[string]string{
			"X-Forwarded-For": client0, "X-Forwarded-Method": r.Method, "X-Forwarded-Proto": "http",
			"X-Forwarded-Host": r.Host, "X-Forwarded-Uri": r.URL.RequestURI(),
		} {
			ask.Header.Set(name, value)
		}
		answer, err := client.Do(ask)
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		defer answer.Body.Close()
		if answer.StatusCode < 200 || answer.StatusCode > 299 {
			for name, values := range answer.Header {
				w.Header()[name] = values
			}
			if to, err := answer.Location(); err == nil { // relative to the gate
				w.Header().Set("Location", to.String())
			}
			w.WriteHeader(answer.StatusCode)
			_, _ = io.Copy(w, answer.Body) // the client went away
			return
		}
		for name := range r.Header {
			if enriched.MatchString(name) {
				r.Header.Del(name)
			}
		}
		for name, values := range answer.Header {
			if enriched.MatchString(name) {
				r.Header[name] = values
			}
		}
		// What Traefik says of the client itself.
		r.Header["X-Forwarded-For"] = nil
		r.Header.Set("X-Real-Ip", "127.0.0.1")
		upstream.ServeHTTP(w, r)
	})
}

func TestConfiguration(t *testing.T) {
	d := settings(t)
	router := d.HTTP.Routers["app"]
	if strings.Join(router.Middlewares, " ") != "ipwarden-forged ipwarden" {
		t.Errorf("the order is %q", router.Middlewares)
	}
	if page := d.HTTP.Routers["ipwarden-pages"]; page.Middlewares != nil || page.Rule != "PathPrefix(`/.ipwarden/`)" {
		t.Errorf("who is challenged does not reach the challenge: %+v", page)
	}
	for _, name := range router.Middlewares {
		if _, ok := d.HTTP.Middlewares[name]; !ok {
			t.Errorf("there is no middleware %s", name)
		}
	}
	if d.HTTP.Middlewares["ipwarden"].ForwardAuth.TrustForwardHeader {
		t.Error("the client chooses its address")
	}
	for name, value := range d.HTTP.Middlewares["ipwarden-forged"].Headers.CustomRequestHeaders {
		if value != "" {
			t.Errorf("%s is set, not removed", name)
		}
	}
}

func start(t *testing.T) (string, *proxytest.App, *proxytest.Gate) {
	t.Helper()
	app, gate := proxytest.NewApp(t), proxytest.NewGate(t)
	s := httptest.NewServer(traefik(t, settings(t), gate.HTTP(), app.Addr))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), app, gate
}

func TestContract(t *testing.T) {
	web, app, _ := start(t)
	r := proxytest.Send(t, web, "POST", "/some/where?a=1", "hello", "Host: Shop.example:8443", "X-Forwarded-For: 8.8.8.8",
		"X-Ipwarden-Verdict: block", "X-Ipwarden-Clearance: 1", "X-Forwarded-Uri: /block", "X-Forwarded-Prefix: /block", "X-Original-URI: /block")
	if r.Status != 200 || r.Seen == nil || r.Seen.Body != "hello" || r.Seen.Method != "POST" {
		t.Fatalf("%+v", r)
	}
	for name, want := range map[string]string{
		"X-Ipwarden-Verdict": "allow", "X-Ipwarden-Country": "US", "X-Ipwarden-Ip": "8.8.8.8", "X-Ipwarden-Clearance": "",
	} {
		if got := strings.Join(r.Seen.Header.Values(name), ", "); got != want {
			t.Errorf("the application sees %s: %q, want %q", name, got, want)
		}
	}
	p := &proxytest.Proxy{Addr: web, App: app, MaxLines: 200}
	if left := p.Forged(t, "/"); len(left) > 0 {
		t.Errorf("the application sees what the client said: %q", left)
	}
	before := app.Hits()
	for _, c := range []struct {
		path     string
		status   int
		location string
	}{
		{"/block", 403, ""},
		{"/a%5cb", 400, ""},
		// A relative one would lead to the gate.
		{"/challenge", 302, "http://shop.example:8443/.ipwarden/challenge?to=%2Fchallenge"},
		{"/moved", 302, "http://shop.example:8443/elsewhere"},
	} {
		r := proxytest.Get(t, web, c.path, "Host: shop.example:8443", "X-Forwarded-For: 8.8.8.8")
		if r.Status != c.status || r.Header.Get("Location") != c.location {
			t.Errorf("%s: %d %v, want %d %s", c.path, r.Status, r.Header, c.status, c.location)
		}
	}
	if app.Hits() != before {
		t.Error("the application was asked")
	}
	for i, want := range []int{200, 200, 429} {
		if r := proxytest.Get(t, web, "/limited", "X-Forwarded-For: 81.2.69.142"); r.Status != want || (r.Header.Get("Retry-After") != "") != (want == 429) {
			t.Errorf("request %d: %d %v", i+1, r.Status, r.Header)
		}
	}
}

// Traefik has no fail-open: without the gate, nothing passes.
func TestGateKilled(t *testing.T) {
	web, _, gate := start(t)
	gate.Kill()
	if r := proxytest.Get(t, web, "/", "X-Forwarded-For: 8.8.8.8"); r.Status != 500 || r.Seen != nil {
		t.Errorf("%+v", r)
	}
	gate.Start()
	if r := proxytest.Get(t, web, "/", "X-Forwarded-For: 8.8.8.8"); r.Status != 200 {
		t.Errorf("%+v", r)
	}
}
