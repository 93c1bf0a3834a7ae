package play

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// A vendor stands in for one that is paid by the look-up: of each network of 256
// addresses it says the same.
type vendor struct {
	*httptest.Server
	calls atomic.Int64
	hang  atomic.Bool
	delay atomic.Int64
	ended chan struct{}
	mu    sync.Mutex
	asked map[string]int // guarded by mu
}

func startVendor(t *testing.T) *vendor {
	t.Helper()
	v := &vendor{ended: make(chan struct{}), asked: map[string]int{}}
	v.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v.calls.Add(1)
		addr, err := netip.ParseAddr(strings.TrimPrefix(r.URL.Path, "/"))
		switch {
		case r.Header.Get("Authorization") != "Bearer sesame":
			http.Error(w, "no", http.StatusUnauthorized)
			return
		case err != nil:
			http.Error(w, "no", http.StatusBadRequest)
			return
		}
		v.mu.Lock()
		v.asked[addr.String()]++
		v.mu.Unlock()
		if v.hang.Load() {
			select {
			case <-v.ended:
			case <-r.Context().Done():
			}
			return
		}
		time.Sleep(time.Duration(v.delay.Load()))
		network, _ := addr.Prefix(24)
		fmt.Fprintf(w, `{"ip":%q,"network":%q,"country":"IS","vpn":true,"operator":"Hider"}`, addr, network)
	}))
	t.Cleanup(func() { close(v.ended); v.Close() })
	return v
}

const vendorMap = `name: vendor
url: http://127.0.0.1/{ip}
licence: vendor terms
headers: {Authorization: "Bearer {key}"}
network: network
fields:
  location.country_code: country
  security.is_vpn: vpn
  security.vpn.name: operator
`

// asker is a server that has a provider behind it.
type asker struct {
	*proxytest.Process
	url, admin, dir string
}

// startAsker starts "ipwarden serve" with a provider; more is added to its entry in
// the file, and rest to the file.
func startAsker(t *testing.T, v *vendor, more, rest string, args ...string) *asker {
	t.Helper()
	dir := t.TempDir()
	if !strings.Contains(more, "key_file:") {
		more += ", key_file: key"
	}
	write(t, filepath.Join(dir, "map.yaml"), vendorMap)
	write(t, filepath.Join(dir, "key"), "sesame\n")
	write(t, filepath.Join(dir, "seed"), "a secret of all nodes\n")
	write(t, filepath.Join(dir, "providers.yaml"), "providers:\n  - {name: vendor, kind: generic, map: map.yaml, url: \""+v.URL+"/{ip}\""+more+"}\n"+rest)
	a := &asker{url: proxytest.FreeAddr(t), admin: proxytest.FreeAddr(t), dir: dir}
	a.Process = proxytest.Start(t, dir, a.url, program(t), append([]string{
		"serve", "--listen", a.url, "--admin-listen", a.admin, "--providers", "providers.yaml", "--cache-seed-file", "seed",
	}, args...)...)
	a.url = "http://" + a.url
	return a
}

type known struct {
	Location struct {
		Country string `json:"country_code"`
	}
	Security struct {
		VPN bool `json:"is_vpn"`
	}
	pending bool
	took    time.Duration
}

var patient = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64, MaxConnsPerHost: 64}}

// look looks an address up.
func (a *asker) look(t *testing.T, addr string) (k known) {
	t.Helper()
	start := time.Now()
	r, err := patient.Get(a.url + "/v1/ip/" + addr)
	if err != nil {
		t.Error(err)
		return k
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Errorf("%s: %d %v %s", addr, r.StatusCode, err, b)
		return k
	}
	if err := json.Unmarshal(b, &k); err != nil {
		t.Error(err)
	}
	k.pending, k.took = r.Header.Get("Ipwarden-Pending") != "", time.Since(start)
	return k
}

