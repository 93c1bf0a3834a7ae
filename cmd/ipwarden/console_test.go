package main

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/mail"
	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// platform is a server with accounts that a test has started.
type platform struct {
	t    *testing.T
	dir  string // the data directory
	base string
}

func startPlatform(t *testing.T, args ...string) *platform {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "ipwarden") // under that name the test is the program
	if err := os.Symlink(self, program); err != nil {
		t.Fatal(err)
	}
	addr := proxytest.FreeAddr(t)
	p := &platform{t: t, dir: filepath.Join(dir, "data"), base: "http://" + addr}
	cmd := exec.Command(program, append([]string{"serve", "--accounts", "--listen", addr, "--data-dir", p.dir, "--public-url", p.base, "--usage-clients", "1024"}, args...)...)
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+dir)
	cmd.Dir = dir
	said, err := os.Create(filepath.Join(dir, "said"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		said.Close()
		if text, _ := os.ReadFile(said.Name()); t.Failed() {
			t.Logf("the server said:\n%s", text)
		}
	})
	p.until("the server answers", func() bool {
		r, err := http.Get(p.base + "/healthz")
		if err == nil {
			r.Body.Close()
		}
		return err == nil && r.StatusCode == 200
	})
	return p
}

func (p *platform) until(what string, done func() bool) {
	p.t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline.C:
			p.t.Fatalf("it is not so that %s", what)
		}
	}
}

var linkPattern = regexp.MustCompile(`http://\S+\?token=\S+`)

// letter waits for a letter of a kind, takes it out of the outbox, and returns its link.
func (p *platform) letter(to, subject string) (link string) {
	p.t.Helper()
	box, err := mail.Open(mail.Config{Dir: filepath.Join(p.dir, "outbox")})
	if err != nil {
		p.t.Fatal(err)
	}
	p.until("there is a letter to "+to+" about "+subject, func() bool {
		all, err := box.List(0)
		if err != nil {
			p.t.Fatal(err)
		}
		for _, m := range all {
			if m.To == to && strings.Contains(m.Subject, subject) {
				link = linkPattern.FindString(m.Text)
				if err := box.Remove(m.ID); err != nil {
					p.t.Fatal(err)
				}
				return true
			}
		}
		return false
	})
	return link
}

// A new user's path from signing up to the first call, in a real browser, by keyboard
// alone and without JavaScript.
func TestSignUpByKeyboard(t *testing.T) {
	b := proxytest.NewBrowser(t)
	p := startPlatform(t)
	b.Scripts(false)
	b.Go(p.base + "/")
	b.Wait("Look-ups need a key")
	b.TabTo(`e.innerText === "Sign up"`)
	b.Key("Enter")
	b.Wait("Send me a link")
	b.TabTo(`e.id === "email"`)
	b.Type("ada@example.com")
	b.Key("Enter")
	b.Wait("A letter is on its way to ada@example.com")
	b.Go(p.letter("ada@example.com", ""))
	b.Wait("Choose a password")
	b.TabTo(`e.id === "password"`)
	b.Type("correct horse battery staple")
	b.Key("Enter")
	b.Wait("shown this once")
	key := b.Eval(`document.querySelector("#made").value`)
	curl := b.Eval(`document.querySelector("#curl").innerText`)
	if !strings.HasPrefix(key, "ipw_sk_live_") || !strings.Contains(curl, key) {
		t.Fatalf("key %q, command %q", key, curl)
	}
	// The command works as it is shown.
	if proxytest.Need(t, "curl", "curl") != "" {
		out, err := exec.Command("sh", "-c", curl+" -sS").Output()
		if err != nil || !strings.Contains(string(out), `"country_code":"US"`) {
			t.Fatalf("%s: %v\n%s", curl, err, out)
		}
	}
	// The call is on the page of the usage.
	b.TabTo(`e.innerText === "Usage"`)
	b.Key("Enter")
	b.Wait("Divided by")
	p.until("the call is shown", func() bool {
		b.Go(p.base + "/account/usage?span=24h&by=key")
		b.Wait("Divided by")
		return strings.Contains(b.Eval("document.body.innerText"), "first") && b.Eval(`document.querySelector(".tiles .big").innerText`) == "1"
	})
	if got := b.Eval("document.body.innerText"); !strings.Contains(got, "127.0.0.1") {
		t.Errorf("it is not said where the call came from:\n%s", got)
	}
	// Out, and in again, to where one was.
	b.TabTo(`e.innerText === "Sign out"`)
	b.Key("Enter")
	b.Wait("You are signed out")
	b.Go(p.base + "/account/keys")
	b.Wait("I forgot my password")
	b.TabTo(`e.id === "email"`)
	b.Type("ada@example.com")
	b.TabTo(`e.id === "password"`)
	b.Type("correct horse battery staple")
	b.Key("Enter")
	b.Wait("Make a key")
	if got := b.Eval("location.pathname"); got != "/account/keys" {
		t.Errorf("after signing in: %s", got)
	}
	if all := b.Complaints(); len(all) > 0 {
		t.Errorf("the browser complains: %q", all)
	}
}

