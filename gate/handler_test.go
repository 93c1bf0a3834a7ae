package gate_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/policy"
)

// Whoever got a header may keep it: what one request was told does not change with
// the next, however long it is.
func TestHeadersOutliveTheRequest(t *testing.T) {
	for _, limits := range []int{1, 8} {
		t.Run(fmt.Sprint(limits, " limits"), func(t *testing.T) {
			var cfg policy.Config
			for i := range limits {
				cfg.Limits = append(cfg.Limits, perMinute(fmt.Sprintf("%s %d", strings.Repeat("long name ", 6), i), 1000))
			}
			g := newGate(t, cfg, func(c *gate.Config) { c.OlderHeaders = true })
			var told, kept []http.Header // as they were, and as they are
			note := func(h http.Header) { told, kept = append(told, h.Clone()), append(kept, maps.Clone(h)) }
			copied := func(h http.Header) http.Header {
				for _, values := range h {
					for i := range values {
						values[i] = strings.Clone(values[i])
					}
				}
				return h
			}
			h := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if len(r.Header) < 8 || len(w.Header()) < 5 {
					t.Errorf("the application is told %v, the client %v", r.Header, w.Header())
				}
				note(r.Header)
				note(w.Header())
				for i := len(told) - 2; i < len(told); i++ {
					told[i] = copied(told[i])
				}
			}))
			for i := range 40 {
				r := httptest.NewRequest("GET", "/", nil)
				r.RemoteAddr = fmt.Sprintf("8.8.%d.%d:1234", i, 3*i)
				h.ServeHTTP(httptest.NewRecorder(), r)
			}
			for i := range told {
				if !maps.EqualFunc(told[i], kept[i], slices.Equal) {
					t.Fatalf("header %d was\n%v\nand is\n%v", i, told[i], kept[i])
				}
			}
		})
	}
}

// One value of a header is not the room of the next.
func TestHeadersDoNotTouch(t *testing.T) {
	g := newGate(t, policy.Config{Limits: []policy.Limit{perMinute("all", 1000)}}, nil)
	h := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		before := r.Header.Clone()
		for name := range before {
			r.Header.Add(name, "added")
		}
		for name, values := range before {
			if got := r.Header[name]; len(got) != 2 || got[0] != values[0] || got[1] != "added" {
				t.Errorf("%s was %q and is %q", name, values, got)
			}
		}
	}))
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "8.8.8.8:1234"
	h.ServeHTTP(httptest.NewRecorder(), r)
}

// The wrapper allocates its memory, the request with another context, and room for
// headers in the request and in the answer; under the race detector pools forget
// some, too. A request has headers of its own, of as many lines as came.
func TestHandlerAllocates(t *testing.T) {
	g := newGate(t, policy.Config{Limits: []policy.Limit{perMinute("all", 1<<30)}}, known)
	passed := false
	next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { passed = r.Header["Line-0"] != nil })
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "8.8.8.8:1234"
	for _, lines := range []int{1, 6, 8, 9, 12, 14, 15, 20} {
		each := func(h http.Handler) float64 {
			names := make([]string, lines)
			for i := range names {
				names[i] = fmt.Sprint("Line-", i)
			}
			value := []string{"value"}
			n := testing.AllocsPerRun(1000, func() {
				r.Header = make(http.Header, lines)
				for _, name := range names {
					r.Header[name] = value
				}
				h.ServeHTTP(discard{http.Header{}}, r)
			})
			if !passed || len(r.Header) < lines {
				t.Errorf("%d lines: the application gets %v", lines, r.Header)
			}
			return n
		}
		if n := each(g.Handler(next)) - each(next); n > 8 {
			t.Errorf("%d lines: %v allocations a request; at most 8", lines, n)
		}
	}
}

// Whether the header was changed or replaced: who passes the Request on sees what the
// application does, and nobody sees what was forged.
func TestHandlerForThoseOutside(t *testing.T) {
	g := newGate(t, policy.Config{Limits: []policy.Limit{perMinute("all", 1000)}}, nil)
	for _, lines := range []int{0, 6, 12, 30} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "8.8.8.8:1234"
		forged := []string{"X-Ipwarden-Verdict", "X-Ipwarden-Other", "X_real_ip", "True-Client-Ip"}
		for _, name := range forged {
			r.Header[name] = []string{"forged"}
		}
		for i := range lines {
			r.Header.Set(fmt.Sprint("Line-", i), "value")
		}
		came, inside := r.Header, http.Header(nil)
		g.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { inside = r.Header.Clone() })).ServeHTTP(discard{http.Header{}}, r)
		for _, name := range forged {
			if slices.Contains(came[name], "forged") {
				t.Errorf("%d lines: a copy of the request still says %s: forged", lines, name)
			}
		}
		if !maps.EqualFunc(r.Header, inside, slices.Equal) || r.Header.Get("X-Ipwarden-Verdict") != "allow" || r.Header.Get("X-Real-Ip") != "8.8.8.8" {
			t.Errorf("%d lines: the application gets\n%v\nand outside there is\n%v", lines, inside, r.Header)
		}
		for i := range lines {
			if name := fmt.Sprint("Line-", i); r.Header.Get(name) != "value" || came.Get(name) != "value" {
				t.Errorf("%s of %d is lost", name, lines)
			}
		}
	}
}

type discard struct{ header http.Header }

func (d discard) Header() http.Header       { return d.header }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

func TestRateLimitOnRefusals(t *testing.T) {
	g := newGate(t, policy.Config{Limits: []policy.Limit{perMinute("all", 1)}}, func(c *gate.Config) {
		c.RateLimitOnRefusals, c.OlderHeaders = true, true
	})
	var d gate.Decision
	for _, want := range []string{"", "Ratelimit Ratelimit-Policy Retry-After X-Ratelimit-Limit X-Ratelimit-Remaining X-Ratelimit-Reset"} {
		g.Decide(t.Context(), request("8.8.8.8"), &d)
		var got []string
		d.Reply(func(name, _ string) { got = append(got, name) })
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", d.Verdict, got, want)
		}
	}
}

// Who is throttled without a limit is told when to try again.
func TestThrottleWithoutALimit(t *testing.T) {
	g := newGate(t, policy.Config{Rules: []policy.Rule{{Name: "slow", Action: ipwarden.Throttle}}}, nil)
	w := httptest.NewRecorder()
	g.Handler(http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 429 || w.Header().Get("Retry-After") != "1" || w.Header().Get("RateLimit") != "" || !strings.Contains(w.Body.String(), `"retry_after":1`) {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}
