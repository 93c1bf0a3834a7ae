package proxytest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/door"
)

// Slow is how long the gate takes for the path /slow: longer than any
// configuration waits.
const Slow = 500 * time.Millisecond

// Decide is a gate that goes by the path: /block, /throttle, /challenge, /slow,
// and everything else passes. It tells the application what it saw, so that a
// test can compare: X-Ipwarden-Traits has the peer, the scheme and the host.
func Decide(ctx context.Context, r *ipwarden.Request, a *door.Answer) {
	path, _, _ := strings.Cut(strings.TrimPrefix(r.Path, "/"), "/")
	switch path {
	case "block":
		a.Verdict, a.Status = ipwarden.Block, 403
		a.Type, a.Body = "application/problem+json", append(a.Body, `{"title":"Blocked","status":403}`...)
	case "block-page":
		a.Verdict, a.Status = ipwarden.Block, 403
		a.Type, a.Body = "text/html; charset=utf-8", append(a.Body, `<h1>Blocked, "100%" sure: %[src]</h1>`...)
	case "throttle":
		a.Verdict, a.Status, a.RetryAfter = ipwarden.Throttle, 429, 17
		a.Type, a.Body = "application/problem+json", append(a.Body, `{"title":"Too many requests","status":429}`...)
	case "challenge":
		a.Verdict, a.Status, a.Location = ipwarden.Challenge, 302, "/.ipwarden/challenge?to=%2Fchallenge"
	case "closed":
		a.Verdict, a.Status = ipwarden.Block, 503
		a.Type, a.Body = "application/problem+json", append(a.Body, "{}"...)
	case "bodiless":
		a.Verdict = ipwarden.Block
	case "slow":
		wait := time.NewTimer(Slow)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-ctx.Done():
		}
		fallthrough
	default:
		a.Verdict = ipwarden.Allow
	}
	a.SetReply("Ratelimit-Policy", `"ip";q=50;w=60`)
	a.SetReply("Ratelimit", `"ip";r=49;t=1`)
	a.SetUpstream("X-Ipwarden-Verdict", a.Verdict.String())
	a.SetUpstream("X-Ipwarden-Decision", "d-"+strings.Clone(path))
	a.SetUpstream("X-Ipwarden-Country", "SE")
	a.SetUpstream("X-Ipwarden-Asn", "64500")
	a.SetUpstream("X-Ipwarden-Risk", "12")
	a.SetUpstream("X-Ipwarden-Traits", strings.Join([]string{
		r.Peer.String(), r.Scheme, r.Host, r.Method, r.Path, r.Query, fmt.Sprintf("%q", r.Header.Values("X-Forwarded-For")),
	}, " "))
	a.SetUpstream("X-Ipwarden-Ip", "203.0.113.66")
}
