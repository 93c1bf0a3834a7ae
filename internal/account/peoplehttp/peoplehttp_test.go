package peoplehttp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/account/accountsql"
	"github.com/ipwarden/ipwarden/internal/account/people"
	"github.com/ipwarden/ipwarden/internal/account/peoplehttp"
	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/mail"
	"github.com/ipwarden/ipwarden/internal/sqlite"
)

var secret = []byte(strings.Repeat("s", 32))

// world is a server.
type world struct {
	t       *testing.T
	now     time.Time // stands still: codes and limits are of one moment
	people  *people.People
	service *account.Service
	handler http.Handler

	mu      sync.Mutex
	letters []mail.Letter
	settled []int   // calls with keys
	waited  []int64 // for which revisions it was waited
}

const (
	email    = "ada@example.com"
	password = "three words are enough"
	origin   = "https://ip.example"
)

func newWorld(t *testing.T, source ipwarden.Source) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 11, 21, 12, 0, 10, 0, time.UTC)}
	clock := func() time.Time { return w.now }
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "accounts.db"), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	store := accountsql.New(db)
	w.service, err = account.New(account.Config{Store: store, Now: clock, Hash: func(text string) (h customer.Hash) { copy(h[:], text[len(text)-8:]); return h }})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.service.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.people, err = people.New(people.Config{
		Accounts: w.service, Store: store, Secret: secret, URL: origin, Now: clock, Log: slog.New(slog.DiscardHandler),
		Send: func(_ context.Context, _ string, l mail.Letter) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.letters = append(w.letters, l)
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	api, err := peoplehttp.New(peoplehttp.Config{People: w.people, Accounts: w.service, URL: origin, Now: clock, Log: slog.New(slog.DiscardHandler), InForce: func(_ context.Context, revision int64) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.waited = append(w.waited, revision)
	}, Key: w.keyOf})
	if err != nil {
		t.Fatal(err)
	}
	w.handler = api
	if source != nil {
		g, err := peoplehttp.NewGuard(peoplehttp.GuardConfig{Source: source, Secret: secret, Secure: true, Remembers: w.people.Remembers, Now: clock, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		mux := http.NewServeMux()
		mux.Handle(peoplehttp.ChallengePath, g.Challenge())
		mux.Handle("/", g.Handler(api))
		w.handler = mux
	}
	return w
}

// keyOf admits a key with the scope for keys.
func (w *world) keyOf(r *http.Request, text string) (peoplehttp.Admitted, error) {
	k, err := w.service.FindKey(r.Context(), text)
	if err != nil || !slices.Contains(k.Scopes, customer.ScopeKeys) {
		return peoplehttp.Admitted{}, &peoplehttp.Refused{Status: 403, Slug: "wrong-scope", Title: "T", Detail: "D", RetryAfter: "7"}
	}
	return peoplehttp.Admitted{Account: k.Account, Key: k.ID, Settle: func(status int) { w.settled = append(w.settled, status) }}, nil
}

var linkToken = regexp.MustCompile(`token=(ipw_mail_[a-z0-9]+)$`)

// token is of the last letter.
func (w *world) token() string {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.letters) > 0 {
		if m := linkToken.FindStringSubmatch(w.letters[len(w.letters)-1].Link.URL); m != nil {
			return m[1]
		}
	}
	w.t.Fatal("the last letter has no link")
	return ""
}

// client is who asks.
type client struct {
	*world
	address string
	cookies map[string]*http.Cookie
	header  map[string]string
}

func (w *world) client(address string) *client {
	return &client{world: w, address: address, cookies: map[string]*http.Cookie{}, header: map[string]string{}}
}

// ask sends a request, keeps cookies, and returns the answer with its JSON.
func (c *client) ask(method, path string, body any) (*httptest.ResponseRecorder, map[string]any) {
	c.t.Helper()
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			c.t.Fatal(err)
		}
	}
	r := httptest.NewRequest(method, origin+path, bytes.NewReader(text))
	r.RemoteAddr = netip.AddrPortFrom(netip.MustParseAddr(c.address), 4711).String()
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for k, v := range c.header {
		r.Header.Set(k, v)
	}
	for _, k := range c.cookies {
		r.AddCookie(&http.Cookie{Name: k.Name, Value: k.Value})
	}
	w := httptest.NewRecorder()
	c.handler.ServeHTTP(w, r)
	for _, k := range w.Result().Cookies() {
		if k.MaxAge < 0 {
			delete(c.cookies, k.Name)
		} else {
			c.cookies[k.Name] = k
		}
	}
	var v map[string]any
	if w.Body.Len() > 0 && strings.Contains(w.Header().Get("Content-Type"), "json") {
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
			c.t.Errorf("%s %s: %q is no JSON: %v", method, path, w.Body, err)
		}
	}
	return w, v
}

