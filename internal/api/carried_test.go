package api

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/policy"
)

// What a proxy carries makes the answer that another door gives at once.
func TestCarriedRefusal(t *testing.T) {
	block := func(name string) policy.Config {
		return policy.Config{
			Rules: []policy.Rule{{Name: "all", Action: ipwarden.Block, Response: name}},
			Responses: []policy.Response{
				{Name: "a/ö %", Status: 451, Title: "Nej <b>", Detail: "höst \U0001d11e\n\"", HTML: "<h1>Nej</h1>"},
				{Name: "words", Status: 200, Title: "Hello"},
				{Name: "long", Detail: strings.Repeat("x", 3000)},
			},
		}
	}
	for _, c := range []struct {
		name   string
		status int
		brief  bool // its words do not fit
	}{{"", 403, false}, {"a/ö %", 451, false}, {"words", 200, false}, {"long", 403, true}} {
		g := ruled(t, block(c.name)).gate.Gate
		var d gate.Decision
		g.Decide(t.Context(), &ipwarden.Request{Peer: netip.MustParseAddr("8.8.8.8"), Method: "GET", Path: "/"}, &d)
		var carried ipwarden.Lines
		carried.Add(gate.HeaderStatus, map[int]string{403: "403", 451: "451", 200: "200"}[c.status])
		d.Carry(func(name, value string) {
			if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%q: %s is no header line: %q", c.name, name, value)
			}
			carried.Add(name, value)
		})
		back, ok := readRefusal(&carried, g)
		if !ok || back.status != c.status {
			t.Fatalf("%q: %+v", c.name, back)
		}
		if c.brief {
			want := `{"type":"https://ipwarden.dev/problems/blocked","title":"Forbidden","status":403,"decision_id":"` + d.ID.String() + `"}`
			if back.problem != want {
				t.Errorf("%q: %s, not %s", c.name, back.problem, want)
			}
			continue
		}
		for _, page := range []bool{true, false} {
			want, wantType := d.AppendRefusal(nil, page)
			got, gotType, own := back.append(nil, page)
			if gotType != wantType || own != (page && d.OwnPage()) {
				t.Errorf("%q: %s, %v", c.name, gotType, own)
			}
			if page && string(got) != string(want) {
				t.Errorf("%q: the page is\n%s\nwant\n%s", c.name, got, want)
			}
			if !page && !sameJSON(t, got, want) {
				t.Errorf("%q: the document is\n%s\nwant\n%s", c.name, got, want)
			}
		}
	}
}

func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y map[string]any
	if err := errors.Join(json.Unmarshal(a, &x), json.Unmarshal(b, &y)); err != nil {
		t.Fatal(err)
	}
	ja, _ := json.Marshal(x)
	jb, _ := json.Marshal(y)
	return string(ja) == string(jb)
}

func FuzzReadRefusal(f *testing.F) {
	f.Add("403", "", `{"title":"No","decision_id":"x"}`, "", true)
	f.Add("302", "/a", "", "sorry", false)
	f.Add("4e1", "//a", "[]", "%zz", true)
	g := ruled(f, policy.Config{}).gate.Gate
	f.Fuzz(func(t *testing.T, status, location, problem, response string, page bool) {
		var h ipwarden.Lines
		for name, value := range map[string]string{gate.HeaderStatus: status, gate.HeaderLocation: location, gate.HeaderProblem: problem, gate.HeaderResponse: response} {
			if value != "" {
				h.Add(name, value)
			}
		}
		r, ok := readRefusal(&h, g)
		if !ok {
			return
		}
		if r.status < 200 || r.status > 599 {
			t.Errorf("status %d", r.status)
		}
		body, mediaType, _ := r.append(nil, page)
		if mediaType == "application/problem+json" && !json.Valid(body) {
			t.Errorf("no JSON: %q", body)
		}
		if strings.HasPrefix(mediaType, "text/html") && strings.Contains(string(body), "<script") {
			t.Errorf("%q", body)
		}
	})
}
