package play

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// TestGatewayTakesOutcomes plays failed log-ins at "ipwarden gateway" with an
// application that answers 200 whatever the password, and tells what became of it at
// the listener for that: over a Unix socket, and with the service token over TCP.
func TestGatewayTakesOutcomes(t *testing.T) {
	app, dir := proxytest.NewApp(t), t.TempDir()
	policy := strings.Replace(read(t, "../../examples/policy.yaml"), "budget: 5ms", "budget: 2s", 1)
	write(t, filepath.Join(dir, "policy.yaml"), policy)
	const token = "0123456789abcdef0123456789abcdef"
	write(t, filepath.Join(dir, "token"), token+"\n")
	world, err := filepath.Abs("testdata/world.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{name: "gateway", addr: proxytest.FreeAddr(t)}
	n := &node{unix: filepath.Join(dir, "service.sock")}
	start := func(service string) *proxytest.Process {
		// The test is the load balancer in front.
		return proxytest.Start(t, dir, p.addr, program(t), "gateway", "--policy", "policy.yaml", "--overlay", world,
			"--listen", p.addr, "--upstream", "http://"+app.Addr, "--trusted-proxies", "127.0.0.1",
			"--service-token-file", "token", "--service-listen", service, "--admin-listen", "unix:"+filepath.Join(dir, "admin.sock"))
	}
	n.Process = start("unix:" + n.unix)
	t.Run("log-ins", func(t *testing.T) { logins(t, p, n) })

	t.Run("what was decided", func(t *testing.T) {
		r := p.send(t, "GET", "/", home.next())
		id := r.Seen.Header.Get("X-Ipwarden-Decision")
		for _, socket := range []string{"service.sock", "admin.sock"} {
			text := overUnix(t, filepath.Join(dir, socket), "/v1/decisions/"+id)
			if !strings.Contains(text, id) || !strings.Contains(text, `"verdict":"allow"`) {
				t.Errorf("%s: %s", socket, text)
			}
		}
	})
	// Clients find nothing of it where they come: every path is the application's.
	t.Run("clients", func(t *testing.T) {
		for _, target := range []string{"/v1/outcome", "/v1/decide", "/v1/decisions/01ARYZ6S41TSV4RRFFQ69G5FAV", "/gate/nginx"} {
			before := app.Hits()
			if r := p.send(t, "POST", target, home.next(), "Authorization: Bearer "+token); r.Seen == nil || r.Seen.Path != target || app.Hits() != before+1 {
				t.Errorf("%s: %d, and the application saw %+v", target, r.Status, r.Seen)
			}
		}
	})
	n.Stop()

	t.Run("over TCP", func(t *testing.T) {
		// Who asks is 127.0.0.1, as the balancer is: what it passes on is its visitors'.
		service := proxytest.FreeAddr(t)
		n.Process = start(service)
		for _, c := range []struct {
			lines []string
			want  int
		}{
			{[]string{"X-Forwarded-For: 8.8.8.8"}, http.StatusForbidden},
			{[]string{"X-Forwarded-For: 8.8.8.8", "Authorization: Bearer " + strings.Repeat("0", 32)}, http.StatusForbidden},
			{[]string{"X-Forwarded-For: 8.8.8.8", "Authorization: Bearer " + token}, http.StatusNotFound}, // there is no such decision
		} {
			r := proxytest.Send(t, service, "POST", "/v1/outcome", `{"decision":"01ARYZ6S41TSV4RRFFQ69G5FAV","event":"login_failed"}`, c.lines...)
			if r.Status != c.want {
				t.Errorf("%v: %d, want %d: %s", c.lines, r.Status, c.want, r.Body)
			}
		}
	})
}

// overUnix gets a path over a socket.
func overUnix(t *testing.T, socket, path string) string {
	t.Helper()
	res, err := (&http.Client{Transport: unixTransport(socket), Timeout: time.Minute}).Get("http://localhost" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