// must is ask that must have a status.
func (c *client) must(status int, method, path string, body any) map[string]any {
	c.t.Helper()
	w, v := c.ask(method, path, body)
	if w.Code != status {
		c.t.Fatalf("%s %s: %d %s; want %d", method, path, w.Code, w.Body, status)
	}
	if status >= 400 {
		if w.Header().Get("Content-Type") != "application/problem+json" || v["status"] != float64(status) || v["detail"] == "" {
			c.t.Errorf("%s %s: no problem document: %v", method, path, v)
		}
	}
	if w.Header().Get("Cache-Control") != "no-store" {
		c.t.Errorf("%s %s may be stored: %q", method, path, w.Header().Get("Cache-Control"))
	}
	return v
}

type obj = map[string]any

func (c *client) signedUp() map[string]any {
	c.t.Helper()
	c.must(202, "POST", "/v1/account/sign-up", obj{"email": email})
	return c.must(201, "POST", "/v1/account/confirm", obj{"link_token": c.token(), "password": password})
}

// Everything that people do, over the API alone.
func TestAPI(t *testing.T) {
	w := newWorld(t, nil)
	c := w.client("192.0.2.1")
	c.must(401, "GET", "/v1/account", nil)
	made := c.signedUp()
	if text := made["key"].(obj)["text"].(string); !strings.HasPrefix(text, "ipw_sk_live_") || made["token"] != nil {
		t.Errorf("confirmed: %v", made)
	}
	cookie := c.cookies["__Host-ipwarden-session"]
	if cookie == nil || !cookie.Secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/" || cookie.Domain != "" || cookie.Expires.IsZero() {
		t.Fatalf("the session's cookie is %+v", cookie)
	}
	v := c.must(200, "GET", "/v1/account", nil)
	if v["account"].(obj)["email"] != email || v["plan"].(obj)["name"] != "free" {
		t.Errorf("the account is %v", v)
	}

	// Keys.
	key := c.must(201, "POST", "/v1/account/keys", obj{"name": "web", "mode": "test", "networks": []string{"192.0.2.1", "2001:db8::/32"}})["key"].(obj)
	id := key["id"].(string)
	if len(c.must(200, "GET", "/v1/account/keys", nil)["keys"].([]any)) != 2 || key["mode"] != "test" || key["text"] == "" {
		t.Errorf("the key is %v", key)
	}
	wrong := c.must(422, "POST", "/v1/account/keys", obj{"kind": "x", "mode": "y", "networks": []string{"z"}})
	if len(wrong["errors"].([]any)) != 3 {
		t.Errorf("mistakes: %v; want all three", wrong)
	}
	c.must(422, "PATCH", "/v1/account/keys/"+id, obj{"name": "other", "networks": []string{"z"}})
	if got := c.must(200, "PATCH", "/v1/account/keys/"+id, obj{"tags": []string{"a"}})["key"].(obj); got["name"] != "web" || len(got["networks"].([]any)) != 2 {
		t.Errorf("what was not named, or was wrong, has changed: %v", got)
	}
	rotated := c.must(201, "POST", "/v1/account/keys/"+id+"/rotate", obj{"overlap": "1h"})
	if rotated["key"].(obj)["replaces"] != id || rotated["old"].(obj)["state"] != "ending" {
		t.Errorf("rotated: %v", rotated)
	}
	c.must(200, "DELETE", "/v1/account/keys/"+id, nil)

	// Nobody else's.
	eve := w.client("192.0.2.2")
	eve.must(202, "POST", "/v1/account/sign-up", obj{"email": "eve@example.com"})
	eve.must(201, "POST", "/v1/account/confirm", obj{"link_token": eve.token(), "password": password})
	sessions := c.must(200, "GET", "/v1/account/sessions", nil)["sessions"].([]any)
	session := sessions[0].(obj)["id"].(string)
	eve.must(404, "DELETE", "/v1/account/sessions/"+session, nil)
	eve.must(404, "DELETE", "/v1/account/sessions/x", nil)
	eve.must(404, "DELETE", "/v1/account/keys/"+id, nil)
	eve.must(404, "PATCH", "/v1/account/keys/"+id, obj{"name": "mine"})
	eve.must(404, "POST", "/v1/account/keys/"+id+"/rotate", obj{})
	eve.must(404, "DELETE", "/v1/account/devices/0000000000000001", nil)

	// A second factor.
	setup := c.must(201, "POST", "/v1/account/totp", obj{"password": password})
	code, err := totp.GenerateCode(setup["secret"].(string), w.now.Add(-30*time.Second)) // so that the next ones are later
	if err != nil || !strings.HasPrefix(setup["qr"].(string), "data:image/png;base64,iVBOR") {
		t.Fatalf("%v, %v", setup, err)
	}
	codes := c.must(200, "POST", "/v1/account/totp/confirm", obj{"code": code})["recovery_codes"].([]any)
	if len(codes) != people.RecoveryNumb {
		t.Errorf("recovery codes: %v", codes)
	}
	c.must(204, "POST", "/v1/account/sign-out", nil)
	if len(c.cookies) != 0 {
		t.Errorf("cookies after signing out: %v", c.cookies)
	}
	c.cookies[cookie.Name] = cookie // kept by somebody
	c.must(401, "GET", "/v1/account", nil)
	delete(c.cookies, cookie.Name)
	c.must(401, "POST", "/v1/account/sign-in", obj{"email": email, "password": "wrong"})
	half := c.must(200, "POST", "/v1/account/sign-in", obj{"email": email, "password": password})
	if half["second_factor"] != true || half["account"] != nil || len(c.cookies) != 0 {
		t.Errorf("the password alone: %v, %v", half, c.cookies)
	}
	c.must(403, "POST", "/v1/account/second-factor", obj{"ticket": half["ticket"], "code": code})
	in := c.must(200, "POST", "/v1/account/second-factor", obj{"ticket": half["ticket"], "code": codes[0], "remember": true, "want_token": true})
	token := in["token"].(string)
	if in["recovery_codes"] != float64(people.RecoveryNumb-1) || c.cookies["__Host-ipwarden-session"] != nil || c.cookies["__Host-ipwarden-device"] == nil {
		t.Errorf("in by a recovery code, with a token: %v, %v", in, c.cookies)
	}
	c.header["Authorization"] = "Bearer " + token
	if devices := c.must(200, "GET", "/v1/account/devices", nil)["devices"].([]any); len(devices) != 1 {
		t.Errorf("devices: %v", devices)
	}
	if n := len(c.must(201, "POST", "/v1/account/recovery-codes", obj{"password": password})["recovery_codes"].([]any)); n != people.RecoveryNumb {
		t.Errorf("%d new codes", n)
	}
	c.must(403, "DELETE", "/v1/account/totp", obj{"password": password, "code": codes[1]}) // replaced
	c.must(204, "POST", "/v1/account/password", obj{"old_password": password, "password": "another password"})
	c.must(202, "POST", "/v1/account/mail", obj{"email": "new@example.com", "password": "another password"})
	if v := c.must(200, "GET", "/v1/account", nil); v["new_email"].(obj)["email"] != "new@example.com" {
		t.Errorf("no change waits: %v", v)
	}
	if log := c.must(200, "GET", "/v1/account/log", nil)["log"].([]any); len(log) < 10 {
		t.Errorf("the log: %v", log)
	}
	c.must(422, "GET", "/v1/account/log?before=x", nil)
	x := c.must(200, "GET", "/v1/account/export", nil)
	if x["account"].(obj)["email"] != email || len(x["sign_in"].(obj)["sessions"].([]any)) == 0 {
		t.Errorf("the export: %v", x)
	}
	c.must(202, "POST", "/v1/account/forgot", obj{"email": email})
	other := w.client("192.0.2.3")
	link := other.token()
	ticket := other.must(200, "POST", "/v1/account/reset", obj{"link_token": link, "password": "a third password"})
	if ticket["second_factor"] != true {
		t.Errorf("a letter alone: %v", ticket)
	}
	c.must(401, "GET", "/v1/account", nil)
	other.must(410, "POST", "/v1/account/reset", obj{"link_token": link, "password": "a third password"})
	eve.must(204, "DELETE", "/v1/account", obj{"password": password})
	eve.must(401, "GET", "/v1/account", nil)
}

