package api

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden"
)

// A question that a trusted proxy has passed on is refused with what to do about it,
// and not with the advice to trust whom one trusts already.
func TestPassedOnQuestionsAreRefusedInWords(t *testing.T) {
	g := &gateRoutes{GateConfig: GateConfig{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}}
	through := new(ipwarden.Lines)
	through.Add("X-Forwarded-For", "203.0.113.66")
	asking := func(peer string, header ipwarden.Header) *exchange {
		x := new(exchange)
		x.header, x.local = header, peer == ""
		if peer != "" {
			x.peer = netip.MustParseAddr(peer)
		}
		return x
	}
	for name, x := range map[string]*exchange{"a Unix socket": asking("", through), "a named proxy": asking("127.0.0.1", through)} {
		if g.admits(x, "/v1/decide") {
			t.Errorf("%s: let in", name)
		}
		if !g.admits(x, "/gate/nginx") {
			t.Errorf("%s: the proxy itself may not ask", name)
		}
		if !g.trusts(x) || !strings.Contains(passedOn().detail, "X-Forwarded-For") {
			t.Errorf("%s: not told why", name)
		}
	}
	if stranger := asking("203.0.113.66", new(ipwarden.Lines)); g.admits(stranger, "/gate/nginx") || g.trusts(stranger) {
		t.Error("a stranger is let in")
	}
}
