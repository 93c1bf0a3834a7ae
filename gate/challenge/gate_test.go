package challenge_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/clientip"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/gate/challenge"
	"github.com/ipwarden/ipwarden/ipwardentest"
	"github.com/ipwarden/ipwarden/policy"
)

// The gate challenges everybody; who solves the page goes on to where it wanted,
// and only from its own network.
func TestThroughTheGate(t *testing.T) {
	c, err := challenge.New(challenge.Config{Kinds: []challenge.Choice{{Kind: challenge.ProofOfWork{Bits: 8, PerBit: -1}}}})
	if err != nil {
		t.Fatal(err)
	}
	program, err := policy.New(policy.Config{Rules: []policy.Rule{{
		Name: "all", When: policy.Expr{Op: policy.OpConst, Type: policy.Bool, Bool: true}, Action: ipwarden.Challenge,
	}}})
	if err != nil {
		t.Fatal(err)
	}
	x, err := clientip.New(clientip.Config{Header: "X-Forwarded-For", Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	if err != nil {
		t.Fatal(err)
	}
	g, err := gate.New(gate.Config{Source: ipwardentest.Sample(), Program: program, Client: x, Challenges: c})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(c.Handler(g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "welcome to ", r.URL)
	}))))
	defer s.Close()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	do := func(from, target string, form url.Values) (final *url.URL, body string, status int) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+target, nil)
		if form != nil {
			req, err = http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+target, strings.NewReader(form.Encode()))
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", from)
		req.Header.Set("Accept", "text/html")
		resp, err := browser.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.Request.URL, string(b), resp.StatusCode
	}
	at, _, status := do("8.8.8.8", "/shop?a=1&b=2", nil)
	if at.Path != c.Path() || status != http.StatusOK {
		t.Fatalf("sent to %s, %d", at, status)
	}
	q := at.Query()
	_, body, status := do("8.8.8.8", c.Path(), url.Values{"t": q["t"], "to": q["to"], "kind": {"proof_of_work"}, "n": {number(q.Get("t"))}})
	if status != http.StatusOK || body != "welcome to /shop?a=1&b=2" {
		t.Fatalf("%d %s", status, body)
	}
	if _, body, _ = do("8.8.8.9", "/more", nil); body != "welcome to /more" {
		t.Errorf("its network gets %.80s", body)
	}
	for _, elsewhere := range []string{"8.8.9.8", "2001:4860:4860::8888"} {
		if at, _, _ := do(elsewhere, "/more", nil); at.Path != c.Path() {
			t.Errorf("%s has got to %s", elsewhere, at)
		}
	}
	browser.Jar = nil
	if at, _, _ := do("8.8.8.8", "/more", nil); at.Path != c.Path() {
		t.Errorf("without the cookie it has got to %s", at)
	}
}

func number(ticket string) string {
	for n := 0; ; n++ {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s.%d", ticket, n))
		if binary.BigEndian.Uint32(sum[:])>>24 == 0 {
			return fmt.Sprint(n)
		}
	}
}