// What a program or a page sends wrong is told, and nothing that was sent is repeated.
func TestMistakes(t *testing.T) {
	w := newWorld(t, nil)
	c := w.client("192.0.2.1")
	c.must(404, "GET", "/v1/account/nothing", nil)
	if w, _ := c.ask("GET", "/v1/account/sign-in", nil); w.Code != 405 || !strings.Contains(w.Header().Get("Allow"), "POST") {
		t.Errorf("GET of a form: %d, %q", w.Code, w.Header().Get("Allow"))
	}
	c.must(422, "POST", "/v1/account/sign-up", obj{"email": "nobody"})
	for body, status := range map[string]int{
		`{"email":1}`: 400, `{"email":"a@example.com","is_admin":true}`: 400, `{`: 400, `[]`: 400, ``: 400, `{"email":"a@example.com"}{}`: 400,
		`{"email":"` + strings.Repeat("x", 70000) + `"}`: 413,
	} {
		r := httptest.NewRequest("POST", "/v1/account/sign-up", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json; charset=utf-8")
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, r)
		if rec.Code != status || strings.Contains(rec.Body.String(), "a@example.com") {
			t.Errorf("%.40s: %d %s; want %d", body, rec.Code, rec.Body, status)
		}
	}
	for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"} { // what a form can send
		c.header["Content-Type"] = kind
		c.must(415, "POST", "/v1/account/sign-up", obj{"email": email})
	}
}

