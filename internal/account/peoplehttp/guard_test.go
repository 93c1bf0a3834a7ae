package peoplehttp_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/bits"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/ipwarden/ipwarden/internal/account/peoplehttp"
	"github.com/ipwarden/ipwarden/internal/proxytest"
	"github.com/ipwarden/ipwarden/ipwardentest"
	"github.com/ipwarden/ipwarden/redis"
)

const (
	home  = "81.2.69.%d"
	tor   = "185.220.101.7"
	vpn   = "146.70.0.7"
	ipv6  = "2a00:1450:%x::1"
	limit = 20 // of failed log-ins of an address, in guard.yaml
)

// status of a request, whatever it is.
func (c *client) status(method, path string, body any) int {
	c.t.Helper()
	w, _ := c.ask(method, path, body)
	return w.Code
}

// Passwords are not tried for long from one address, whomever they are tried at.
func TestBruteForceFromOneAddress(t *testing.T) {
	w := newWorld(t, ipwardentest.Sample())
	c := w.client(fmt.Sprintf(home, 7))
	n := 0
	for ; n < 2*limit; n++ {
		status := c.status("POST", "/v1/account/sign-in", obj{"email": fmt.Sprintf("user%d@example.com", n), "password": "wrong"})
		if status == http.StatusTooManyRequests {
			break
		}
		if status != http.StatusUnauthorized {
			t.Fatalf("try %d: %d", n, status)
		}
	}
	if n != limit {
		t.Errorf("%d tries passed; want %d", n, limit)
	}
	if n := w.people.Hashed(); n != limit {
		t.Errorf("%d passwords were hashed; want %d: who is refused costs nothing", n, limit)
	}
	rec, v := c.ask("POST", "/v1/account/sign-in", obj{"email": email, "password": password})
	if rec.Code != 429 || rec.Header().Get("Retry-After") == "" || v["status"] != float64(429) {
		t.Errorf("the refusal: %d %v %v", rec.Code, rec.Header(), v)
	}
	if status := w.client(fmt.Sprintf(home, 8)).status("POST", "/v1/account/sign-in", obj{"email": email, "password": "wrong"}); status != 401 {
		t.Errorf("from another address: %d", status)
	}
}

// Nor from a thousand addresses at one account; and whether the account is there makes
// no difference. Its owner gets in from the browser that is remembered, and by a letter.
func TestBruteForceOfOneAccount(t *testing.T) {
	w := newWorld(t, ipwardentest.Sample())
	owner := w.client("81.2.69.200")
	owner.signedUp()
	setup := owner.must(201, "POST", "/v1/account/totp", obj{"password": password})
	code := func(d time.Duration) string {
		code, err := totp.GenerateCode(setup["secret"].(string), w.now.Add(d))
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	codes := owner.must(200, "POST", "/v1/account/totp/confirm", obj{"code": code(-30 * time.Second)})["recovery_codes"].([]any)
	half := owner.must(200, "POST", "/v1/account/sign-in", obj{"email": email, "password": password})
	owner.must(200, "POST", "/v1/account/second-factor", obj{"ticket": half["ticket"], "code": codes[0], "remember": true})
	for _, who := range []string{email, "nobody@example.com"} {
		passed := 0
		for i := range 40 {
			if w.client(fmt.Sprintf(ipv6, i)).status("POST", "/v1/account/sign-in", obj{"email": strings.ToUpper(who), "password": "wrong"}) == http.StatusUnauthorized {
				passed++
			}
		}
		if passed != 10 {
			t.Errorf("%d tries at %s passed; want 10", passed, who)
		}
	}
	if status := w.client("81.2.69.201").status("POST", "/v1/account/sign-in", obj{"email": email, "password": password}); status != 429 {
		t.Errorf("another browser: %d", status)
	}
	owner.must(200, "POST", "/v1/account/sign-in", obj{"email": email, "password": password})
	forged := w.client("81.2.69.202")
	forged.cookies["__Host-ipwarden-device"] = &http.Cookie{Name: "__Host-ipwarden-device", Value: "ipw_device_" + strings.Repeat("a", 52)}
	if status := forged.status("POST", "/v1/account/sign-in", obj{"email": email, "password": password}); status != 429 {
		t.Errorf("a cookie that nobody gave: %d", status)
	}
	other := w.client("81.2.69.203")
	other.must(202, "POST", "/v1/account/forgot", obj{"email": email})
	other.must(200, "POST", "/v1/account/reset", obj{"link_token": other.token(), "password": "another password"})
}

// However a body is written, what is tried is counted at the account that it is tried at.
func TestBruteForceInDisguise(t *testing.T) {
	for name, body := range map[string]string{
		"space in front": `{"email":"` + strings.Repeat(" ", 2000) + email + `","password":"wrong"}`,
		"space behind":   `{"email":"` + email + strings.Repeat(" ", 2000) + `","password":"wrong"}`,
		"said twice":     `{"email":"nobody@example.com","password":"wrong","EMAIL":"` + email + `"}`,
		"a bracket more": `{"email":"` + email + `","password":"wrong"}]`,
		"a brace more":   `{"email":"` + email + `","password":"wrong"}}`,
		"a value more":   `{"email":"` + email + `","password":"wrong"} {}`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, ipwardentest.Sample())
			tried := 0
			for i := range 14 {
				r := httptest.NewRequest("POST", origin+"/v1/account/sign-in", strings.NewReader(body))
				r.Header.Set("Content-Type", "application/json")
				r.RemoteAddr = fmt.Sprintf("[2a00:1450:%x::1]:1", i)
				rec := httptest.NewRecorder()
				w.handler.ServeHTTP(rec, r)
				if rec.Code == http.StatusUnauthorized {
					tried++
				}
			}
			if strings.HasSuffix(name, "more") {
				if tried > 0 || w.people.Hashed() > 0 {
					t.Errorf("%d tries of what is no JSON; want none", tried)
				}
			} else if tried != 10 {
				t.Errorf("%d tries; want 10", tried)
			}
		})
	}
}

