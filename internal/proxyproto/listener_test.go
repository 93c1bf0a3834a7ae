package proxyproto_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/clientip"
	"github.com/ipwarden/ipwarden/internal/proxyproto"
)

const (
	balancer = "127.0.0.2" // may send a PROXY header
	stranger = "127.0.0.3"
	patience = time.Minute
)

// serve answers HTTP with what package clientip finds, and returns where, and
// the connections that were refused.
func serve(t *testing.T, l net.Listener, cfg proxyproto.Config) (addr net.Addr, refused chan error) {
	t.Helper()
	refused = make(chan error, 10)
	cfg.Refused = func(_ net.Addr, why error) { refused <- why }
	p, err := proxyproto.New(l, cfg)
	if err != nil {
		t.Fatal(err)
	}
	x, err := clientip.New(clientip.Config{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var peer netip.Addr
			if at, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
				peer = at.Addr()
			}
			c := x.From(peer, r.Header)
			fmt.Fprint(w, c.Status, " ", c.Addr)
		}),
		ReadHeaderTimeout: patience,
	}
	done := make(chan error)
	go func() { done <- s.Serve(p) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return l.Addr(), refused
}

func loopback(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// from connects from an address of the loopback network.
func from(t *testing.T, local string, to net.Addr) net.Conn {
	t.Helper()
	d := net.Dialer{Timeout: patience}
	if local != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(local)}
	}
	c, err := d.Dial(to.Network(), to.String())
	if err != nil {
		t.Skipf("no connection from %s, which not every system has: %v", local, err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

// answer is the body of the response, or "refused" for a connection that was
// ended without one.
func answer(t *testing.T, c net.Conn) string {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("neither an answer nor an end")
		}
		return "refused"
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		return res.Status
	}
	return string(body)
}

// v2 makes a header of version 2: command and family bytes, then the addresses.
func v2(command, family byte, addresses ...byte) string {
	return "\r\n\r\n\x00\r\nQUIT\n" + string([]byte{command, family, byte(len(addresses) >> 8), byte(len(addresses))}) + string(addresses)
}

var (
	v1Attacker = "PROXY TCP4 203.0.113.66 192.0.2.1 51234 443\r\n"
	v2Attacker = v2(0x21, 0x11, 203, 0, 113, 66, 192, 0, 2, 1, 200, 0, 1, 187)
	v2Mapped   = v2(0x21, 0x21, append(append(make([]byte, 10), 0xff, 0xff, 203, 0, 113, 66), append(make([]byte, 16), 200, 0, 1, 187)...)...)
)