// A key is told when it works, and a revocation when the key does not any more.
func TestInForce(t *testing.T) {
	w := newWorld(t, nil)
	c := w.client("192.0.2.1")
	c.signedUp()
	id := c.must(201, "POST", "/v1/account/keys", obj{"name": "web"})["key"].(map[string]any)["id"].(string)
	c.must(200, "PATCH", "/v1/account/keys/"+id, obj{"name": "shop"})
	c.must(201, "POST", "/v1/account/keys/"+id+"/rotate", obj{})
	c.must(200, "DELETE", "/v1/account/keys/"+id, nil)
	if len(w.waited) != 5 || !slices.IsSorted(w.waited) || w.waited[0] == 0 || len(slices.Compact(slices.Clone(w.waited))) != 5 {
		t.Errorf("it was waited for the revisions %v; want five that grow", w.waited)
	}
}

// A page of another site can do nothing with somebody's cookies.
func TestCrossSite(t *testing.T) {
	w := newWorld(t, nil)
	c := w.client("192.0.2.1")
	c.signedUp()
	for _, header := range []map[string]string{
		{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site", "Origin": "https://other.ip.example"}, {"Origin": "null"},
	} {
		c.header = header
		c.must(403, "POST", "/v1/account/keys", obj{"name": "evil"})
		c.must(403, "POST", "/v1/account/sign-in", obj{"email": "eve@example.com", "password": password}) // nor sign somebody in as another
		c.must(403, "DELETE", "/v1/account/sessions", nil)
	}
	for _, header := range []map[string]string{{"Origin": origin}, {"Sec-Fetch-Site": "same-origin"}, {}} {
		c.header = header
		c.must(201, "POST", "/v1/account/keys", obj{"name": "mine"})
	}
	c.header = map[string]string{"Origin": "https://evil.example"}
	r, _ := c.ask("GET", "/v1/account", nil)
	if r.Header().Get("Access-Control-Allow-Origin") != "" || r.Header().Get("Cross-Origin-Resource-Policy") != "same-origin" {
		t.Errorf("another site may read it: %v", r.Header())
	}
}

// Whatever cookie somebody was given before, the session that begins is another.
func TestFixation(t *testing.T) {
	w := newWorld(t, nil)
	eve := w.client("192.0.2.2")
	eve.must(202, "POST", "/v1/account/sign-up", obj{"email": "eve@example.com"})
	eve.must(201, "POST", "/v1/account/confirm", obj{"link_token": eve.token(), "password": password})
	planted := eve.cookies["__Host-ipwarden-session"]
	c := w.client("192.0.2.1")
	c.signedUp()
	c.must(204, "POST", "/v1/account/sign-out", nil)
	c.cookies[planted.Name] = planted
	c.must(200, "POST", "/v1/account/sign-in", obj{"email": email, "password": password})
	if c.cookies[planted.Name].Value == planted.Value {
		t.Error("the session is one that somebody else knows")
	}
	if v := eve.must(200, "GET", "/v1/account", nil); v["account"].(obj)["email"] != "eve@example.com" {
		t.Errorf("the planted session became %v", v)
	}
}

// The OpenAPI document has each route, and no other.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../../api/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]struct{ Security []any }
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	var got []string
	for path, methods := range doc.Paths {
		for method := range methods {
			if strings.HasPrefix(path, peoplehttp.Prefix) {
				got = append(got, strings.ToUpper(method)+" "+path)
			}
		}
	}
	want := peoplehttp.Routes()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the document has\n%s\nand there are\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A key with the scope for keys looks after those of its account, and the log says
// which key it was, and from where; a key for tests does not, and no key does more.
func TestKeyOfKeys(t *testing.T) {
	w := newWorld(t, nil)
	person := w.client("192.0.2.1")
	person.signedUp()
	other := w.client("192.0.2.2")
	other.must(202, "POST", "/v1/account/sign-up", obj{"email": "eve@example.com"})
	other.must(201, "POST", "/v1/account/confirm", obj{"link_token": other.token(), "password": password})
	others := other.must(200, "GET", "/v1/account/keys", nil)["keys"].([]any)[0].(obj)["id"].(string)
	key := func(wish obj) (id, text string) {
		k := person.must(201, "POST", "/v1/account/keys", wish)["key"].(obj)
		return k["id"].(string), k["text"].(string)
	}
	keeper, keeperText := key(obj{"name": "keeper", "scopes": []string{"keys"}})
	_, lookup := key(obj{"name": "web"})
	_, tests := key(obj{"name": "tests", "mode": "test", "scopes": []string{"keys"}})

	machine := w.client("198.51.100.7")
	machine.header["X-Api-Key"] = keeperText
	made := machine.must(201, "POST", "/v1/account/keys", obj{"name": "made"})["key"].(obj)
	machine.header = map[string]string{"Authorization": "bearer " + keeperText}
	machine.must(200, "PATCH", "/v1/account/keys/"+made["id"].(string), obj{"tags": []string{"a"}})
	machine.must(201, "POST", "/v1/account/keys/"+made["id"].(string)+"/rotate", obj{})
	machine.must(200, "DELETE", "/v1/account/keys/"+made["id"].(string), nil)
	machine.must(422, "POST", "/v1/account/keys", obj{"mode": "x"})
	if n := len(machine.must(200, "GET", "/v1/account/keys", nil)["keys"].([]any)); n != 6 {
		t.Errorf("%d keys", n)
	}
	machine.must(404, "DELETE", "/v1/account/keys/"+others, nil)
	if want := []int{201, 200, 201, 200, 422, 200, 404}; !slices.Equal(w.settled, want) {
		t.Errorf("settled with %v, not %v", w.settled, want)
	}
	for _, r := range peoplehttp.Routes() {
		method, path, _ := strings.Cut(r, " ")
		if strings.HasPrefix(path, "/v1/account/keys") || slices.Contains([]string{"sign-up", "confirm", "sign-in", "second-factor", "forgot", "reset"}, path[strings.LastIndexByte(path, '/')+1:]) {
			continue
		}
		if got, _ := machine.ask(method, strings.ReplaceAll(path, "{id}", "x"), nil); got.Code != 401 {
			t.Errorf("%s is answered with %d to a key", r, got.Code)
		}
	}
	for text, slug := range map[string]string{lookup: "wrong-scope", tests: "wrong-mode"} {
		machine.header = map[string]string{"Authorization": "Bearer " + text}
		if v := machine.must(403, "GET", "/v1/account/keys", nil); !strings.HasSuffix(v["type"].(string), slug) {
			t.Errorf("%v, not %s", v, slug)
		}
	}
	found := map[string]bool{}
	for _, e := range person.must(200, "GET", "/v1/account/log", nil)["log"].([]any) {
		e := e.(obj)
		want := "192.0.2.1"
		if e["actor"] == keeper {
			found[e["action"].(string)] = true
			want = "198.51.100.7"
		}
		if e["address"] != want {
			t.Errorf("%v came from %v, not %s", e["action"], e["address"], want)
		}
	}
	if len(found) != 4 {
		t.Errorf("the log has %v of the key", found)
	}
}
