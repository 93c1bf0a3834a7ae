package spoa

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/door"
)

// headersOf is req.hdrs_bin of field lines.
func headersOf(lines ...string) []byte {
	var b []byte
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		b = appendString(appendString(b, name), value)
	}
	return append(b, 0, 0)
}

func message(b []byte, name string, args ...kv) []byte {
	b = append(appendString(b, name), byte(len(args)))
	return appendKV(b, args)
}

func notifyFrame(b []byte, stream, id uint64, payload []byte) []byte {
	b, at := beginFrame(b, frameNotify, stream, id)
	return endFrame(append(b, payload...), at)
}

// browser is the message of a usual request.
func browser(b []byte) []byte {
	return message(b, messageRequest,
		kv{"src", netip.MustParseAddr("192.0.2.1")}, kv{"method", "GET"}, kv{"path", "/login"}, kv{"query", "next=/account"},
		kv{"headers", headersOf("host: www.example.com", "user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
			"accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "accept-language: en-US,en;q=0.5",
			"accept-encoding: gzip, deflate, br", "cookie: session=0123456789abcdef0123456789abcdef", "x-forwarded-for: 203.0.113.66")},
		kv{"ssl", true})
}

func TestParse(t *testing.T) {
	var x exchange
	if err := x.parse(browser(nil)); err != nil {
		t.Fatal(err)
	}
	r := x.request
	if !x.asked || r.Peer != netip.MustParseAddr("192.0.2.1") || r.Method != "GET" || r.Scheme != "https" ||
		r.Host != "www.example.com" || r.Path != "/login" || r.Query != "next=/account" || x.lines.Len() != 7 {
		t.Errorf("%+v", r)
	}
	// What one frame said is gone with the next.
	if err := x.parse(message(nil, messageRequest, kv{"src", nil}, kv{"unheard-of", 17}, kv{"query", nil})); err != nil {
		t.Fatal(err)
	}
	r = x.request
	if r.Peer.IsValid() || r.Scheme != "http" || r.Host+r.Path+r.Query+r.Method != "" || x.lines.Len() != 0 || r.Header.Values("Cookie") != nil {
		t.Errorf("after the next frame: %+v", r)
	}
}

// A5: each field line is seen, in order.
func TestRepeatedLines(t *testing.T) {
	var x exchange
	err := x.parse(message(nil, messageRequest, kv{"headers", headersOf("x-forwarded-for: 198.51.100.20", "host: a", "x-forwarded-for: 203.0.113.66")}))
	if err != nil {
		t.Fatal(err)
	}
	if got := x.request.Header.Values("X-Forwarded-For"); !slices.Equal(got, []string{"198.51.100.20", "203.0.113.66"}) {
		t.Errorf("%q", got)
	}
}

func TestMessages(t *testing.T) {
	var x exchange
	b := message(nil, "somebody-elses", kv{"a", 1}, kv{"b", "x"})
	b = message(b, messageOutcome, kv{"decision", "d-1"}, kv{"status", 401})
	if err := x.parse(b); err != nil {
		t.Fatal(err)
	}
	if x.asked || !x.reported || x.decision != "d-1" || x.status != 401 {
		t.Errorf("%+v", x)
	}
	if err := x.parse(message(nil, messageOutcome, kv{"decision", nil}, kv{"status", 99})); err != nil || x.decision != "" || x.status != 0 {
		t.Errorf("%+v, %v", x, err)
	}
	whole := browser(b)
	for i := range whole {
		if i == len(b) || len(message(nil, "somebody-elses", kv{"a", 1}, kv{"b", "x"})) == i || i == 0 {
			continue // whole messages
		}
		if err := x.parse(whole[:i]); err == nil {
			t.Errorf("the first %d of %d bytes are taken", i, len(whole))
		}
	}
}

// variables reads an ACK as HAProxy does.
func variables(b []byte, limit int) (vars map[string]any, stream, id uint64, err error) {
	f, n, err := nextFrame(b, limit)
	if err != nil || n != len(b) || f.kind != frameAck || f.flags != flagFin {
		return nil, 0, 0, fmt.Errorf("no ACK: %+v, %d of %d bytes, %w", f, n, len(b), err)
	}
	vars = map[string]any{}
	for p := f.payload; len(p) > 0; {
		if len(p) < 3 || p[0] != actionSetVar || p[1] != setVarArguments || p[2] != scopeTransaction {
			return nil, 0, 0, fmt.Errorf("no set-var: % x", p)
		}
		var name []byte
		var d datum
		if name, p, err = argument(p[3:], &d); err != nil {
			return nil, 0, 0, err
		}
		for _, c := range name {
			if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789_", rune(c)) {
				return nil, 0, 0, fmt.Errorf("no name of a variable: %q", name)
			}
		}
		if n, ok := d.number(); ok {
			vars[string(name)] = int(n)
		} else {
			vars[string(name)] = string(d.raw)
		}
	}
	return vars, f.stream, f.id, nil
}