// A thousand visitors of one network come at once, to two nodes that have not seen
// it: the provider is asked once.
func TestThousandFirstQuestions(t *testing.T) {
	for _, store := range []string{"redis", "memcached"} {
		t.Run(store, func(t *testing.T) {
			v := startVendor(t)
			v.delay.Store(int64(100 * time.Millisecond))
			addr := proxytest.FreeAddr(t)
			switch host, port, _ := net.SplitHostPort(addr); store {
			case "redis":
				proxytest.Redis(t, addr)
			default:
				proxytest.Start(t, t.TempDir(), addr, proxytest.Need(t, "memcached", "memcached"), "-l", host, "-p", port, "-U", "0", "-u", "nobody")
			}
			// These are busy machines.
			url := map[string]string{"redis": "redis://" + addr, "memcached": "memcached://" + addr + "?timeout=10s"}[store]
			var nodes []*asker
			for range 2 {
				nodes = append(nodes, startAsker(t, v, "", "intelligence: strict\nbudget: 20s\nstore_timeout: 10s\n", "--cache", url))
			}
			var wg sync.WaitGroup
			for i := range 1000 {
				wg.Go(func() {
					if k := nodes[i%2].look(t, fmt.Sprintf("52.93.7.%d", i%256)); !k.Security.VPN || k.Location.Country != "IS" || k.pending {
						t.Errorf("%+v", k)
					}
				})
			}
			wg.Wait()
			if n := v.calls.Load(); n != 1 {
				t.Errorf("the provider was asked %d times: %v", n, v.asked)
			}
			// A third node that comes later need not ask.
			late := startAsker(t, v, "", "intelligence: strict\nbudget: 20s\nstore_timeout: 10s\n", "--cache", url)
			if k := late.look(t, "52.93.7.200"); !k.Security.VPN || v.calls.Load() != 1 {
				t.Errorf("%+v after %d calls", k, v.calls.Load())
			}
		})
	}
}

// The first answer does not wait; a later one has what the provider said.
func TestAsyncProvider(t *testing.T) {
	v := startVendor(t)
	a := startAsker(t, v, "", "")
	if k := a.look(t, "52.93.7.1"); k.Security.VPN || !k.pending {
		t.Errorf("%+v", k)
	}
	proxytest.Eventually(t, "the provider's answer is there", func() bool {
		k := a.look(t, "52.93.7.2")
		return k.Security.VPN && !k.pending
	})
	if n := v.calls.Load(); n != 1 {
		t.Errorf("%d calls", n)
	}
	// Nobody's addresses are nobody's business.
	for _, addr := range []string{"10.0.0.1", "192.168.1.1", "127.0.0.1", "fe80::1", "::ffff:10.1.1.1"} {
		a.look(t, addr)
	}
	if n := v.calls.Load(); n != 1 {
		t.Errorf("%d calls after addresses that are nobody's: %v", n, v.asked)
	}
}

