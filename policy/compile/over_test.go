package compile

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/policy"
)

// Who pads a request gets past nothing: a rule that cannot be asked, because a
// text is too long for a pattern or for CEL's cost, applies when it is strict; a
// limit is taken; an allow is not given.
func TestPaddingIsNoWayOut(t *testing.T) {
	p := load(t, `
rules:
  - {name: friends, action: allow, when: '!request.headers["user-agent"].matches("sqlmap")', lift_limits: true}
  - {name: pattern, action: flag, when: 'request.headers["user-agent"].matches("sqlmap")'}
  - {name: cel, action: flag, when: 'request.headers["user-agent"].replace("SQL", "sql").contains("sqlmap")'}
  - {name: found, action: flag, when: 'request.headers["user-agent"].contains("sqlmap")'}
  - {name: joined, action: flag, when: 'request.headers["x-many"].lowerAscii().contains("sqlmap")'}
limits:
  - {name: tools, rate: 5/min, when: 'request.headers["user-agent"].matches("sqlmap")'}
`)
	flags := func(agent string, many []string) (names string) {
		in := &policy.Input{
			Client: netip.MustParseAddr("192.0.2.1"), Now: defaultTestTime,
			Request: &ipwarden.Request{Method: "GET", Path: "/", Header: http.Header{"User-Agent": {agent}, "X-Many": many}},
		}
		var d policy.Decision
		p.Program.Decide(in, &d)
		if d.Rule != nil && d.Rule.Action == ipwarden.Allow {
			return "allowed"
		}
		for _, r := range d.Flags {
			names += r.Name + " "
		}
		for _, u := range d.Uses {
			names += u.Limit.Name
		}
		return names
	}
	padding := strings.Repeat("A", 500_000)
	many := make([]string, 1000)
	for i := range many {
		many[i] = strings.Repeat("B", 500)
	}
	for _, c := range []struct {
		agent string
		many  []string
		want  string
	}{
		{"firefox", nil, "allowed"},
		{"sqlmap", nil, "pattern cel found tools"},
		{padding + "sqlmap", append(many, "SQLMAP"), "pattern cel found joined tools"},
		{padding, nil, "pattern cel tools"},
	} {
		if got := flags(c.agent, c.many); got != c.want {
			t.Errorf("an agent of %d bytes: got %q, want %q", len(c.agent), got, c.want)
		}
	}
}