func TestAck(t *testing.T) {
	pairs := func(list ...string) (fields []door.Field) {
		for i := 0; i < len(list); i += 2 {
			fields = append(fields, door.Field{Name: list[i], Value: list[i+1]})
		}
		return fields
	}
	for _, c := range []struct {
		name   string
		answer door.Answer
		want   map[string]any
	}{
		{"allow", door.Answer{
			Verdict:  ipwarden.Allow,
			Upstream: pairs("X-Ipwarden-Verdict", "allow", "X-Ipwarden-Country", "SE", "X-Ipwarden-Asn", "64500", "X-Forwarded-For", "203.0.113.66"),
			Reply:    pairs("Ratelimit", `"ip";r=3;t=7`),
			Body:     []byte("unused"), Type: "text/plain",
		}, map[string]any{"verdict": "allow", "country": "SE", "asn": "64500", "x_forwarded_for": "203.0.113.66", "ratelimit": `"ip";r=3;t=7`}},
		{"allow, and send elsewhere", door.Answer{Verdict: ipwarden.Allow, Status: 302, Location: "/sv/"}, map[string]any{"verdict": "allow", "status": 302, "location": "/sv/"}},
		{"allow, with an unused location", door.Answer{Verdict: ipwarden.Allow, Location: "/sv/"}, map[string]any{"verdict": "allow"}},
		{"step up", door.Answer{Verdict: ipwarden.StepUp}, map[string]any{"verdict": "step_up"}},
		{
			"throttle",
			door.Answer{Verdict: ipwarden.Throttle, RetryAfter: 17, Type: "application/problem+json", Body: []byte("{}")},
			map[string]any{"verdict": "throttle", "status": 429, "retry_after": 17, "type": "application/problem+json", "body": "{}"},
		},
		{
			"challenge",
			door.Answer{Verdict: ipwarden.Challenge, Location: "/.ipwarden/challenge?to=%2F"},
			map[string]any{"verdict": "challenge", "status": 302, "location": "/.ipwarden/challenge?to=%2F"},
		},
		{"block", door.Answer{Verdict: ipwarden.Block, Status: 451}, map[string]any{"verdict": "block", "status": 451}},
		{"nothing decided", door.Answer{}, map[string]any{"verdict": "block", "status": 503}},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := exchange{asked: true, answer: c.answer}
			b, dropped := appendAck([]byte("before"), &frame{stream: 7, id: 300}, &x, 16380)
			got, stream, id, err := variables(b[len("before"):], 16380)
			if err != nil || stream != 7 || id != 300 || dropped != 0 || !maps.Equal(got, c.want) {
				t.Errorf("got %v of stream %d, frame %d, %d dropped, %v; want %v", got, stream, id, dropped, err, c.want)
			}
		})
	}
	b, _ := appendAck(nil, &frame{stream: 1, id: 1}, &exchange{answer: door.Answer{Verdict: ipwarden.Allow}}, 256)
	if got, _, _, err := variables(b, 256); err != nil || len(got) != 0 {
		t.Errorf("nothing was asked, and it said %v, %v", got, err)
	}
}

// An answer never breaks the size agreed; what matters is first in it.
func TestAckFits(t *testing.T) {
	answer := door.Answer{
		Verdict: ipwarden.Throttle, RetryAfter: 5, Location: strings.Repeat("l", 100),
		Upstream: []door.Field{{Name: "X-Ipwarden-Traits", Value: strings.Repeat("t", 300)}, {Name: "X-Ipwarden-Risk", Value: "80"}},
		Type:     "text/html", Body: bytes.Repeat([]byte("b"), 3000),
	}
	for limit := leastMax; limit < 4000; limit += 7 {
		x := exchange{asked: true, answer: answer}
		b, dropped := appendAck(nil, &frame{stream: 1 << 40, id: 1 << 40}, &x, limit)
		got, _, _, err := variables(b, limit)
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]bool{"verdict": true, "status": true, "retry_after": true, "location": true, "traits": true, "risk": true, "body": true}
		missing := 0
		for name := range all {
			if got[name] == nil {
				missing++
			}
		}
		if missing != dropped || got["verdict"] != "throttle" || got["status"] != 429 || got["retry_after"] != 5 {
			t.Fatalf("%d bytes: %d dropped, %d missing", limit, dropped, missing)
		}
		if (got["type"] == nil) != (got["body"] == nil) {
			t.Fatalf("%d bytes: a type without a body, or a body without a type", limit)
		}
	}
}

// exchange of one frame allocates nothing.
func TestExchangeDoesNotAllocate(t *testing.T) {
	if testing.CoverMode() != "" {
		t.Skip("coverage allocates")
	}
	wire := notifyFrame(nil, 5, 6, browser(nil))
	var x exchange
	var out []byte
	n := testing.AllocsPerRun(200, func() {
		f, _, err := nextFrame(wire, 16380)
		if err != nil || x.parse(f.payload) != nil {
			t.Fatal("no frame")
		}
		enrich(&x.answer)
		out, _ = appendAck(out[:0], &f, &x, 16380)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// enrich answers as a gate mostly does.
func enrich(a *door.Answer) {
	a.Verdict = ipwarden.Allow
	a.SetUpstream("X-Ipwarden-Verdict", "allow")
	a.SetUpstream("X-Ipwarden-Decision", "01J9ZK4V0T9W2Q4X7Y8Z0A1B2C")
	a.SetUpstream("X-Ipwarden-Country", "SE")
	a.SetUpstream("X-Ipwarden-Asn", "64500")
	a.SetUpstream("X-Ipwarden-Risk", "12")
	a.SetUpstream("X-Ipwarden-Traits", "hosting,anycast")
	a.SetUpstream("X-Forwarded-For", "203.0.113.66")
}
