package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden/internal/mail"
	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// command runs ipwarden on the accounts of the platform.
func (p *platform) command(args ...string) string {
	p.t.Helper()
	self, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	program := filepath.Join(p.t.TempDir(), "ipwarden")
	if err := os.Symlink(self, program); err != nil {
		p.t.Fatal(err)
	}
	out, err := exec.Command(program, append(args, "--data-dir", p.dir)...).Output()
	if err != nil {
		p.t.Fatalf("ipwarden %v: %v", args, err)
	}
	return string(out)
}

// The form of examples/page fills in the visitor's country, in a real browser, with a
// key that anybody may read.
func TestExamplePage(t *testing.T) {
	b := proxytest.NewBrowser(t)
	overlay := filepath.Join(t.TempDir(), "here.yaml")
	const here = "entries:\n  - network: 127.0.0.0/8\n    facts: {location.country_code: SE}\n    reason: this machine\n    owner: ada@example.com\n"
	if err := os.WriteFile(overlay, []byte(here), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startPlatform(t, "--overlay", overlay)
	text, err := os.ReadFile("../../examples/page/index.html")
	if err != nil {
		t.Fatal(err)
	}
	key := ""
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page := strings.NewReplacer("ipw_pk_live_…", key, "https://ip.example", p.base).Replace(string(text))
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(page))
	}))
	defer shop.Close()
	p.command("account", "add", "ada@example.com")
	key = strings.Fields(p.command("key", "new", "ada@example.com", "--publishable", "--origin", shop.URL))[0]
	if !strings.HasPrefix(key, "ipw_pk_live_") || strings.Count(string(text), "\n") > 25 {
		t.Fatalf("the key %q, the page\n%s", key, text)
	}
	p.until("the key works", func() bool { status, _ := p.ask(key, "/v1/ip", "Origin", shop.URL); return status == 200 })
	b.Go(shop.URL)
	b.WaitFor(`document.querySelector("#country").value === "SE"`)
	if all := b.Complaints(); len(all) > 0 {
		t.Errorf("the browser complains: %q", all)
	}
}

// An account hears at half of its plan and when it is used up, once.
func TestLettersOfUsage(t *testing.T) {
	p := startPlatform(t)
	p.command("account", "add", "ada@example.com")
	p.command("plan", "set", "free", "--per-day", "10")
	key := strings.Fields(p.command("key", "new", "ada@example.com"))[0]
	p.until("the key works", func() bool { status, _ := p.ask(key, "/v1/dataset"); return status == 200 })
	answered := 0
	call := func() int { status, _ := p.ask(key, "/v1/ip/8.8.8.8"); return status }
	p.until("five calls are answered", func() bool {
		if call() == 200 {
			answered++
		}
		return answered == 5
	})
	p.letter("ada@example.com", "50 %")
	p.until("the plan is used up", func() bool { return call() == 429 })
	p.letter("ada@example.com", "100 %")
	for range 3 {
		call()
	}
	box, err := mail.Open(mail.Config{Dir: filepath.Join(p.dir, "outbox")})
	if err != nil {
		t.Fatal(err)
	}
	all, err := box.List(0)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if strings.Contains(m.Subject, "100 %") { // one at 90 % may have been in between
			t.Errorf("it is told again: %s", m.Subject)
		}
	}
}
