package console_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/account/accountsql"
	"github.com/ipwarden/ipwarden/internal/account/people"
	"github.com/ipwarden/ipwarden/internal/console"
	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/mail"
	"github.com/ipwarden/ipwarden/internal/sqlite"
	"github.com/ipwarden/ipwarden/internal/usage"
)

const password = "correct horse battery staple"

// site is a console with its accounts, and a browser's cookies.
type site struct {
	*testing.T
	*account.Service
	handler http.Handler
	store   usage.MemoryStore
	cookies map[string]string
	set     []*http.Cookie // by the last answer
	now     time.Time

	mu      sync.Mutex
	letters []mail.Letter // guarded by mu
}

func newSite(t *testing.T, base string) *site {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "accounts.db"), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	s := &site{T: t, cookies: map[string]string{}, now: time.Date(2026, 11, 21, 9, 30, 0, 0, time.UTC)}
	clock := func() time.Time { return s.now }
	log := slog.New(slog.DiscardHandler)
	store := accountsql.New(db)
	hash := func(text string) (h customer.Hash) { copy(h[:], text[len(text)-16:]); return h }
	if s.Service, err = account.New(account.Config{Store: store, Now: clock, Hash: hash}); err != nil {
		t.Fatal(err)
	}
	if err := s.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	p, err := people.New(people.Config{Accounts: s.Service, Store: store, Secret: []byte(strings.Repeat("s", 32)), URL: base, Now: clock, Log: log, Send: func(_ context.Context, _ string, l mail.Letter) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.letters = append(s.letters, l)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.handler, err = console.New(console.Config{
		People: p, Accounts: s.Service, URL: base, Now: clock, Log: log, Rows: s.store.Rows,
		Callers: func(customer.AccountID) []usage.Frequent {
			return []usage.Frequent{{Client: netip.MustParsePrefix("192.0.2.7/32"), Answered: 4321}, {Client: netip.MustParsePrefix("2001:db8::/64"), Refused: 12}, {}}
		},
		Quota: func(customer.AccountID) usage.Quota {
			return usage.Quota{Day: usage.Use{Used: 1400, Limit: 1500, Reset: s.now.Add(time.Hour)}, Region: "eu-north"}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// do sends a request as a browser does, and keeps the cookies of the answer.
func (s *site) do(method, target string, form url.Values, header ...string) (int, string) {
	s.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, value := range s.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	s.set = w.Result().Cookies()
	for _, c := range s.set {
		if s.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(s.cookies, c.Name)
		}
	}
	if to := w.Header().Get("Location"); to != "" {
		return w.Code, to
	}
	body, _ := io.ReadAll(w.Body)
	return w.Code, string(body)
}

func (s *site) get(target string) (int, string) { s.Helper(); return s.do("GET", target, nil) }

func (s *site) post(target string, pairs ...string) (int, string) {
	s.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return s.do("POST", target, form)
}

// want fails unless an answer has a status and all the texts.
func (s *site) want(status int, texts ...string) func(int, string) {
	return func(got int, body string) {
		s.Helper()
		if got != status {
			s.Fatalf("status %d, want %d: %s", got, status, body)
		}
		for _, text := range texts {
			if !strings.Contains(body, text) {
				s.Errorf("there is no %q in\n%s", text, body)
			}
		}
	}
}

// link is where the last letter leads.
func (s *site) link() string {
	s.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.letters) == 0 {
		s.Fatal("there is no letter")
	}
	u, err := url.Parse(s.letters[len(s.letters)-1].Link.URL)
	if err != nil {
		s.Fatal(err)
	}
	return u.RequestURI()
}

// join makes an account, and is signed in.
func (s *site) join(email string) (key string) {
	s.Helper()
	s.want(200, "on its way")(s.post("/account/sign-up", "email", email))
	to := s.link()
	s.want(200, "Choose a password", email)(s.get(to))
	token := to[strings.Index(to, "token=")+len("token="):]
	code, body := s.post("/account/confirm", "token", token, "password", password)
	s.want(200, "shown this once")(code, body)
	return regexp.MustCompile(`ipw_sk_live_\w+`).FindString(body)
}

func TestCookies(t *testing.T) {
	for base, name := range map[string]string{"https://ip.example": "__Host-ipwarden-session", "http://127.0.0.1:8080": "ipwarden-session"} {
		s := newSite(t, base)
		s.join("ada@example.com")
		found := false
		for _, c := range s.set {
			if c.Name != name {
				continue
			}
			found = true
			if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || c.Secure != strings.HasPrefix(base, "https:") {
				t.Errorf("%s: the cookie is %s", base, c)
			}
		}
		if !found {
			t.Errorf("%s: there is no cookie %s: %v", base, name, s.set)
		}
	}
}

// A browser keeps its cookie as long as the server keeps the session, which is longer
// while it is used.
func TestCookieIsRenewed(t *testing.T) {
	s := newSite(t, "https://ip.example")
	s.join("ada@example.com")
	s.get("/account")
	if len(s.set) > 0 {
		t.Errorf("at once: %v", s.set)
	}
	s.now = s.now.Add(24 * time.Hour)
	s.get("/account")
	if len(s.set) != 1 || s.set[0].Name != "__Host-ipwarden-session" || !s.set[0].Expires.Equal(s.now.Add(people.SessionIdle)) || s.set[0].SameSite != http.SameSiteStrictMode {
		t.Errorf("after a day: %v", s.set)
	}
	s.now = s.now.Add(24 * time.Hour)
	s.want(303, "/account/sign-in?done=signed-out")(s.post("/account/sign-out"))
	if len(s.cookies) > 0 {
		t.Errorf("signing out leaves %v", s.cookies)
	}
}

// What another site sends is refused, and so is what is sent by who is not signed in.
func TestForgedForms(t *testing.T) {
	s := newSite(t, "https://ip.example")
	s.join("ada@example.com")
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}} {
		if code, body := s.do("POST", "https://ip.example/account/keys", url.Values{"kind": {"secret"}, "mode": {"live"}, "scope": {"lookup"}}, header...); code != 403 || !strings.Contains(body, "another site has sent this form") || !strings.Contains(body, "</html>") {
			t.Errorf("%v: status %d, %s", header, code, body)
		}
	}
	if code, _ := s.do("POST", "https://ip.example/account/keys", url.Values{"kind": {"secret"}, "mode": {"live"}, "scope": {"lookup"}}, "Sec-Fetch-Site", "same-origin"); code != 200 {
		t.Errorf("its own form: status %d", code)
	}
	// A proxy asks for a Host of its own, and the browser says only where it comes from.
	if code, _ := s.do("POST", "http://127.0.0.1:8080/account/keys", url.Values{"kind": {"secret"}, "mode": {"live"}, "scope": {"lookup"}}, "Origin", "https://ip.example"); code != 200 {
		t.Errorf("its own form through a proxy: status %d", code)
	}
	s.cookies = map[string]string{}
	for _, target := range []string{"", "/keys", "/usage", "/usage.csv", "/limits", "/security", "/log", "/data", "/export.json", "/keys/key_028t5cy4tqkff"} {
		if code, to := s.get("/account" + target); code != 303 || !strings.HasPrefix(to, "/account/sign-in") {
			t.Errorf("%s without a session: %d %s", target, code, to)
		}
	}
	for _, target := range []string{"/keys", "/limits", "/security/password", "/security/totp", "/security/others", "/delete", "/keys/key_028t5cy4tqkff/revoke"} {
		if code, to := s.post("/account" + target); code != 303 || to != "/account/sign-in" {
			t.Errorf("%s without a session: %d %s", target, code, to)
		}
	}
	// A link in a mail comes without the strict cookie: a page of the site goes on.
	code, body := s.do("GET", "/account/usage?span=7d", nil, "Sec-Fetch-Site", "cross-site")
	s.want(200, `content="0; url=/account/usage?span=7d"`)(code, body)
}

// After signing in one is where one wanted to be, and never at another site.
func TestNext(t *testing.T) {
	s := newSite(t, "https://ip.example")
	s.join("ada@example.com")
	for next, want := range map[string]string{
		"/keys": "/account/keys", "/usage?span=7d": "/account/usage?span=7d", "": "/account",
		"//evil.example": "/account", "https://evil.example": "/account", `/\evil.example`: "/account", "/../x": "/account/../x", "@evil.example": "/account", ".evil.example": "/account",
	} {
		s.cookies = map[string]string{}
		if code, to := s.post("/account/sign-in", "email", "ada@example.com", "password", password, "next", next); code != 303 || to != want && to != "/x" {
			t.Errorf("next %q: %d %s, want %s", next, code, to, want)
		}
	}
}

// Nobody sees or changes another one's keys.
func TestOthersKeys(t *testing.T) {
	s := newSite(t, "https://ip.example")
	s.join("ada@example.com")
	_, body := s.get("/account/keys")
	id := regexp.MustCompile(`/account/keys/(key_\w+)`).FindStringSubmatch(body)[1]
	s.want(200, id)(s.get("/account/keys/" + id))
	s.cookies = map[string]string{}
	s.join("eve@example.com")
	for _, target := range []string{"/account/keys/" + id, "/account/keys/key_028t5cy4tqkff", "/account/keys/x"} {
		s.want(404, "Not found")(s.get(target))
	}
	s.want(404)(s.post("/account/keys/"+id, "name", "mine"))
	s.want(404)(s.post("/account/keys/"+id+"/revoke", "a", "b"))
	s.want(404)(s.post("/account/keys/"+id+"/rotate", "overlap", "0"))
	if k, err := s.FindKey(t.Context(), id); err != nil || !k.Revoked.IsZero() || k.Name != "first" {
		t.Errorf("the key is %+v, %v", k, err)
	}
}

// What people type is text wherever it is shown.
func TestTextStaysText(t *testing.T) {
	s := newSite(t, "https://ip.example")
	s.join("ada@example.com")
	const attack = `<script>alert(1)</script>"onfocus=x`
	s.want(200)(s.post("/account/keys", "kind", "secret", "mode", "live", "scope", "lookup", "name", attack, "tags", attack))
	s.want(422, "is no address")(s.post("/account/keys", "kind", "secret", "mode", "live", "scope", "lookup", "networks", attack, "name", attack))
	for _, target := range []string{"", "/keys", "/security", "/log", "/usage?by=key", "/usage?span=" + url.QueryEscape(attack)} {
		code, body := s.do("GET", "/account"+target, nil, "User-Agent", attack)
		if code != 200 || strings.Contains(body, "<script") || strings.Contains(body, `"onfocus`) {
			t.Errorf("%s: %d %s", target, code, body)
		}
	}
	s.cookies = map[string]string{}
	_, body := s.post("/account/sign-in", "email", attack, "password", "x", "next", attack)
	if strings.Contains(body, "<script") {
		t.Errorf("%s", body)
	}
}

// All that is wrong with a form is said at once, where it is.
func TestKeyForm(t *testing.T) {
	s := newSite(t, "https://ip.example")
	s.join("ada@example.com")
	code, body := s.post("/account/keys", "kind", "secret", "mode", "live", "scope", "lookup", "networks", "10.0.0.1\nnowhere", "limits", "100/fortnight", "expires", "soon", "name", "kept")
	s.want(422, "&#34;nowhere&#34; is no address", "is no limit", "is no day", `value="kept"`, "10.0.0.1\nnowhere")(code, body)
	code, body = s.post("/account/keys", "kind", "publishable", "mode", "test", "scope", "lookup", "origins", "https://shop.example\r\nhttps://*.shop.example", "limits", "1,000/day\r\nburst = 5 / second",
		"networks", "2001:db8::/32\n192.0.2.1", "endpoints", "/v1/ip", "tags", "a, b", "expires", "2027-01-31")
	s.want(200, "ipw_pk_test_", "shown this once")(code, body)
	acc, err := s.Find(t.Context(), "ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.Keys(t.Context(), acc.ID)
	if err != nil || len(all) != 2 {
		t.Fatal(all, err)
	}
	k := all[0] // both are of one moment
	if k.Kind != customer.Publishable {
		k = all[1]
	}
	if len(k.Origins) != 2 || len(k.Limits) != 2 || k.Limits[0] != (customer.Limit{Name: "day", Per: customer.PerDay, N: 1000}) || k.Limits[1] != (customer.Limit{Name: "burst", Per: customer.PerSecond, N: 5}) ||
		len(k.Networks) != 2 || k.Networks[1].String() != "192.0.2.1/32" || len(k.Tags) != 2 || !k.Expires.Equal(time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("the key is %+v", k)
	}
	// The form of the key is what it has: saving it as it is changes nothing.
	before := k.Revision
	s.want(303)(s.post("/account/keys/"+k.ID.String(), "scope", "lookup", "origins", strings.Join(k.Origins, "\n"), "limits", "1000/day\nburst=5/second",
		"networks", "2001:db8::/32\n192.0.2.1/32", "endpoints", "/v1/ip", "tags", "a, b", "expires", "2027-01-31"))
	if k, err = s.FindKey(t.Context(), k.ID.String()); err != nil || k.Revision != before {
		t.Errorf("saving it has changed it: %+v, %v", k, err)
	}
	s.want(303)(s.post("/account/keys/"+k.ID.String(), "scope", "lookup", "origins", "https://shop.example"))
	if k, err = s.FindKey(t.Context(), k.ID.String()); err != nil || len(k.Origins) != 1 || len(k.Limits) != 0 || !k.Expires.IsZero() {
		t.Errorf("what was taken away is there: %+v, %v", k, err)
	}
}

func TestUsage(t *testing.T) {
	s := newSite(t, "https://ip.example")
	s.join("ada@example.com")
	acc, err := s.Find(t.Context(), "ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.Keys(t.Context(), acc.ID)
	if err != nil {
		t.Fatal(err)
	}
	hour := customer.HourOf(s.now)
	if err := s.store.Commit(t.Context(), []usage.Sum{
		{Row: usage.Row{Account: acc.ID, Key: all[0].ID, Hour: hour, Region: "eu-north"}, N: 1200},
		{Row: usage.Row{Account: acc.ID, Key: all[0].ID, Hour: hour - 24*3, Region: "us-east", Endpoint: customer.EndpointBulk}, N: 34567},
		{Row: usage.Row{Account: acc.ID, Key: all[0].ID, Hour: hour - 24*3, Region: "us-east", Class: customer.Limited}, N: 12},
		{Row: usage.Row{Account: acc.ID, Key: all[0].ID, Hour: hour - 24*200, Region: "us-east"}, N: 5},
		{Row: usage.Row{Account: acc.ID + 1, Key: all[0].ID + 1, Hour: hour, Region: "eu-north", Endpoint: customer.EndpointLookup, Class: 0}, N: 777777},
	}, nil, nil); err != nil {
		t.Fatal(err)
	}
	for target, texts := range map[string][]string{
		"/usage":                            {"<code>192.0.2.7</code>", "4,321", "2001:db8::/64", "35,767", "12", "<svg", "eu-north", "18 Nov: 34,567 look-ups"},
		"/usage?by=region":                  {"us-east", "34,567", "96 %", `class="s1"`},
		"/usage?by=endpoint":                {"bulk", "lookup"},
		"/usage?by=outcome&span=7d":         {"limited", "charged"},
		"/usage?by=key&span=12m":            {"first", "35,772", "May 2026"},
		"/usage?span=24h":                   {"1,200", "09:00"},
		"/usage?key=" + all[0].ID.String():  {"35,767"},
		"/usage?key=key_028t5cy4tqkff":      {"Nothing was counted"},
		"":                                  {"1,400", "of 1,500", "Today"},
		"/limits":                           {"100 left", "Free"},
		"/keys/" + all[0].ID.String():       {"34,567 look-ups"},
		"/usage.csv?span=7d&by=region":      {"day,region,charged,tested,rejected,limited,failed", "2026-11-18,us-east,34567,0,0,12,0"},
		"/usage.csv?span=12m&by=outcome":    {"month,charged", "2026-05,5,"},
		"/export.json":                      {`"email": "ada@example.com"`},
		"/usage?span=nonsense&by=alchemist": {"35,767"},
	} {
		code, body := s.get("/account" + target)
		if code != 200 || strings.Contains(body, "777") || strings.Contains(body, "ZgotmplZ") {
			t.Errorf("%s: %d %s", target, code, body)
		}
		for _, text := range texts {
			if !strings.Contains(body, text) {
				t.Errorf("%s: there is no %q", target, text)
			}
		}
	}
}

// Whether an address has an account, nobody learns at the pages.
func TestNoEnumeration(t *testing.T) {
	s := newSite(t, "https://ip.example")
	s.join("ada@example.com")
	s.cookies = map[string]string{}
	same := func(target string, pairs ...string) {
		t.Helper()
		a1, b1 := s.post(target, append([]string{"email", "ada@example.com"}, pairs...)...)
		a2, b2 := s.post(target, append([]string{"email", "eve@example.com"}, pairs...)...)
		if a1 != a2 || strings.ReplaceAll(b1, "ada@", "eve@") != b2 {
			t.Errorf("%s differs: %d %d\n%s\n%s", target, a1, a2, b1, b2)
		}
	}
	same("/account/sign-up")
	same("/account/forgot")
	same("/account/sign-in", "password", "wrong password")
}

// Pages have a policy that lets in nothing but their style sheet.
func TestSealed(t *testing.T) {
	s := newSite(t, "https://ip.example")
	for _, target := range []string{"/sign-up", "/sign-in", "/forgot", "/nothing", "/reset?token=x"} {
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, httptest.NewRequest("GET", "/account"+target, nil))
		h, body := w.Header(), w.Body.String()
		if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'; style-src 'self'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: the policy is %q", target, csp)
		}
		if h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %v", target, h)
		}
		for _, bad := range []string{"<script", "<style", " style=", " onclick=", "src=\"http"} {
			if strings.Contains(body, bad) {
				t.Errorf("%s has %s", target, bad)
			}
		}
		sheet := regexp.MustCompile(`/account/style\.\w+\.css`).FindString(body)
		if code, css := s.get(sheet); code != 200 || !strings.Contains(css, "--accent") {
			t.Errorf("the style sheet %q: %d", sheet, code)
		}
	}
}

func TestNew(t *testing.T) {
	_, err := console.New(console.Config{URL: "ip.example"})
	if err == nil || !strings.Contains(err.Error(), "People") || !strings.Contains(err.Error(), "URL") {
		t.Errorf("all mistakes at once: %v", err)
	}
}