// Letters are few, from an address and to one.
func TestLettersAreLimited(t *testing.T) {
	w := newWorld(t, ipwardentest.Sample())
	c := w.client(fmt.Sprintf(home, 7))
	passed := 0
	for i := range 30 {
		if c.status("POST", "/v1/account/sign-up", obj{"email": fmt.Sprintf("user%d@example.com", i)}) == http.StatusAccepted {
			passed++
		}
	}
	if passed != 10 {
		t.Errorf("%d letters from an address; want 10", passed)
	}
	passed = 0
	for i := range 30 {
		if w.client(fmt.Sprintf(home, 100+i)).status("POST", "/v1/account/forgot", obj{"email": "victim@example.com"}) == http.StatusAccepted {
			passed++
		}
	}
	if passed != 6 {
		t.Errorf("%d letters to an address; want 6", passed)
	}
}

var (
	field = regexp.MustCompile(`name="(t|to|kind)" value="([^"]*)"`)
	work  = regexp.MustCompile(`data-bits="(\d+)"`)
)

// Who comes from where machines are proves to be worth a computation, and then may.
func TestProofOfWork(t *testing.T) {
	w := newWorld(t, ipwardentest.Sample())
	for address, signIn := range map[string]int{tor: http.StatusForbidden, vpn: http.StatusUnauthorized} {
		c := w.client(address)
		if status := c.status("POST", "/v1/account/sign-in", obj{"email": email, "password": "wrong"}); status != signIn {
			t.Errorf("signing in from %s: %d; want %d", address, status, signIn)
		}
		v := c.must(http.StatusForbidden, "POST", "/v1/account/sign-up", obj{"email": email})
		location, _ := v["location"].(string)
		if !strings.HasPrefix(location, peoplehttp.ChallengePath+"?") || !strings.HasSuffix(location, "to=/account/sign-up") || len(w.letters) > 0 {
			t.Fatalf("signing up from %s: %v", address, v)
		}
		page, _ := c.ask("GET", location, nil)
		form := url.Values{}
		for _, m := range field.FindAllStringSubmatch(page.Body.String(), -1) {
			form.Set(m[1], m[2])
		}
		m := work.FindStringSubmatch(page.Body.String())
		if page.Code != 200 || m == nil || form.Get("t") == "" {
			t.Fatalf("the page: %d %s", page.Code, page.Body)
		}
		want, _ := strconv.Atoi(m[1])
		for n := 0; ; n++ {
			sum := sha256.Sum256([]byte(form.Get("t") + "." + strconv.Itoa(n)))
			if bits.LeadingZeros64(binary.BigEndian.Uint64(sum[:])) >= want {
				form.Set("n", strconv.Itoa(n))
				break
			}
		}
		r := httptest.NewRequest("POST", origin+peoplehttp.ChallengePath, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.RemoteAddr = address + ":4711"
		solved := httptest.NewRecorder()
		w.handler.ServeHTTP(solved, r)
		for _, k := range solved.Result().Cookies() {
			if !k.Secure || !k.HttpOnly {
				t.Errorf("the clearance is %+v", k)
			}
			c.cookies[k.Name] = k
		}
		c.must(202, "POST", "/v1/account/sign-up", obj{"email": email})
		w.letters = nil
		thief := w.client("185.220.102.7")
		thief.cookies = c.cookies
		if address == vpn {
			thief.address = "146.70.99.7"
			if status := thief.status("POST", "/v1/account/sign-up", obj{"email": email}); status != http.StatusForbidden {
				t.Errorf("another network with its cookie: %d", status)
			}
		}
	}
}

// The pages are guarded as the API is: the same paths with forms.
func TestGuardOfPages(t *testing.T) {
	var got []string
	w := newWorld(t, nil)
	g, err := peoplehttp.NewGuard(peoplehttp.GuardConfig{Source: ipwardentest.Sample(), Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	w.handler = g.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = append(got, r.PostFormValue("email")) }))
	post := func(address, path string) int {
		r := httptest.NewRequest("POST", origin+path, strings.NewReader("email=ada%40example.com&x=1"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.RemoteAddr = address + ":1"
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, r)
		return rec.Code
	}
	for i := range 6 {
		if status := post(fmt.Sprintf(home, i), "/account/sign-up"); status != 200 {
			t.Fatalf("%d", status)
		}
	}
	if status := post(fmt.Sprintf(home, 9), "/account/sign-up"); status != 429 || len(got) != 6 || got[5] != email {
		t.Errorf("the seventh letter: %d, after %v", status, got)
	}
	if status := post(fmt.Sprintf(home, 9), "/v1/account/forgot"); status != 429 {
		t.Errorf("by the API: %d", status)
	}
	for path, want := range map[string]int{"/account/sign-up": http.StatusFound, "/account/sign-in": 200, "/account/keys": 200} {
		r := httptest.NewRequest("GET", origin+path, nil)
		r.RemoteAddr = tor + ":1"
		r.Header.Set("Accept", "text/html")
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, r)
		if rec.Code != want && (want != 302 || rec.Code != 303) {
			t.Errorf("GET %s by Tor: %d; want %d", path, rec.Code, want)
		}
	}
}

