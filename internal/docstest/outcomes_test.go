package docstest

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// TestOutcomeExamples runs the programs of the page on outcomes that tell one.
func TestOutcomeExamples(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs/outcomes.md"))
	if err != nil {
		t.Fatal(err)
	}
	const socket = "/run/ipwarden/ipwarden.sock"
	for _, c := range []struct{ language, program, file, call string }{
		{"python", "python3", "outcome.py", `outcome("DECISION", "login_failed")`},
		{"js", "node", "outcome.cjs", `outcome("DECISION", "login_failed");`},
	} {
		t.Run(c.language, func(t *testing.T) {
			program := proxytest.Need(t, c.program, map[string]string{"node": "nodejs"}[c.program])
			_, text, _ := strings.Cut(string(page), "```"+c.language+"\n")
			text, _, ok := strings.Cut(text, "```")
			if !ok || !strings.Contains(text, socket) {
				t.Fatalf("the page has no example: %s", text)
			}
			dir := t.TempDir()
			path := filepath.Join(dir, "gate.sock")
			ln, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			told := make(chan map[string]string, 1)
			s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				var body map[string]string
				if r.Method != http.MethodPost || r.URL.Path != "/v1/outcome" || json.NewDecoder(r.Body).Decode(&body) != nil {
					t.Errorf("%s %s", r.Method, r.URL)
				}
				told <- body
			})}
			go func() { _ = s.Serve(ln) }()
			t.Cleanup(func() { _ = s.Close() })
			file := filepath.Join(dir, c.file)
			if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, socket, path)+"\n"+c.call+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(program, file).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if body := <-told; body["decision"] != "DECISION" || body["event"] != "login_failed" || len(body) != 2 {
				t.Errorf("it tells %v", body)
			}
		})
	}
}
