package play

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/proxytest"
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "ipwarden-play")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	built = filepath.Join(dir, "ipwarden")
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// built is where the program will be, and build makes it, once for all tests.
var (
	built string
	build = sync.OnceValues(func() ([]byte, error) {
		return exec.Command("go", "build", "-ldflags=-s -w", "-o", built, "../../cmd/ipwarden").CombinedOutput()
	})
)

// program is the real one.
func program(t *testing.T) string {
	t.Helper()
	if out, err := build(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return built
}

// ipwarden runs the program until it ends, in a folder, and returns what it says.
func ipwarden(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(t), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("ipwarden %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// A node is a gate that runs: "ipwarden gate" with a policy of its own.
type node struct {
	*proxytest.Process
	policy     string // the file
	unix, fast string // the paths of its sockets
	spoa       string
}

// seed keys the counts of all nodes.
const seed = "000102030405060708090a0b0c0d0e0f"

// startNode starts a node that decides by a policy, "" for that of "ipwarden
// policy init".
func startNode(t *testing.T, policy string, args ...string) *node {
	t.Helper()
	dir := t.TempDir()
	n := &node{
		policy: filepath.Join(dir, "policy.yaml"), unix: filepath.Join(dir, "ipwarden.sock"),
		fast: filepath.Join(dir, "fast.sock"), spoa: proxytest.FreeAddr(t),
	}
	if policy == "" {
		ipwarden(t, dir, "policy", "init")
	} else {
		write(t, n.policy, policy)
	}
	world, err := filepath.Abs("testdata/world.yaml")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "seed"), seed+"\n")
	// The test is the load balancer in front of HAProxy, on this machine.
	n.Process = proxytest.Start(t, dir, n.spoa, program(t), append([]string{
		"gate", "--policy", "policy.yaml", "--overlay", world,
		"--listen", "unix:" + n.unix + ",mode=0660", "--fast-listen", "unix:" + n.fast, "--spoa-listen", n.spoa,
		"--trusted-proxies", "127.0.0.1", "--limit-seed-file", "seed",
	}, args...)...)
	return n
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A proxy is one that asks a node.
type proxy struct {
	name, addr string
	reports    bool // it tells outcomes itself
}

// As they stand the proxies wait 50 ms for an answer, which a busy machine may
// take; where that is not what a test is about, it is more. The questions of
// nginx and Caddy go to the fast listener, as the page on proxies says that they
// may.
func proxies(t *testing.T, n *node, app *proxytest.App) []*proxy {
	t.Helper()
	var all []*proxy
	for _, name := range []string{"nginx", "haproxy", "caddy"} {
		all = append(all, oneProxy(t, name, n, app.Addr))
	}
	return all
}

func oneProxy(t *testing.T, name string, n *node, app string) *proxy {
	t.Helper()
	p := &proxy{name: name, addr: proxytest.FreeAddr(t), reports: name == "haproxy"}
	l := proxytest.Link{Addr: p.addr, App: app, Unix: n.unix, SPOA: n.spoa}
	switch name {
	case "nginx":
		proxytest.Nginx(t, "../nginx", l, "timeout 50ms;", "timeout 5s;", "timeout    50ms;", "timeout 5s;",
			"upstream app ", "upstream fast { server unix:"+n.fast+"; keepalive 64; }\n upstream app ",
			"http://ipwarden/gate/nginx", "http://fast/gate/nginx")
	case "haproxy":
		proxytest.HAProxy(t, "../haproxy", l, "timeout     processing 50ms", "timeout     processing 5s")
	case "caddy":
		proxytest.Caddy(t, "../caddy", l, "timeout 50ms", "timeout 5s",
			"reverse_proxy unix//run/ipwarden/ipwarden.sock {\n\t\t\tmethod GET", "reverse_proxy unix/"+n.fast+" {\n\t\t\tmethod GET")
	}
	proxytest.Eventually(t, name+" asks", func() bool {
		r, err := p.try(t, "GET", "/", dataCentre.next())
		return err == nil && r.Status == 403
	})
	return p
}

// try sends a request of a client; a load balancer in front has appended its
// address to what it claims to be.
func (p *proxy) try(t *testing.T, method, target, client string, lines ...string) (*proxytest.Reply, error) {
	return proxytest.Try(t, p.addr, method, target, "", append(lines, "X-Forwarded-For: 8.8.8.8", "X-Forwarded-For: "+client)...)
}

func (p *proxy) send(t *testing.T, method, target, client string, lines ...string) *proxytest.Reply {
	t.Helper()
	r, err := p.try(t, method, target, client, lines...)
	if err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	return r
}

// A kind of client, with 63 addresses that the world of testdata/world.yaml knows.
type kind struct {
	base string
	from int64
	used atomic.Int64
}

var (
	home        = &kind{base: "192.0.2.", from: 0}
	abroad      = &kind{base: "192.0.2.", from: 64}
	vpn         = &kind{base: "192.0.2.", from: 128}
	dataCentre  = &kind{base: "192.0.2.", from: 192}
	residential = &kind{base: "198.51.100.", from: 0}
	elsewhere   = &kind{base: "203.0.113.", from: 128} // residential, in another network
	mobile      = &kind{base: "198.51.100.", from: 64}
	crawler     = &kind{base: "198.51.100.", from: 128}
	tor         = &kind{base: "198.51.100.", from: 192}
	nobody      = &kind{base: "203.0.113.", from: 0}
)

// next is an address that no test has used; after 63 they come again.
func (k *kind) next() string {
	return fmt.Sprint(k.base, k.from+k.used.Add(1)%64)
}

// networks counts the IPv6 networks, /48, that were used.
var networks atomic.Int32

// reader is somebody abroad whom no test has seen.
func reader() string {
	n := networks.Add(1)
	return fmt.Sprintf("2001:db8:%x:%x::1", n&0xffff, n>>16)
}

// A tally is what many requests of one client met.
type tally struct {
	n        map[int]int
	passed   int // before the first that did not
	took     time.Duration
	limited  *proxytest.Reply // the first 429
	degraded int              // that the application was told of
}

// spend sends n requests, one after the other.
func (p *proxy) spend(t *testing.T, n int, target, client string) *tally {
	t.Helper()
	a := &tally{n: map[int]int{}}
	begun := time.Now()
	for range n {
		r := p.send(t, "GET", target, client)
		if a.n[r.Status]++; r.Status == 200 && len(a.n) == 1 {
			a.passed++
		}
		if r.Status == 429 && a.limited == nil {
			a.limited = r
		}
		if r.Seen != nil && r.Seen.Header.Get("X-Ipwarden-Degraded") == "true" {
			a.degraded++
		}
	}
	a.took = time.Since(begun)
	return a
}

// holds wants exactly limit of them let in, and what a limit of so many in a
// window gives back while they were sent.
func (a *tally) holds(t *testing.T, what string, limit int, window time.Duration) {
	t.Helper()
	back := int(a.took.Seconds() * float64(limit) / window.Seconds())
	if a.passed < limit || a.n[200] > limit+back || a.n[429] == 0 || len(a.n) != 2 {
		t.Errorf("%s: %d passed before the first that did not; statuses %v; want %d, and at most %d that came back in %v", what, a.passed, a.n, limit, back, a.took)
	}
	if a.limited != nil && (a.limited.Header.Get("Retry-After") == "" || !strings.Contains(a.limited.Header.Get("RateLimit"), ";r=0;")) {
		t.Errorf("%s: a refused client sees %v", what, a.limited.Header)
	}
}

// hangUp makes a node read its files again, and waits until it says so.
func (n *node) hangUp(t *testing.T, says string) {
	t.Helper()
	before := strings.Count(n.Output(), says)
	n.Signal(syscall.SIGHUP)
	proxytest.Eventually(t, "the node says: "+says, func() bool { return strings.Count(n.Output(), says) > before })
}
