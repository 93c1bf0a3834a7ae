package gate_test

import (
	"context"
	"testing"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/policy"
)

// Who is over a limit gets the limit's own response, or else that of throttle.
func TestResponseOverALimit(t *testing.T) {
	own, other := perMinute("own", 1), perMinute("other", 2)
	own.Response = "slow down"
	own.When = policy.Expr{Op: policy.OpEqual, Type: policy.Bool, Args: []policy.Expr{
		{Op: policy.OpPath, Type: policy.String}, {Op: policy.OpConst, Type: policy.String, Text: "/own"},
	}}
	g := newGate(t, policy.Config{
		Limits:    []policy.Limit{own, other},
		Responses: []policy.Response{{Name: "slow down", Detail: "Read the terms."}, {Name: "throttle", Detail: "Wait a minute."}},
	}, nil)
	var d gate.Decision
	for _, c := range []struct{ path, response string }{{"/own", ""}, {"/own", "slow down"}, {"/", ""}, {"/", "throttle"}} {
		q := request("8.8.8.8")
		q.Path = c.path
		g.Decide(context.Background(), q, &d)
		got := ""
		if d.Response != nil {
			got = d.Response.Name
		}
		if got != c.response || (d.Verdict == ipwarden.Throttle) != (c.response != "") {
			t.Errorf("%s: %s with the response %q, want %q", c.path, d.Verdict, got, c.response)
		}
	}
}
