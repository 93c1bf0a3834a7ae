package shield

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestSuggestions(t *testing.T) {
	now := noon
	w := NewWatch(func(a netip.Addr) (string, uint32) {
		b := a.As4()
		if b[1]%2 == 0 {
			return "SE", 64500 + uint32(b[1])%64
		}
		return string([]byte{'A', 'A' + b[1]%26}), uint32(b[1])
	}, func() time.Time { return now })
	for i := range 2000 { // distinct addresses and agents, half of them of one country
		w.Note(netip.AddrFrom4([4]byte{10, byte(i), byte(i >> 8), 1}), fmt.Sprintf("bot/%d\x1b[2J", i), "anonymous-over-quota")
	}
	s := w.Sight(nil)
	if s.Refused != 2000 || len(s.Countries) == 0 || s.Countries[0].Value != "SE" || s.Countries[0].Share < 0.45 || s.Countries[0].Share > 0.55 {
		t.Errorf("%+v", s)
	}
	var commands []string
	for _, g := range s.Suggestions {
		commands = append(commands, g.Command)
	}
	if got := strings.Join(commands, "; "); got != "ipwarden shield countries SE --action challenge; ipwarden shield require-keys" {
		t.Error(got)
	}
	if s := w.Sight([]Measure{{Kind: RequireKeys}, {Kind: Country, Value: "SE"}}); len(s.Suggestions) != 0 {
		t.Errorf("what is in force is suggested: %+v", s.Suggestions)
	}
	for range 2000 {
		w.Note(netip.MustParseAddr("10.9.9.9"), "curl/8", "unknown-key")
	}
	s = w.Sight(nil)
	if s.Suggestions[0].Command != "ipwarden ban 10.9.9.9 --for 1h" || s.Agents[0].Value != "curl/8" || s.Suggestions[1].Command != "ipwarden shield asns 9" {
		t.Errorf("%+v", s)
	}
	for _, c := range w.tops {
		if len(c.counts) > topSize {
			t.Errorf("%d are told apart", len(c.counts))
		}
	}
	for _, a := range s.Agents {
		if strings.ContainsRune(a.Value, 0x1b) {
			t.Errorf("%q", a.Value)
		}
	}
	now = now.Add(30 * time.Minute)
	if s := w.Sight(nil); s.Refused != 0 || len(s.Countries) != 0 || len(s.Suggestions) != 0 {
		t.Errorf("half an hour later: %+v", s)
	}
}

// Of a flood a part is looked at, and counts for the rest.
func TestFloodIsSampled(t *testing.T) {
	w := NewWatch(nil, func() time.Time { return noon })
	looked := 0
	for second := range 4 {
		for range 50_000 {
			if w.Wants(noon.Add(time.Duration(second) * time.Second)) {
				looked++
				w.Note(netip.MustParseAddr("192.0.2.1"), "", "x")
			}
		}
	}
	if looked > 30_000 {
		t.Errorf("looked at %d of 200000", looked)
	}
	if s := w.Sight(nil); s.Refused < 100_000 || s.Refused > 210_000 {
		t.Errorf("took %d for 200000", s.Refused)
	}
	if n := testing.AllocsPerRun(100, func() { w.Wants(noon) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	var none *Watch
	if none.Wants(noon) || none.Sight(nil).Refused != 0 {
		t.Error("the nil Watch")
	}
}

func TestPage(t *testing.T) {
	g := guard(t, Config{})
	w := NewWatch(nil, nil)
	for range 200 {
		w.Note(netip.MustParseAddr("192.0.2.1"), `<script>alert(1)</script>`, "anonymous-too-fast")
	}
	h, err := Page(g, w, "body{color:red}", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	do := func(method, path, form string, lines ...string) *httptest.ResponseRecorder {
		t.Helper()
		r := httptest.NewRequest(method, "http://127.0.0.1:9090"+path, strings.NewReader(form))
		if form != "" {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		for i := 0; i < len(lines); i += 2 {
			if r.Header.Set(lines[i], lines[i+1]); lines[i] == "Host" {
				r.Host = lines[i+1]
			}
		}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		return rec
	}
	page := do("GET", "/shield", "").Body.String()
	for _, want := range []string{"Nothing is refused beyond the usual", "ipwarden shield require-keys", "&lt;script&gt;", "Do it for an hour"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not on the page: %s", want, page)
		}
	}
	if strings.Contains(page, "<script") {
		t.Error("the page has a script")
	}
	if r := do("POST", "/shield/set", "kind=country&value=se&action=block&for=1h&reason=flood"); r.Code != http.StatusSeeOther || r.Header().Get("Location") != "/shield" {
		t.Errorf("%d %s", r.Code, r.Body)
	}
	if got := names(g.Active()); got != "country:SE/block" {
		t.Error(got)
	}
	for _, bad := range []string{"kind=country&value=Sweden&action=block", "kind=tea", "kind=asn&value=1&action=block&for=100000h", "kind=pow&bits=x", "kind=pow&bits=2&from=7000"} {
		if r := do("POST", "/shield/set", bad); r.Code != http.StatusBadRequest || !strings.Contains(r.Body.String(), `role="alert"`) {
			t.Errorf("%s: %d", bad, r.Code)
		}
	}
	// Another site cannot press the buttons.
	for _, lines := range [][]string{
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
		{"Origin", "http://evil.example"},
		{"Origin", "null"},
		{"Host", "evil.example:9090"},
		{"Host", "evil.example:9090", "Origin", "http://evil.example:9090", "Sec-Fetch-Site", "same-origin"},
	} {
		if r := do("POST", "/shield/undo", "x=1", lines...); r.Code < 400 || len(g.Active()) != 1 {
			t.Errorf("%v: %d", lines, r.Code)
		}
	}
	if r := do("POST", "/shield/end", "name="+url.QueryEscape("country:SE"), "Origin", "http://127.0.0.1:9090", "Sec-Fetch-Site", "same-origin"); r.Code != http.StatusSeeOther || len(g.Active()) != 0 {
		t.Errorf("%d", r.Code)
	}
	if r := do("POST", "/shield/undo", "x=1"); r.Code != http.StatusSeeOther || len(g.Active()) != 1 {
		t.Errorf("%d", r.Code)
	}
	if r := do("GET", "/shield/status.json", ""); !strings.Contains(r.Body.String(), `"active":[{"kind":"country","value":"SE"`) || !strings.Contains(r.Body.String(), `"command":"ipwarden shield require-keys"`) {
		t.Error(r.Body)
	}
	if r := do("POST", "/shield/set", "kind=pow&bits=2&from=&for="+strings.Repeat("1", 20<<10)); r.Code != http.StatusBadRequest {
		t.Errorf("a long form: %d", r.Code)
	}
	if r := do("GET", "/shield/nothing", ""); r.Code != http.StatusNotFound {
		t.Errorf("%d", r.Code)
	}
}