// ask calls the API with a key.
func (p *platform) ask(key, path string, header ...string) (status int, body map[string]any) {
	p.t.Helper()
	r, err := http.NewRequest("GET", p.base+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("X-Api-Key", key)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
		p.t.Fatal(err)
	}
	return answer.StatusCode, body
}

// Every page, light and dark, wide and narrow; with IPWARDEN_SHOTS=DIR their pictures.
func TestPagesInABrowser(t *testing.T) {
	b := proxytest.NewBrowser(t)
	p := startPlatform(t)
	shots := os.Getenv("IPWARDEN_SHOTS")
	look := func(name string) {
		t.Helper()
		for _, x := range []struct {
			name  string
			width int
			dark  bool
		}{{"wide", 1180, false}, {"dark", 1180, true}, {"narrow", 380, false}} {
			b.Look(x.width, 800, x.dark)
			if got := b.Eval(fmt.Sprintf(`document.documentElement.scrollWidth > %d`, x.width)); got != "false" {
				t.Errorf("%s, %s: the page is wider than the window", name, x.name)
			}
			if shots != "" {
				if err := os.WriteFile(filepath.Join(shots, name+"-"+x.name+".png"), b.Shot(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
		b.Look(1180, 800, false)
	}
	const password = "correct horse battery staple"
	b.Go(p.base + "/account/sign-up")
	b.Wait("Send me a link")
	look("sign-up")
	b.Fill("#email", "ada@example.com")
	b.Press("main button")
	b.Wait("on its way")
	b.Go(p.letter("ada@example.com", ""))
	b.Wait("Choose a password")
	b.Fill("#password", "short")
	b.Eval(`document.querySelector("form").noValidate = true`)
	b.Press("main button")
	b.Wait("New password:")
	look("mistake")
	b.Fill("#password", password)
	b.Press("main button")
	b.Wait("shown this once")
	look("key-made")
	first := b.Eval(`document.querySelector("#made").value`)
	for range 5 {
		if status, _ := p.ask(first, "/v1/ip/8.8.8.8"); status != 200 {
			t.Fatalf("the first key: %d", status)
		}
	}
	// A publishable key for one page, which works there and nowhere else.
	b.Go(p.base + "/account/keys")
	b.Wait("Make a key")
	b.Press("details.form > summary")
	b.Fill("#name", "shop")
	b.Press("input[value=publishable]")
	b.Press("details.form button")
	b.Wait("name their origin")
	look("key-mistake")
	b.Fill("#origins", "https://shop.example")
	b.Fill("#limits", "100/minute")
	b.Press("details.form button")
	b.Wait("shown this once")
	shop := b.Eval(`document.querySelector("#made").value`)
	p.until("the new key works", func() bool {
		status, _ := p.ask(shop, "/v1/ip/8.8.8.8", "Origin", "https://shop.example")
		return status == 200
	})
	if status, body := p.ask(shop, "/v1/ip/8.8.8.8", "Origin", "https://other.example"); status != 403 || !strings.Contains(fmt.Sprint(body["type"]), "wrong-origin") {
		t.Errorf("at another page: %d %v", status, body)
	}
	b.Go(p.base + "/account/keys")
	b.Wait("https://shop.example")
	look("keys")
	// The first one is replaced, at once, and the one that replaced it revoked.
	b.Press(`a[href*="/keys/key_"]:not([href=""])`)
	b.Wait("Identifier")
	look("key")
	b.Go(p.base + "/account/keys")
	b.Wait("first")
	b.Eval(`[...document.querySelectorAll("th a")].find(e => e.innerText === "first").click()`)
	b.Wait("Replace it by a new one")
	b.Eval(`document.querySelector("#overlap").value = "0"`)
	b.Press(`form[action$="/rotate"] button`)
	b.Wait("shown this once")
	second := b.Eval(`document.querySelector("#made").value`)
	p.until("the old key is refused", func() bool { status, _ := p.ask(first, "/v1/ip/8.8.8.8"); return status == 401 })
	p.until("the new key works", func() bool { status, _ := p.ask(second, "/v1/ip/8.8.8.8"); return status == 200 })
	b.Go(p.base + "/account/usage?span=24h&by=key")
	b.Wait("Divided by")
	p.until("the calls are shown", func() bool {
		b.Go(p.base + "/account/usage?span=24h&by=key")
		b.Wait("Divided by")
		return b.Eval(`Number(document.querySelector(".tiles .big").innerText) >= 7`) == "true"
	})
	look("usage")
	b.Look(380, 800, false)
	if got := b.Eval(`document.querySelector("th code").getClientRects().length`); got != "1" {
		t.Errorf("an address takes %s lines where the page is narrow", got)
	}
	b.Look(1180, 800, false)
	b.Go(p.base + "/account/limits")
	b.Wait("Write to me")
	b.Press(`input[value="50"]`)
	b.Press("main form button")
	b.Wait("was saved")
	if got := b.Eval(`document.querySelector('input[value="50"]').checked`); got != "false" {
		t.Errorf("the letter at 50 %% is still wanted: %s", got)
	}
	look("limits")
	b.Go(p.base + "/account")
	b.Wait("From a terminal")
	look("overview")
	// A second step: an app that is told the secret, a code, recovery codes.
	b.Go(p.base + "/account/security")
	b.Wait("Authenticator app")
	look("security")
	b.Press("details:has(#t-password) > summary")
	b.Fill("#t-password", password)
	b.Press(`form[action$="/totp"] button`)
	b.Wait("Scan this")
	look("totp")
	secret := strings.ReplaceAll(b.Eval(`document.querySelector("code.secret").textContent`), " ", "")
	b.Fill("#code", codeOf(t, secret, time.Now()))
	b.Press("main form button")
	b.Wait("Keep them now")
	look("recovery")
	codes := strings.Fields(b.Eval(`[...document.querySelectorAll(".codes code")].map(e => e.innerText).join(" ")`))
	if len(codes) < 2 {
		t.Fatalf("recovery codes: %q", codes)
	}
	b.Press("header form button")
	b.Wait("You are signed out")
	b.Fill("#email", "ada@example.com")
	b.Fill("#password", password)
	b.Press("main form button")
	b.Wait("Second step")
	look("second-factor")
	b.Fill("#code", codes[0])
	b.Press("main form button")
	b.Wait("Overview")
	b.Go(p.base + "/account/log")
	b.Wait("Key replaced")
	look("log")
	b.Go(p.base + "/account/nothing")
	b.Wait("Not found")
	// The end.
	b.Go(p.base + "/account/data")
	b.Wait("Delete it for good")
	look("data")
	b.Press("details > summary")
	b.Fill("#password", password)
	b.Fill("#code", codes[0]) // it counts once
	b.Press("button.danger")
	b.WaitFor(`document.querySelector(".note.bad")`)
	b.Fill("#password", password)
	b.Fill("#code", codes[1])
	b.Press("button.danger")
	b.Wait("The account was deleted")
	p.until("its keys are refused", func() bool { status, _ := p.ask(second, "/v1/ip/8.8.8.8"); return status == 401 })
	for _, said := range b.Complaints() {
		if !strings.Contains(said, "the server responded with a status of 4") { // what was tried on purpose
			t.Errorf("the browser complains: %s", said)
		}
	}
}

// codeOf is what an authenticator app shows (RFC 6238).
func codeOf(t *testing.T, secret string, now time.Time) string {
	t.Helper()
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	if err != nil {
		t.Fatalf("the secret %q: %v", secret, err)
	}
	mac := hmac.New(sha1.New, key)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(now.Unix()/30)))
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 15
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[at:])&0x7fffffff%1000000)
}
