package edge_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/clientip"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/internal/edge"
	"github.com/ipwarden/ipwarden/internal/edge/decide"
	"github.com/ipwarden/ipwarden/internal/edge/edgetest"
	"github.com/ipwarden/ipwarden/limit"
)

const charged = `version: 1
lists:
  partners: {networks: [78.64.0.0/16], action: allow, limit: 40/min}
  friends: {asns: [15169], action: allow}
tiers:
  - {name: api, when: 'request.path.startsWith("/api/")', limits: {rate: 30/min, key: [ip, api_key]}}
  - {name: rest, limits: [60/min, {rate: 200/min, key: asn}]}
rules:
  - {name: free, when: 'request.path == "/free"', action: allow, lift_limits: true}
  - {name: slow, when: 'request.path == "/slow"', action: throttle, limit: 3/min}
  - {name: own, when: 'request.path == "/own"', limit: {rate: 4/min, key: [account.id]}}
  - {name: no, when: 'request.path == "/no"', action: throttle}
limits:
  - {name: log-in, when: 'request.path == "/login"', rate: 5/min, algorithm: sliding}
  - {name: by header, when: 'request.path == "/hdr"', rate: 4/30s, key: "header:X-Test", algorithm: fixed}
  - {name: by cookie, when: 'request.path == "/ck"', rate: 4/30s, key: [ip, "cookie:lang"], burst: 2}
  - {name: dear, rate: 100/min, cost: 'request.path == "/search" ? 20 : 1', rollup: {56: 2, 48: 3}}
  - {name: text, when: 'request.path == "/text"', rate: 6/min, key: request.host + request.method}
  - {name: land, when: 'request.path == "/land"', rate: 9/min, key: [country, asn], rollup: off}
  - {name: watched, rate: 1/min, mode: shadow}
responses:
  throttle: {status: 302, redirect: "/wait?{request.path}"}
`

// Limits are counted in the isolate as the gate counts them in its memory.
func TestChargedAsTheGate(t *testing.T) {
	ds := edgetest.World(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 7))
	p := edgetest.Read(t, "charged.yaml", charged)
	parts, err := edge.Compile(&edge.Config{Policy: p, Name: "charged.yaml", Dataset: ds})
	if err != nil {
		t.Fatal(err)
	}
	now := edgetest.Moment
	e, err := decide.New(decide.Config{Program: parts.Program, Dataset: parts.Dataset, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	client, err := clientip.New(clientip.Config{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Header: "Cf-Connecting-Ip"})
	if err != nil {
		t.Fatal(err)
	}
	clock := func() time.Time { return now }
	limiter, err := limit.NewMemory(limit.MemoryConfig{Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	g, err := gate.New(gate.Config{Source: ds, Program: p.Program, Risk: p.Risk, Client: client, Now: clock, Limiter: limiter, Remember: -1})
	if err != nil {
		t.Fatal(err)
	}
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	seen := map[string]int{}
	var d gate.Decision
	wrong := 0
	for range 30_000 {
		now = now.Add(time.Duration(r.IntN(120)) * time.Millisecond)
		q := edgetest.Question{
			Address: pick("78.64.1.1", "78.64.1.2", "81.2.69.142", "8.8.8.8", "1.1.1.1", "2001:2040:c000::1", "2001:2040:c000:1::1", "2001:2040:c000:100::1", "2a00:1450::1", "203.0.113.7", "10.0.0.1"),
			Method:  pick("GET", "POST"), Scheme: "https", Host: pick("a", "b"), Path: pick("/", "/login", "/api/x", "/free", "/slow", "/own", "/no", "/hdr", "/ck", "/search", "/text", "/land"), Headers: [][2]string{},
		}
		if r.IntN(2) == 0 {
			q.Headers = append(q.Headers, [2]string{"X-Test", pick("1", "2", strings.Repeat("x", 255)+"a", strings.Repeat("x", 256)+"a", strings.Repeat("x", 256)+"b")}, [2]string{"Cookie", pick("lang=sv", "lang=en", "x=y")})
		}
		if r.IntN(2) == 0 {
			q.Headers = append(q.Headers, [2]string{pick("X-Api-Key", "Authorization"), pick("Bearer k", "k", "bearer K")})
		}
		if r.IntN(2) == 0 {
			q.Account = map[string]string{"id": pick("ann", "ANN", "bob", " ann ", "")}
		}
		h := http.Header{"Cf-Connecting-Ip": {q.Address}}
		for _, l := range q.Headers {
			h.Add(l[0], l[1])
		}
		g.Decide(context.Background(), &ipwarden.Request{Peer: netip.MustParseAddr("127.0.0.1"), Header: h, Method: q.Method, Scheme: q.Scheme, Host: q.Host, Path: q.Path, Account: q.Account}, &d)
		want := fmt.Sprintf("%v %v %q %d %q", d.Verdict, d.Reason, d.By(), d.Status(), d.Location)
		v, err := edgetest.ReadVerdict(e.Decide(q.Append(nil, now, decide.RequestCharge, 0, 0)))
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf("%v %v %q %d %q", v.Verdict, v.Reason, v.By, v.Status, v.Location)
		seen[d.Verdict.String()+" "+d.By()]++
		if got != want {
			if wrong++; wrong <= 8 {
				t.Errorf("at %v %+v:\n got %s\nwant %s", now, q, got, want)
			}
		}
	}
	t.Log(seen)
	if wrong > 0 {
		t.Errorf("%d answers are others", wrong)
	}
}
