package clients

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// A snippet is code in an article about IPASIS: the lines from one to another, both
// included. The articles are not ours to pass on; where they are beside the folder
// of IPWARDEN_TEST_DATA their code runs here, with nothing but the host replaced.
type snippet struct {
	file, from, to string
	// indents gives back what the text has lost where it came without its
	// indentation: a digit a line, the levels of Python.
	indents string
}

// articleHost is what the code asks.
const articleHost = "https://api.ipasis.com"

// code returns the snippet with the host of url.
func (s snippet) code(t *testing.T, url string) string {
	t.Helper()
	dir := os.Getenv("IPWARDEN_TEST_DATA")
	if dir == "" {
		t.Skip("IPWARDEN_TEST_DATA is not set: the articles are not there")
	}
	b, err := os.ReadFile(filepath.Join(dir, "..", "reference", "source-documents", s.file))
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("the article is not there: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(b)) {
		line = strings.TrimRight(line, "\n")
		if len(lines) == 0 && line != s.from {
			continue
		}
		lines = append(lines, line)
		if line == s.to {
			break
		}
	}
	if len(lines) == 0 || lines[len(lines)-1] != s.to {
		t.Fatalf("%s has no lines from %q to %q", s.file, s.from, s.to)
	}
	if s.indents != "" {
		if len(lines) != len(s.indents) {
			t.Fatalf("%s: %d lines from %q on, and the indentation of %d", s.file, len(lines), s.from, len(s.indents))
		}
		for i := range lines {
			lines[i] = strings.Repeat("    ", int(s.indents[i]-'0')) + lines[i]
		}
	}
	text := strings.Join(lines, "\n") + "\n"
	if !strings.Contains(text, articleHost) && s.indents == "" {
		t.Fatalf("%s does not ask %s", s.file, articleHost)
	}
	return strings.ReplaceAll(text, articleHost, url)
}

// serveIPASIS serves that dialect alone, as its host would.
func serveIPASIS(t *testing.T) string {
	t.Helper()
	a, set := newServer(t)
	s := httptest.NewServer(a.DialectHandler(set.Named("ipasis")))
	t.Cleanup(s.Close)
	return s.URL
}

// runs runs a program over files, and compares what it says.
func runs(t *testing.T, files map[string]string, env []string, want string, program string, args ...string) {
	t.Helper()
	if out := output(t, files, env, program, args...); strings.TrimSpace(string(out)) != want {
		t.Errorf("%s:\n got %s\nwant %s", program, out, want)
	}
}

// output runs a program over files, and returns what it says.
func output(t *testing.T, files map[string]string, env []string, program string, args ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), nodePatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "http_proxy=", "https_proxy=", "HTTP_PROXY=", "HTTPS_PROXY=", "NODE_OPTIONS="), env...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", program, err, out)
	}
	return out
}

// pythonPath puts the stand-ins behind what is installed.
const pythonPath = "import sys; sys.path.append(%q)\n"

func python(t *testing.T, code, driver, want string) {
	t.Helper()
	program := proxytest.Need(t, "python3", "python3")
	standins, err := filepath.Abs("testdata/standins/python")
	if err != nil {
		t.Fatal(err)
	}
	runs(t, map[string]string{"main.py": fmt.Sprintf(pythonPath, standins) + code + driver}, []string{"IPASIS_API_KEY=any"}, want, program, "main.py")
}

// The articles' clients give up soon and then let everybody in, which a busy
// machine may bring about: the drivers ask again.

func TestArticleArchitecturePython(t *testing.T) {
	code := snippet{
		file: "architecture-patterns.txt", from: "import redis", to: "return response",
		indents: "00000001112112333222222212200111211",
	}.code(t, serveIPASIS(t))
	python(t, code, `
def ask(ip, want):
    for _ in range(50):
        cache.values.clear()
        said = get_ip_reputation(ip)
        if said == want:
            break
    return said, cache.values.get(f"ip:{ip}")

print(ask("146.70.1.1", "block"), ask("8.8.8.8", "allow"))
`, "('block', b'block') ('allow', b'allow')")
}

func TestArticleLimiterPython(t *testing.T) {
	url := serveIPASIS(t)
	const file = "geo-aware-rate-limiter.txt"
	code := snippet{file, "import requests", "return None", "00000000011112112233331221"}.code(t, url) +
		snippet{file, "def determine_limit(ip_data):", "return 50", "0121121111211"}.code(t, url) +
		snippet{file, "def check_rate_limit(ip_address):", `print(f"Request status: {message}")`, "011111111111111210000"}.code(t, url)
	python(t, code, `
print(determine_limit(get_ip_intelligence("146.70.1.1")), determine_limit(get_ip_intelligence("8.8.8.8")), determine_limit(get_ip_intelligence("1.1.1.1")))
for _ in range(6):
    last = check_rate_limit("146.70.1.1")
print(last)
`, "Request status: Allowed\n5 200 50\n(False, 'Rate limit exceeded. Tier limit: 5')")
}