func TestGuardPolicy(t *testing.T) {
	for name, text := range map[string]string{"broken": "rules: 1", "a test fails": "tests: [{name: x, expect: block}]"} {
		if _, err := peoplehttp.NewGuard(peoplehttp.GuardConfig{Source: ipwardentest.Sample(), Secret: secret, Policy: []byte(text), Name: "mine.yaml"}); err == nil || !strings.Contains(err.Error(), "mine.yaml") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Servers that share a limiter count the letters to an account together; one that has
// another secret does not know whom the others mean.
func TestGuardsShare(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	proxytest.Redis(t, addr)
	guard := func(secret string) http.Handler {
		c, err := redis.ParseURL("redis://" + addr)
		if err != nil {
			t.Fatal(err)
		}
		c.Budget, c.Logger = 10*time.Second, slog.New(slog.DiscardHandler) // however slow the machine is
		l, err := redis.New(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		proxytest.Eventually(t, "Redis answers", func() bool { return !l.Away() })
		g, err := peoplehttp.NewGuard(peoplehttp.GuardConfig{Source: ipwardentest.Sample(), Secret: []byte(secret), Limiter: l, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }))
	}
	const secret = "0123456789abcdef"
	a, b, other := guard(secret), guard(secret), guard("fedcba9876543210")
	post := func(g http.Handler, n int) int {
		r := httptest.NewRequest("POST", "/v1/account/forgot", strings.NewReader(`{"email":"ada@example.com"}`))
		r.Header.Set("Content-Type", "application/json")
		r.RemoteAddr = fmt.Sprintf(home, n) + ":4711"
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		return w.Code
	}
	for n := range 6 {
		if got := post(a, n); got != http.StatusAccepted {
			t.Fatalf("letter %d: %d", n, got)
		}
	}
	if got := post(a, 7); got != http.StatusTooManyRequests {
		t.Errorf("the seventh letter to an account: %d", got)
	}
	// Where Redis was late, a counted alone and tells it next; b lets in so many at most.
	// Alone it would let in six.
	admitted := 0
	for admitted < 6 && post(b, 20+admitted) == http.StatusAccepted {
		admitted++
	}
	if admitted == 6 {
		t.Error("the second server counts by itself")
	}
	if got := post(other, 8); got != http.StatusAccepted {
		t.Errorf("of another installation: %d", got)
	}
}
