package gate_test

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/policy"
)

// A door that sends requests on itself sends the path that was judged, and
// answers those that do not go on as the middleware does.
func TestUpstreamPath(t *testing.T) {
	g := newGate(t, policy.Config{}, nil)
	var d gate.Decision
	for _, c := range []struct {
		path, judged, sent string
		verdict            ipwarden.Verdict
	}{
		{"/a//%62/../c%20d", "/a/c d", "/a/c%20d", ipwarden.Allow},
		{"/a%2fb", "", "", ipwarden.Block},
	} {
		q := request("8.8.8.8")
		q.Path = c.path
		g.Decide(context.Background(), q, &d)
		if d.Verdict != c.verdict || d.UpstreamPath() != c.sent || c.judged != "" && d.Summary().Path != c.judged {
			t.Errorf("%s: %s, judged %q, sent %q", c.path, d.Verdict, d.Summary().Path, d.UpstreamPath())
		}
	}
	w := httptest.NewRecorder()
	d.Refuse(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 400 || w.Header().Get("Content-Type") != "application/problem+json" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("the refusal: %d %v %s", w.Code, w.Header(), w.Body)
	}
}
