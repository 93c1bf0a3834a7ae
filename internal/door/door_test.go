package door

import (
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
)

func TestRefusal(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer Answer
		want   int
	}{
		{"nothing decided", Answer{}, 503},
		{"nothing decided, with a status that would pass", Answer{Status: 200}, 503},
		{"block", Answer{Verdict: ipwarden.Block}, 403},
		{"block with a status", Answer{Verdict: ipwarden.Block, Status: 451}, 451},
		{"block with no status of HTTP", Answer{Verdict: ipwarden.Block, Status: 1000}, 403},
		{"throttle", Answer{Verdict: ipwarden.Throttle}, 429},
		{"challenge", Answer{Verdict: ipwarden.Challenge, Location: "/x"}, 302},
		{"challenge, temporary", Answer{Verdict: ipwarden.Challenge, Status: 307, Location: "/x"}, 307},
		{"challenge with nowhere to go", Answer{Verdict: ipwarden.Challenge}, 403},
		{"redirect with nowhere to go", Answer{Verdict: ipwarden.Block, Status: 302}, 403},
		{"block that redirects", Answer{Verdict: ipwarden.Block, Status: 303, Location: "/sorry"}, 303},
	} {
		if got := c.answer.Refusal(); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestPasses(t *testing.T) {
	for _, c := range []struct {
		answer Answer
		want   bool
	}{
		{Answer{}, false},
		{Answer{Verdict: ipwarden.Allow}, true},
		{Answer{Verdict: ipwarden.Flag, Location: "/unused"}, true},
		{Answer{Verdict: ipwarden.StepUp, Status: 302}, true}, // nowhere to go
		{Answer{Verdict: ipwarden.Allow, Status: 302, Location: "/sv/"}, false},
		{Answer{Verdict: ipwarden.Block}, false},
	} {
		if got := c.answer.Passes(); got != c.want {
			t.Errorf("%+v: %v", c.answer, got)
		}
	}
}

func TestReset(t *testing.T) {
	a := Answer{Verdict: ipwarden.Allow, Status: 403, RetryAfter: 5, Location: "/", Type: "text/plain", Body: []byte("x")}
	a.SetUpstream("X-Ipwarden-Risk", "1")
	a.SetReply("Ratelimit", "1")
	a.Reset()
	if a.Verdict != ipwarden.NoVerdict || a.Status != 0 || a.RetryAfter != 0 || a.Location != "" || a.Type != "" ||
		len(a.Body)+len(a.Upstream)+len(a.Reply) != 0 {
		t.Errorf("after Reset: %+v", a)
	}
	if got := a.Upstream[:1][0]; got != (Field{}) {
		t.Errorf("a reset answer still holds %q", got)
	}
}

func TestHost(t *testing.T) {
	for in, want := range map[string]string{
		"":                   "",
		"example.com":        "example.com",
		"Example.COM":        "example.com",
		"example.com:8443":   "example.com",
		"EXAMPLE.com:80":     "example.com",
		"example.com:":       "example.com",
		"[2001:DB8::1]:8443": "[2001:db8::1]",
		"[2001:db8::1]":      "[2001:db8::1]",
		"192.0.2.1:80":       "192.0.2.1",
		"Example.com.":       "example.com",
		"example.com.:80":    "example.com",
		".":                  "",
		"admin.example:x":    "admin.example", "admin.example:80:x": "admin.example", "Admin.example.:80.": "admin.example",
		"[2001:db8::1]:80:x": "[2001:db8::1]", "admin.example:80]": "admin.example", "[2001:db8::1": "[2001:db8::1",
	} {
		if got := Host(in); got != want {
			t.Errorf("Host(%q) = %q, want %q", in, got, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { Host("example.com:8443") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestPeersCheck(t *testing.T) {
	bad := Peers{MaxConns: -1, Allowed: []netip.Prefix{
		{}, netip.MustParsePrefix("::ffff:10.0.0.0/104"), netip.MustParsePrefix("0.0.0.0/0"),
	}}
	err := bad.Check()
	if err == nil {
		t.Fatal("taken")
	}
	for _, want := range []string{"a network of Allowed is none", "::ffff:10.0.0.0/104", "0.0.0.0/0 in Allowed is everybody", "MaxConns is -1"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if _, err := Listen(nil, bad); err == nil {
		t.Error("Listen takes it")
	}
	if err := (Peers{}).Check(); err != nil {
		t.Errorf("the zero value: %v", err)
	}
}

func TestAllowed(t *testing.T) {
	ten := []netip.Prefix{netip.MustParsePrefix("10.1.2.3/8"), netip.MustParsePrefix("2001:db8::/32")}
	for _, c := range []struct {
		allowed []netip.Prefix
		from    string
		want    bool
	}{
		{nil, "127.0.0.1", true},
		{nil, "127.1.2.3", true},
		{nil, "::1", true},
		{nil, "::ffff:127.0.0.1", true},
		{nil, "10.0.0.5", false},
		{nil, "2002:7f00:1::1", false},         // 6to4 of 127.0.0.1
		{nil, "64:ff9b::7f00:1", false},        // NAT64 of 127.0.0.1
		{nil, "::127.0.0.1", false},            // deprecated, RFC 4291 section 2.5.5.1
		{[]netip.Prefix{}, "127.0.0.1", false}, // nobody but Unix sockets
		{ten, "10.200.0.1", true},
		{ten, "::ffff:10.200.0.1", true},
		{ten, "2001:db8::7%eth0", true},
		{ten, "127.0.0.1", false},
	} {
		l, err := Listen(nil, Peers{Allowed: c.allowed})
		if err != nil {
			t.Fatal(err)
		}
		if got := l.allows(net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(c.from), 1))); got != c.want {
			t.Errorf("allowed %v: %s is %v", c.allowed, c.from, got)
		}
	}
}

// A full listener accepts the next peer when one ends, closing twice frees one
// slot, and Close ends an Accept that waits.
func TestListener(t *testing.T) {
	plain, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := Listen(plain, Peers{Allowed: []netip.Prefix{}, MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			c, err := l.Accept()
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					t.Error(err)
				}
				return
			}
			accepted <- c
		}
	}()
	for range 2 {
		c, err := net.Dial("unix", plain.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	first := <-accepted
	select {
	case <-accepted:
		t.Fatal("a second connection while the first is open")
	case <-time.After(20 * time.Millisecond):
	}
	first.Close()
	first.Close()
	<-accepted
	if len(l.slots) != 1 {
		t.Errorf("%d slots in use", len(l.slots))
	}
	l.Close()
	if _, open := <-accepted; open {
		t.Error("accepted after Close")
	}
}

func TestRefused(t *testing.T) {
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := Listen(plain, Peers{Allowed: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _, _ = l.Accept() }()
	c, err := net.Dial("tcp", plain.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil || errors.Is(err, net.ErrClosed) {
		t.Errorf("read %d bytes, %v", n, err)
	}
	l.Close()
	<-done
	if l.Refused() != 1 {
		t.Errorf("%d refused", l.Refused())
	}
}