// A18, A19, A20 of the catalogue, and what is near them.
func TestCatalogue(t *testing.T) {
	request := func(headers ...string) string {
		return "GET / HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n" + strings.Join(append(headers, "\r\n"), "\r\n")
	}
	plain := request()
	for _, c := range []struct {
		id, name string
		optional bool
		peer     string
		send     string
		want     string
	}{
		{"A18", "version 1 from a stranger", false, stranger, v1Attacker + plain, "refused"},
		{"A18", "version 2 from a stranger", false, stranger, v2Attacker + plain, "refused"},
		{"A18", "version 2, LOCAL, from a stranger", false, stranger, v2(0x20, 0) + plain, "refused"},
		{"A18", "from a stranger, where it is optional", true, stranger, v1Attacker + plain, "refused"},
		{"A18", "a stranger without one", false, stranger, plain, "direct " + stranger},
		{"A18", "version 1 from the balancer", false, balancer, v1Attacker + plain, "direct 203.0.113.66"},
		{"A18", "version 2 from the balancer", false, balancer, v2Attacker + plain, "direct 203.0.113.66"},
		{"A18", "a mapped address", false, balancer, v2Mapped + plain, "direct 203.0.113.66"},
		{"A18", "IPv6", false, balancer, "PROXY TCP6 2001:db8::7 2001:db8::1 51234 443\r\n" + plain, "direct 2001:db8::7"},
		{"A18", "the balancer without one", false, balancer, plain, "refused"},
		{"A18", "the balancer without one, where it is optional", true, balancer, plain, "direct " + balancer},
		{"A18", "two headers", false, balancer, v1Attacker + v1Attacker + plain, "400 Bad Request"},
		{"A18", "a leading zero", false, balancer, "PROXY TCP4 203.0.113.066 192.0.2.1 51234 443\r\n" + plain, "refused"},
		{"A18", "a zone", false, balancer, "PROXY TCP6 fe80::1%eth0 2001:db8::1 51234 443\r\n" + plain, "refused"},
		{"A18", "another family than it says", false, balancer, "PROXY TCP4 2001:db8::7 2001:db8::1 51234 443\r\n" + plain, "refused"},
		{"A18", "no end of the line", false, balancer, strings.TrimSuffix(v1Attacker, "\r\n") + strings.Repeat(" ", 200), "refused"},
		{"A18", "UDP", false, balancer, v2(0x21, 0x12, 203, 0, 113, 66, 192, 0, 2, 1, 200, 0, 1, 187) + plain, "refused"},
		{"A18", "too short for its family", false, balancer, v2(0x21, 0x11, 203, 0) + plain, "refused"},
		{"A18", "a command that is none", false, balancer, v2(0x2f, 0x11, 203, 0, 113, 66, 192, 0, 2, 1, 200, 0, 1, 187) + plain, "refused"},
		{"A18", "a command of none", false, balancer, v2(0x22, 0x11, 203, 0, 113, 66, 192, 0, 2, 1, 200, 0, 1, 187) + plain, "refused"},
		{"A18", "version 1 in version 2's words", false, balancer, v2(0x11, 0x11, 203, 0, 113, 66, 192, 0, 2, 1, 200, 0, 1, 187) + plain, "refused"},
		{"A18", "IPv6 as long as IPv4", false, balancer, v2(0x21, 0x21, 203, 0, 113, 66, 192, 0, 2, 1, 200, 0, 1, 187) + plain, "refused"},
		{"A18", "an unspecified family", false, balancer, v2(0x21, 0x00) + plain, "refused"},
		{"A18", "a Unix socket", false, balancer, v2(0x21, 0x31, make([]byte, 216)...) + plain, "refused"},
		{"A18", "what comes with the address", false, balancer, v2(0x21, 0x11, 203, 0, 113, 66, 192, 0, 2, 1, 200, 0, 1, 187, 2, 0, 4, 'e', 'v', 'i', 'l') + plain, "direct 203.0.113.66"},
		{"A18", "what comes with it and has no end", false, balancer, v2(0x21, 0x11, 203, 0, 113, 66, 192, 0, 2, 1, 200, 0, 1, 187, 2, 255, 255) + plain, "direct 203.0.113.66"},
		{"A18", "longer than anybody sends", false, balancer, v2(0x21, 0x11, make([]byte, 4097)...), "refused"},
		{"A18", "in small letters", false, balancer, strings.ToLower(v1Attacker) + plain, "refused"},
		{"A18", "two spaces", false, balancer, strings.Replace(v1Attacker, "TCP4 ", "TCP4  ", 1) + plain, "refused"},
		{"A18", "a port that is none", false, balancer, strings.Replace(v1Attacker, "51234", "65536", 1) + plain, "refused"},
		{"A18", "a line feed alone", false, balancer, strings.Replace(v1Attacker, "\r", "", 1) + plain, "refused"},
		{"A18", "more than there is to say", false, balancer, strings.Replace(v1Attacker, "\r", " 198.51.100.20\r", 1) + plain, "refused"},
		{"A18", "a mapped address in version 1", false, balancer, "PROXY TCP6 ::ffff:203.0.113.66 2001:db8::1 51234 443\r\n" + plain, "direct 203.0.113.66"},
		{"A19", "LOCAL with less than an address", false, balancer, v2(0x20, 0x11, 1, 2, 3) + plain, "direct " + balancer},
		{"A19", "version 1, UNKNOWN with addresses", false, balancer, "PROXY UNKNOWN 2001:db8::7 2001:db8::1 51234 443\r\n" + plain, "direct " + balancer},
		{"A19", "LOCAL", false, balancer, v2(0x20, 0x11, 203, 0, 113, 66, 192, 0, 2, 1, 200, 0, 1, 187) + plain, "direct " + balancer},
		{"A19", "version 1, UNKNOWN", false, balancer, "PROXY UNKNOWN\r\n" + plain, "direct " + balancer},
		{"A20", "PROXY is the peer, which is no proxy of HTTP", false, balancer, v1Attacker + request("X-Forwarded-For: 198.51.100.20"), "direct 203.0.113.66"},
		{
			"A20", "PROXY is the peer, which is one", false, balancer,
			"PROXY TCP4 10.0.0.9 192.0.2.1 51234 443\r\n" + request("X-Forwarded-For: 198.51.100.20, 203.0.113.66"), "forwarded 203.0.113.66",
		},
	} {
		t.Run(c.id+" "+c.name, func(t *testing.T) {
			t.Parallel()
			addr, refused := serve(t, loopback(t), proxyproto.Config{Allowed: []netip.Prefix{netip.MustParsePrefix(balancer + "/32")}, Optional: c.optional})
			conn := from(t, c.peer, addr)
			if _, err := io.WriteString(conn, c.send); err != nil {
				t.Fatal(err)
			}
			if got := answer(t, conn); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			if c.want == "refused" {
				select {
				case <-refused:
				case <-time.After(patience):
					t.Error("nobody was told")
				}
			} else if len(refused) > 0 {
				t.Errorf("told that it was refused: %v", <-refused)
			}
		})
	}
}

