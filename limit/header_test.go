package limit

import (
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestHeaders(t *testing.T) {
	minute := &Rate{Name: "address", Limit: 50, Window: time.Minute}
	login := &Rate{Name: `log"in`, Limit: 3, Window: time.Hour, Algorithm: Sliding}
	burst := &Rate{Name: "naïve", Limit: 100, Window: 1500 * time.Millisecond, Burst: 7}
	short := &Rate{Name: "short", Limit: 5, Window: 100 * time.Millisecond}
	for name, c := range map[string]struct {
		reqs                     []Request
		results                  []Result
		policy, rateLimit        string
		retry, limit, left, back int64
		violated                 []string
	}{
		"allowed": {
			reqs:    []Request{{Rate: minute}, {Rate: login}, {Rate: short}},
			results: []Result{{Allowed: true, Limit: 50, Remaining: 25, Reset: 30 * time.Second}, {Allowed: true, Limit: 3, Remaining: 1, Reset: 5000 * time.Second}, {Allowed: true, Limit: 5, Remaining: 4, Reset: time.Millisecond}},
			policy:  `"address";q=50;w=60, "log\"in";q=3;w=3600, "short";q=5`, rateLimit: `"address";r=25;t=30, "log\"in";r=1;t=5000, "short";r=4;t=1`,
			limit: 3, left: 1, back: 5000,
		},
		"nearly full": { // 49 left in the 1.2 s until it is full would be a rate of 40 a second
			reqs: []Request{{Rate: minute}}, results: []Result{{Allowed: true, Limit: 50, Remaining: 49, Reset: 1200 * time.Millisecond}},
			policy: `"address";q=50;w=60`, rateLimit: `"address";r=49;t=59`, limit: 50, left: 49, back: 2,
		},
		"denied": {
			reqs:    []Request{{Rate: minute}, {Rate: login}, {Rate: burst}},
			results: []Result{{Allowed: true, Limit: 50, Remaining: 9, Reset: time.Minute}, {Limit: 3, RetryAfter: 20*time.Second + 1, Reset: time.Hour}, {Limit: 100, RetryAfter: 1}},
			policy:  `"address";q=50;w=60, "log\"in";q=3;w=3600, "na??ve";q=100;w=2;ipwarden-burst=7`, rateLimit: `"log\"in";r=0;t=21, "na??ve";r=0;t=1`,
			retry: 21, limit: 3, back: 21, violated: []string{`log"in`, "naïve"},
		},
		"one name": {
			reqs:    []Request{{Rate: minute}, {Rate: minute, Raise: 4}, {Rate: minute, Raise: 16}},
			results: []Result{{Allowed: true, Limit: 50, Remaining: 49}, {Limit: 200, RetryAfter: 3 * time.Second}, {Limit: 800, RetryAfter: time.Second}},
			policy:  `"address";q=200;w=60`, rateLimit: `"address";r=0;t=3`, retry: 3, limit: 200, back: 3, violated: []string{"address"},
		},
		"nothing": {},
	} {
		t.Run(name, func(t *testing.T) {
			if got := string(AppendPolicy(nil, c.reqs, c.results)); got != c.policy {
				t.Errorf("RateLimit-Policy: %s, want %s", got, c.policy)
			}
			if got := string(AppendRateLimit(nil, c.reqs, c.results)); got != c.rateLimit {
				t.Errorf("RateLimit: %s, want %s", got, c.rateLimit)
			}
			if got := RetryAfter(c.results); got != c.retry {
				t.Errorf("Retry-After: %d, want %d", got, c.retry)
			}
			if l, r, b := Legacy(c.results); int64(l) != c.limit || int64(r) != c.left || b != c.back {
				t.Errorf("X-RateLimit: %d %d %d", l, r, b)
			}
			if got := Violated(nil, c.reqs, c.results); !slices.Equal(got, c.violated) {
				t.Errorf("violated: %q", got)
			}
		})
	}
}

// A list of items, each a string with parameters that are integers (RFC 9651
// sections 3.1, 3.1.2, 3.3.1 and 3.3.3): a reader of its own.
var field = regexp.MustCompile(`^(?:"(?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"(?:;[a-z*][a-z0-9_.*-]*=[0-9]{1,15})*(?:, |$))+$`)

// Whatever a limiter answers, the fields are valid, r is not negative, and
// Retry-After is not earlier than any t.
func TestHeadersAreValid(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	c := newClock()
	m := memory(t, MemoryConfig{Now: c.Now})
	rates := []*Rate{
		{Name: "a", Limit: 7, Window: 90 * time.Second},
		{Name: `b"\`, Limit: 3, Window: time.Hour, Algorithm: Sliding},
		{Name: "c\x00\xff", Limit: 20, Window: 10 * time.Second, Algorithm: Fixed},
		{Name: "none", Window: time.Second},
		{Name: "d", Limit: 4e9, Window: 24 * time.Hour, Burst: 9},
	}
	ts := regexp.MustCompile(`;t=(\d+)`)
	for range 3000 {
		var reqs []Request
		for range 1 + random.IntN(4) {
			r := random.IntN(len(rates))
			if rates[r].Limit == 0 && random.IntN(4) > 0 {
				continue
			}
			reqs = append(reqs, Request{Rate: rates[r], Key: key(uint64(r)), Cost: uint32(random.IntN(5)), Raise: uint16(random.IntN(3))})
		}
		if len(reqs) == 0 {
			continue
		}
		results := take(t, m, reqs...)
		policy, left := string(AppendPolicy(nil, reqs, results)), string(AppendRateLimit(nil, reqs, results))
		for _, v := range []string{policy, left} {
			if !field.MatchString(v) || strings.HasSuffix(v, ", ") {
				t.Fatalf("not a list of strings with integer parameters: %s", v)
			}
		}
		if Allowed(results) {
			continue
		}
		for _, m := range ts.FindAllStringSubmatch(left, -1) {
			if n, err := strconv.ParseInt(m[1], 10, 64); err != nil || n > RetryAfter(results) {
				t.Fatalf("%s, and Retry-After %d", left, RetryAfter(results))
			}
		}
		c.add(time.Duration(random.Int64N(int64(20 * time.Second))))
	}
}

func TestNetworks(t *testing.T) {
	for in, want := range map[string]string{
		"203.0.113.66":             "203.0.113.66/32",
		"::ffff:203.0.113.66":      "203.0.113.66/32",
		"2001:db8:1:2ff:3:4:5:6":   "2001:db8:1:2ff::/64 2001:db8:1:200::/56 2001:db8:1::/48",
		"2001:db8:1:2ff::1%eth0":   "2001:db8:1:2ff::/64 2001:db8:1:200::/56 2001:db8:1::/48",
		"::":                       "::/64 ::/56 ::/48",
		"2001:db8:1:2ff:ffff::%lo": "2001:db8:1:2ff::/64 2001:db8:1:200::/56 2001:db8:1::/48",
	} {
		networks, n := Networks(netip.MustParseAddr(in))
		var got []string
		for _, p := range networks[:n] {
			got = append(got, p.String())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	if _, n := Networks(netip.Addr{}); n != 0 {
		t.Error("the zero address has networks")
	}
}

// One request from each of 65,536 networks of one /48 trips the limit of the
// /48; all addresses of one /64 are one key.
func TestSprayOfOneSite(t *testing.T) {
	m := memory(t, MemoryConfig{Entries: 4096, Now: newClock().Now})
	rate := &Rate{Name: "address", Limit: 50, Window: time.Minute}
	h := NewHasher([16]byte{1})
	salt := h.Salt(AppendPart(nil, "address"))
	ask := func(a netip.Addr) bool {
		return Allowed(take(t, m, Rollup{}.Append(nil, h, salt, a, rate, 1, 1)...))
	}
	addr := netip.MustParseAddr("2001:db8:1::1").As16()
	passed := 0
	for n := range 1 << 16 {
		addr[6], addr[7] = byte(n>>8), byte(n)
		if ask(netip.AddrFrom16(addr)) {
			passed++
		}
	}
	if passed != 16*50 {
		t.Errorf("%d of 65,536 networks of one /48 passed, want 16 times the limit of 50", passed)
	}
	if !ask(netip.MustParseAddr("2001:db8:2::1")) {
		t.Error("another /48 is held for it")
	}
	passed = 0
	addr = netip.MustParseAddr("2001:db8:3::").As16()
	for n := range 1000 {
		addr[14], addr[15] = byte(n>>8), byte(n)
		if ask(netip.AddrFrom16(addr)) {
			passed++
		}
	}
	if passed != 50 {
		t.Errorf("%d addresses of one /64 passed a limit of 50", passed)
	}
	var reqs [3]Request
	a := netip.AddrFrom16(addr)
	if n := testing.AllocsPerRun(100, func() { Rollup{}.Append(reqs[:0], h, salt, a, rate, 1, 0) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