// Names, paths and URLs are no addresses, nobody's addresses are nobody's business
// outside, and a header that nobody vouches for names nobody (G1, G8): the provider is
// not asked. All spellings of one address are one question, of its canonical text (G2).
func TestG1G2G8WithAProvider(t *testing.T) {
	v := startVendor(t)
	a := startAsker(t, v, "", "intelligence: strict\nbudget: 20s\n")
	get := func(path string) int {
		t.Helper()
		q, err := http.NewRequestWithContext(t.Context(), "GET", a.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		q.URL.Opaque = path // as it is, without being cleaned
		for _, name := range []string{"X-Forwarded-For", "X-Real-Ip", "True-Client-Ip", "Cf-Connecting-Ip"} {
			q.Header.Set(name, "52.93.9.9")
		}
		q.Header.Set("Forwarded", "for=52.93.9.9")
		r, err := patient.Transport.RoundTrip(q)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, r.Body)
		r.Body.Close()
		return r.StatusCode
	}
	for _, what := range []string{
		"localhost", "metadata.google.internal", "http://10.0.0.1/", "http:%2f%2f10.0.0.1", "..%2fadmin", "52.93.9.9.", "0x34.93.9.9", "878512393", "52.93.009.9",
		"52.93.9.9%00", "52.93.9.9%0d%0aX-A:%20b", "52.93.9.9@10.0.0.1", "52.93.9.9,52.93.9.10", "[52.93.9.9]",
	} {
		if status := get("/v1/ip/" + what); status < 400 || status >= 500 {
			t.Errorf("%s: %d", what, status)
		}
	}
	for _, what := range []string{
		"169.254.169.254", "100.64.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1", "198.51.100.1", "::1", "fc00::1", "fe80::1%25eth0", "::ffff:169.254.169.254",
		"64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "", // who asks
	} {
		path := "/v1/ip/" + what
		if what == "" {
			path = "/v1/ip"
		}
		if status := get(path); status != http.StatusOK {
			t.Errorf("%s: %d", what, status)
		}
	}
	if n := v.calls.Load(); n != 0 {
		t.Errorf("asked %d times: %v", n, v.asked)
	}
	for _, what := range []string{"52.93.9.9", "::ffff:52.93.9.9", "::FFFF:345D:0909", "64:ff9b::345d:909", "2002:345d:909:1::1", "52.93.9.10"} {
		if status := get("/v1/ip/" + what); status != http.StatusOK {
			t.Errorf("%s: %d", what, status)
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.asked) != 1 || v.asked["52.93.9.9"] != 1 {
		t.Errorf("asked %v", v.asked)
	}
}

// A provider that hangs costs each request its budget until it is left alone, and
// nothing from then on.
func TestProviderHangs(t *testing.T) {
	v := startVendor(t)
	v.hang.Store(true)
	a := startAsker(t, v, ", timeout: 300ms, breaker: {least: 3, pause: 1h}", "intelligence: sync\nbudget: 100ms\n")
	waited := 0
	proxytest.Eventually(t, "the provider is left alone", func() bool {
		waited++
		k := a.look(t, fmt.Sprintf("52.93.%d.1", waited%256))
		if k.took > 10*time.Second || k.Location.Country == "" {
			t.Fatalf("%+v", k)
		}
		return strings.Contains(a.Output(), "it is left alone for a while")
	})
	before := v.calls.Load()
	for i := range 20 {
		a.look(t, fmt.Sprintf("54.240.%d.1", i))
	}
	if n := v.calls.Load() - before; n > 0 {
		t.Errorf("%d calls of a provider that is left alone", n)
	}
	r, err := http.Get("http://" + a.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	metrics, _ := io.ReadAll(r.Body)
	for _, want := range []string{`ipwarden_provider_breaker_open{provider="vendor"} 1`, "ipwarden_provider_failopen_total "} {
		if !strings.Contains(string(metrics), want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
}

// That a key is refused is told: once in the log, in /readyz, in the metrics, and by
// "provider check". Requests go on from the data, and the provider is not asked for
// each of them.
func TestKeyRefused(t *testing.T) {
	v := startVendor(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "wrong"), "open\n")
	a := startAsker(t, v, ", key_file: "+filepath.Join(dir, "wrong"), "intelligence: sync\nbudget: 20s\n")
	for i := range 50 {
		if k := a.look(t, fmt.Sprintf("52.93.%d.1", i)); k.Location.Country == "" {
			t.Errorf("%+v", k)
		}
	}
	if n := v.calls.Load(); n > 5 { // one, and one each ten seconds at first
		t.Errorf("%d calls with a wrong key", n)
	}
	if n := strings.Count(a.Output(), "a provider refuses the key"); n != 1 || strings.Contains(a.Output(), "open") {
		t.Errorf("logged %d times: %s", n, a.Output())
	}
	for path, want := range map[string]string{
		"/readyz":  "\nprovider vendor refuses the key since ",
		"/metrics": `ipwarden_provider_key_refused{provider="vendor"} 1`,
	} {
		r, err := http.Get("http://" + a.admin + path)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if r.StatusCode != http.StatusOK || !strings.Contains(string(b), want) {
			t.Errorf("%s: %d, no %q", path, r.StatusCode, want)
		}
	}
	check := func(file string) (string, error) {
		c := exec.CommandContext(t.Context(), program(t), "provider", "check", "--ask", "8.8.8.8", file)
		c.Dir = a.dir
		out, err := c.CombinedOutput()
		return string(out), err
	}
	if out, err := check("providers.yaml"); err == nil || !strings.Contains(out, "providers.yaml: vendor: the key was refused (HTTP 401)") {
		t.Errorf("%v: %s", err, out)
	}
	write(t, filepath.Join(dir, "wrong"), "sesame\n")
	if out, err := check("providers.yaml"); err != nil || !strings.Contains(out, "providers.yaml: vendor answers\n") {
		t.Errorf("%v: %s", err, out)
	}
}

// A file with a mistake leaves the providers as they are, and one without changes
// them, and keeps what was paid for.
func TestReloadProviders(t *testing.T) {
	v := startVendor(t)
	a := startAsker(t, v, "", "intelligence: strict\nbudget: 20s\n")
	a.look(t, "52.93.7.1")
	file := filepath.Join(a.dir, "providers.yaml")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, "providers: [{kind: nobody}]\n")
	proxytest.Eventually(t, "the mistake is told", func() bool { return strings.Contains(a.Output(), "the providers were not reloaded") })
	if k := a.look(t, "52.93.7.3"); !k.Security.VPN {
		t.Errorf("%+v", k)
	}
	write(t, file, strings.Replace(string(good), "intelligence: strict", "intelligence: local", 1))
	proxytest.Eventually(t, "the other file is in use", func() bool { return strings.Count(a.Output(), "msg=reloaded ") > 0 })
	if k := a.look(t, "52.93.7.4"); !k.Security.VPN || v.calls.Load() != 1 {
		t.Errorf("%+v after %d calls", k, v.calls.Load())
	}
	if k := a.look(t, "52.94.7.4"); k.Security.VPN || v.calls.Load() != 1 {
		t.Errorf("%+v after %d calls", k, v.calls.Load())
	}
}

// Documentation addresses are asked about where an overlay says that they are
// ordinary, and a route of the policy says how long its decisions wait.
func TestProviderBehindTheGate(t *testing.T) {
	v := startVendor(t)
	v.delay.Store(int64(50 * time.Millisecond))
	dir := t.TempDir()
	overlay, policy := filepath.Join(dir, "overlay.yaml"), filepath.Join(dir, "policy.yaml")
	write(t, overlay, "entries:\n  - {network: 203.0.113.0/24, facts: {security.is_bogon: false}, reason: test, owner: test}\n")
	write(t, policy, `version: 1
rules:
  - {name: vpn, when: ip.security.is_vpn, action: block}
routes:
  - {name: login, path: /login, intelligence: strict, fail_mode: closed, budget: 10s}
  - {name: assets, path: /assets/*, intelligence: local}
`)
	write(t, filepath.Join(dir, "token"), "0123456789abcdef0123456789abcdef\n")
	a := startAsker(t, v, "", "", "--overlay", overlay, "--policy", policy, "--service-token-file", filepath.Join(dir, "token"))
	decide := func(path, ip string) (verdict string, pending bool) {
		t.Helper()
		body := fmt.Sprintf(`{"ip":%q,"method":"GET","host":"example.org","path":%q}`, ip, path)
		q, err := http.NewRequestWithContext(t.Context(), "POST", a.url+"/v1/decide", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Content-Type", "application/json")
		q.Header.Set("Authorization", "Bearer 0123456789abcdef0123456789abcdef")
		r, err := patient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		var d struct {
			Verdict string
			Pending bool
		}
		if err := json.Unmarshal(b, &d); err != nil || d.Verdict == "" {
			t.Fatalf("%d %s", r.StatusCode, b)
		}
		return d.Verdict, d.Pending
	}
	for _, c := range []struct {
		path, ip, verdict string
		pending           bool
		calls             int64
	}{
		{"/assets/a.css", "203.0.113.9", "allow", false, 0}, // nobody is asked
		{"/login", "203.0.113.9", "block", false, 1},
		{"/assets/a.css", "203.0.113.10", "block", false, 1}, // what is known counts
		{"/login", "198.51.100.1", "allow", false, 1},        // nobody's address
		{"/", "52.93.7.1", "allow", true, 1},                 // async; asked behind it
	} {
		verdict, pending := decide(c.path, c.ip)
		if calls := v.calls.Load(); verdict != c.verdict || pending != c.pending || calls < c.calls || calls > c.calls+1 {
			t.Errorf("%s of %s: %s, pending %v after %d calls; want %s, %v, %d", c.path, c.ip, verdict, pending, calls, c.verdict, c.pending, c.calls)
		}
	}
	proxytest.Eventually(t, "the next decision knows more", func() bool {
		verdict, pending := decide("/", "52.93.7.2")
		return verdict == "block" && !pending
	})
}