// A header that does not come ends the connection after Timeout, and holds up
// nobody else.
func TestHeaderTimeout(t *testing.T) {
	for name, begun := range map[string]string{"nothing": "", "a part": "PRO", "a part of version 2": "\r\n\r\n\x00"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr, refused := serve(t, loopback(t), proxyproto.Config{
				// Enough for the quick one on a busy machine.
				Allowed: []netip.Prefix{netip.MustParsePrefix(balancer + "/32")}, Timeout: time.Second,
			})
			slow := from(t, balancer, addr)
			if _, err := io.WriteString(slow, begun); err != nil {
				t.Fatal(err)
			}
			quick := from(t, balancer, addr)
			if _, err := io.WriteString(quick, v1Attacker+"GET / HTTP/1.0\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			if got := answer(t, quick); got != "direct 203.0.113.66" {
				t.Errorf("beside a slow one: %q", got)
			}
			if got := answer(t, slow); got != "refused" {
				t.Errorf("%q", got)
			}
			select {
			case <-refused:
			case <-time.After(patience):
				t.Error("nobody was told")
			}
		})
	}
}

// A server may end its half, and still hear what the client sends.
func TestCloseWrite(t *testing.T) {
	l, err := proxyproto.New(loopback(t), proxyproto.Config{Allowed: []netip.Prefix{netip.MustParsePrefix(balancer + "/32")}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client := from(t, balancer, l.Addr())
	if _, err := io.WriteString(client, v1Attacker); err != nil {
		t.Fatal(err)
	}
	served, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer served.Close()
	if _, err := io.WriteString(served, "no"); err != nil {
		t.Fatal(err)
	}
	half, ok := served.(interface{ CloseWrite() error })
	if !ok {
		t.Fatalf("%T has no CloseWrite, which net/http looks for", served)
	}
	if err := half.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(client); string(b) != "no" || err != nil {
		t.Errorf("the client reads %q, %v", b, err)
	}
	if _, err := io.WriteString(client, "more"); err != nil {
		t.Fatal(err)
	}
	_ = client.Close()
	_ = served.SetReadDeadline(time.Now().Add(patience))
	if b, err := io.ReadAll(served); string(b) != "more" || err != nil {
		t.Errorf("the server reads %q, %v", b, err)
	}
}

func TestUnixSocket(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Skip(err)
	}
	addr, _ := serve(t, l, proxyproto.Config{TrustPeer: true})
	conn := from(t, "", addr)
	if _, err := io.WriteString(conn, v2Attacker+"GET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if got := answer(t, conn); got != "direct 203.0.113.66" {
		t.Errorf("%q", got)
	}
}

func TestConfigMistakes(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  proxyproto.Config
		want []string
	}{
		"nobody":             {proxyproto.Config{}, []string{"Allowed is empty", "10.0.0.0/8"}},
		"everybody":          {proxyproto.Config{Allowed: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}, []string{"covers all of IPv4"}},
		"two mistakes":       {proxyproto.Config{Timeout: -1}, []string{"Allowed is empty", "Timeout is -1ns"}},
		"an invalid network": {proxyproto.Config{Allowed: make([]netip.Prefix, 1)}, []string{"invalid prefix"}},
	} {
		l, err := proxyproto.New(nil, c.cfg)
		if err == nil || l != nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q has no %q", name, err, want)
			}
		}
	}
}