func TestArticleLayerPython(t *testing.T) {
	code := snippet{file: "ip-intelligence-layer.txt", from: "import os", to: `            detail="Anonymizers are not permitted."`}.code(t, serveIPASIS(t)) + "        )\n"
	python(t, code, `
import asyncio

def ask(ip):
    request = type("R", (), {"client": type("C", (), {"host": ip})})
    try:
        asyncio.run(enforce_clean_ip(request))
        return "allowed"
    except HTTPException as e:
        return e.status_code

print(ask("146.70.1.1"), ask("8.8.8.8"), ask("146.70.1.1"), len(cache.values))
`, "403 allowed 403 2")
}

func TestArticleLatencyNode(t *testing.T) {
	program := proxytest.Need(t, "node", "nodejs")
	code := snippet{file: "low-latency-ip-intelligence.txt", from: "const axios = require('axios');", to: "}"}.code(t, serveIPASIS(t))
	standins, err := filepath.Abs("testdata/standins/node")
	if err != nil {
		t.Fatal(err)
	}
	runs(t, map[string]string{"main.cjs": code + `
console.error = () => {};
async function ask(ip, want) {
  let said;
  for (let i = 0; i < 50 && said !== want; i++) {
    said = undefined;
    const res = { status: (n) => ({ json: (body) => { said = n + " " + body.error; } }) };
    await ipRiskMiddleware({ ip }, res, () => { said ??= "next"; });
  }
  return said;
}
(async () => console.log(await ask("146.70.1.1", "403 Anonymizer detected"), await ask("8.8.8.8", "next"), await ask("146.70.1.1", "403 Anonymizer detected")))();
`}, []string{"NODE_PATH=" + proxytest.NodeModules(t, "clients") + string(filepath.ListSeparator) + standins, "IPASIS_KEY=any"},
		"403 Anonymizer detected next 403 Anonymizer detected", program, "main.cjs")
}

func TestArticleArchitectureNode(t *testing.T) {
	program := proxytest.Need(t, "node", "nodejs")
	code := snippet{file: "architecture-patterns.txt", from: "export default async function handler(req) {", to: "return fetch(req);"}.code(t, serveIPASIS(t)) + "}\n"
	runs(t, map[string]string{"handler.mjs": code, "main.mjs": `
import handler from "./handler.mjs";
const ask = globalThis.fetch;
globalThis.fetch = (what) => (what instanceof Request ? new Response("origin") : ask(what));
const says = async (ip) => {
  const r = await handler(new Request("http://shop.example/", { headers: { "x-forwarded-for": ip } }));
  return r.status + " " + (await r.text());
};
console.log(await says("66.249.66.1"), await says("8.8.8.8"));
`}, []string{"IPASIS_KEY=any"}, `403 {"error":"Proxy detected"} 200 origin`, program, "main.mjs")
}

// goProgram runs two files of one package.
func goProgram(t *testing.T, code, driver, want string) {
	t.Helper()
	runs(t, map[string]string{"go.mod": "module article\n\ngo 1.26.0\n", "article.go": code, "main.go": driver},
		[]string{"GOFLAGS=-mod=mod", "GOWORK=off"}, want, proxytest.Need(t, "go", "golang"), "run", ".")
}

func TestArticleLatencyGo(t *testing.T) {
	code := snippet{file: "low-latency-ip-intelligence.txt", from: "package main", to: "	return &data, nil"}.code(t, serveIPASIS(t)) + "}\n"
	goProgram(t, code, `package main

import "fmt"

func main() {
	for _, ip := range []string{"146.70.1.1", "8.8.8.8"} {
		r, err := checkIP(ip)
		for i := 0; err != nil && i < 50; i++ {
			r, err = checkIP(ip)
		}
		fmt.Println(*r, err)
	}
}
`, "{false true DE} <nil>\n{false false US} <nil>")
}

func TestArticleArchitectureGo(t *testing.T) {
	code := snippet{file: "architecture-patterns.txt", from: "package main", to: "flagUserForReview(userID)"}.code(t, serveIPASIS(t)) + "}\n}\n"
	goProgram(t, code, `package main

import "fmt"

func getKey() string { return "any" }

func flagUserForReview(id string) { fmt.Println("flagged", id) }

func main() {
	processLogEvent("8.8.8.8", "u1")
	processLogEvent("146.70.1.1", "u2")
}
`, "flagged u2")
}
