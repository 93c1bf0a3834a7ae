package dnsbl

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// rbldnsd starts the server that most lists run on, with the zones of testdata,
// which are in dir then.
func rbldnsd(t *testing.T, addr string) (p *proxytest.Process, dir string) {
	t.Helper()
	program := proxytest.Need(t, "rbldnsd", "rbldnsd")
	dir = t.TempDir()
	for _, name := range []string{"list.ip4", "list.ip6"} {
		proxytest.Config(t, dir, "testdata/"+name)
	}
	args := []string{
		"-n", "-b", strings.Replace(addr, ":", "/", 1), "-w", dir, "-t", "300", "-c", "0",
		"bl.ipwarden.test:ip4set:list.ip4", "bl.ipwarden.test:ip6trie:list.ip6",
	}
	if os.Getuid() == 0 { // as which it does not run; the other user must get at the files
		args = append([]string{"-u", "nobody:nogroup"}, args...)
		for _, d := range []string{filepath.Dir(dir), dir} {
			if err := os.Chmod(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	return proxytest.StartUntil(t, dir, "answers on "+addr, func() bool { return answers(t, addr) }, program, args...), dir
}

func answers(t *testing.T, addr string) bool {
	cfg := Config{Resolvers: []string{addr}, Timeout: time.Second, Tries: 1, Dial: (&net.Dialer{}).DialContext}
	a, err := newResolver(&cfg).ask(t.Context(), queryName(mustList4, ".bl.ipwarden.test."), dns.TypeA)
	return err == nil && len(a.addrs) > 0
}

// unbound starts a recursive resolver that has the zone from rbldnsd.
func unbound(t *testing.T, rbldnsd string) string {
	t.Helper()
	program := proxytest.Need(t, "unbound", "unbound")
	addr, dir := proxytest.FreeAddr(t), t.TempDir()
	var big strings.Builder
	for i := range 20 {
		fmt.Fprintf(&big, "\tlocal-data: 'big.ipwarden.test. 60 TXT \"%03d %s\"'\n", i, strings.Repeat("x", 180))
	}
	host, port, _ := net.SplitHostPort(addr)
	conf := filepath.Join(dir, "unbound.conf")
	err := os.WriteFile(conf, []byte(`server:
	interface: `+host+`
	port: `+port+`
	username: ""
	chroot: ""
	directory: "`+dir+`"
	pidfile: ""
	use-syslog: no
	num-threads: 1
	do-daemonize: no
	do-not-query-localhost: no
	module-config: "iterator"
	local-zone: "test." nodefault
	local-zone: "ipwarden.test." transparent
`+big.String()+`remote-control:
	control-enable: no
stub-zone:
	name: "bl.ipwarden.test."
	stub-addr: `+strings.Replace(rbldnsd, ":", "@", 1)+`
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	proxytest.StartUntil(t, dir, "answers on "+addr, func() bool { return answers(t, addr) }, program, "-d", "-c", conf)
	return addr
}

func testZone() Zone {
	return Zone{
		Name: "bl.ipwarden.test", Listing: "The list", IPv6: true, Text: true,
		Codes: codes(map[byte]Code{2: spam, 3: attack, 4: botnet, 10: {}}),
	}
}

// Against the server that lists run on, directly and through a resolver.
func TestRealServers(t *testing.T) {
	list := proxytest.FreeAddr(t)
	rbldnsd(t, list)
	t.Run("rbldnsd", func(t *testing.T) { realServer(t, list) })
	t.Run("unbound", func(t *testing.T) {
		addr := unbound(t, list)
		realServer(t, addr)
		// What does not fit into a datagram comes over TCP.
		cfg := Config{Resolvers: []string{addr}, Timeout: long, Tries: 1, Dial: (&net.Dialer{}).DialContext}
		a, err := newResolver(&cfg).ask(t.Context(), "big.ipwarden.test.", dns.TypeTXT)
		if err != nil || len(a.text) < 180 {
			t.Errorf("%+v %v", a, err)
		}
	})
}

func realServer(t *testing.T, addr string) {
	l, err := New(Config{Resolvers: []string{addr}, Zones: []Zone{testZone()}, Wait: true, Timeout: 5 * time.Second, Budget: long})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, c := range []struct {
		addr   string
		traits ipwarden.Traits
		rows   string
		note   string
	}{
		{"81.2.69.142", ipwarden.Abuser, "The list", ": Listed, see https://bl.ipwarden.test/?81.2.69.142"},
		{"::ffff:81.2.69.142", ipwarden.Abuser, "The list", "127.0.0.2, TTL "},
		{"81.2.69.77", 0, "", ""},
		{"5.188.10.7", ipwarden.Attacker, "The list", "127.0.0.4"},
		{"5.188.10.8", 0, "", ""},
		{"2.125.160.1", 0, "", ""},
		{"2a02:6b8:bad:1::1", ipwarden.Attacker, "The list", "127.0.0.3"},
		{"2a02:6b8:bae:1::1", 0, "", ""},
		{"192.0.2.1", 0, "", ""},
	} {
		r, err := l.Lookup(t.Context(), netip.MustParseAddr(c.addr))
		if err != nil {
			t.Errorf("%s: %v", c.addr, err)
			continue
		}
		rows, notes := "", ""
		for _, row := range r.Security().Listings {
			rows += row.Name
		}
		for _, e := range r.Evidence() {
			notes += e.By[0].Note + "\n"
		}
		if r.Traits() != c.traits || rows != c.rows || !strings.Contains(notes, c.note) || (notes == "") != (c.note == "") {
			t.Errorf("%s: %v %q %q", c.addr, r.Traits().Names(), rows, notes)
		}
	}
	if h := l.Health()[0]; h.State != On || h.Unanswered != 0 || len(h.Controls) != 4 {
		t.Errorf("%+v", h)
	}
}

// A server that is stopped, one that lists everything, and back again each time.
func TestZoneGoesAndComesBack(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	server, dir := rbldnsd(t, addr)
	var alarms strings.Builder
	l, err := New(Config{
		Resolvers: []string{addr}, Zones: []Zone{testZone()}, Wait: true,
		Timeout: 300 * time.Millisecond, Budget: 2 * time.Second, CheckEvery: 50 * time.Millisecond,
		Log: slog.New(slog.NewTextHandler(&alarms, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	defer func() {
		if !closed {
			l.Close()
		}
	}()
	becomes := func(s State, why string) {
		t.Helper()
		proxytest.Eventually(t, "the zone is "+s.String()+" "+why, func() bool {
			h := l.Health()[0]
			return h.State == s && strings.Contains(h.Reason, why)
		})
	}
	becomes(On, "")
	server.Signal(syscall.SIGSTOP)
	becomes(Off, "does not answer in time")
	server.Signal(syscall.SIGCONT)
	becomes(On, "")

	file := filepath.Join(dir, "list.ip4")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		// rbldnsd takes up a file whose time has changed, in whole seconds.
		when := time.Now().Add(time.Duration(len(text)) * time.Second)
		if err := os.Chtimes(file, when, when); err != nil {
			t.Fatal(err)
		}
		server.Signal(syscall.SIGHUP)
	}
	write(string(good) + ":127.0.0.2:gone\n127.0.0.0/8\n")
	becomes(Off, "perhaps everything")
	write(string(good))
	becomes(On, "")
	write(strings.ReplaceAll(string(good), "127.0.0.2\n81", "81"))
	becomes(Off, "empty, or gone")
	l.Close()
	closed = true
	if s := alarms.String(); strings.Count(s, "level=WARN") < 3 || strings.Count(s, "level=INFO") < 2 {
		t.Errorf("%s", s)
	}
}
