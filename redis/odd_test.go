package redis

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/proxytest"
	"github.com/ipwarden/ipwarden/limit"
)

// away waits until the store is left alone, and sees that decisions go on and that
// there is one line about it, in which there is nothing that must not be there.
func (o *outage) away(secret string) {
	o.t.Helper()
	proxytest.Eventually(o.t, "it is left alone", func() bool { o.take(); return o.l.Stats().Away })
	for range 50 {
		begun := time.Now()
		if r := o.take(); !r.Allowed || r.Source != limit.Local {
			o.t.Fatalf("%+v", r)
		}
		if took := time.Since(begun); took > 50*outageBudget {
			o.t.Errorf("a decision took %s", took)
		}
	}
	proxytest.Eventually(o.t, "one line is logged", func() bool { return strings.Contains(o.log.String(), "this node alone") })
	if text := o.log.String(); strings.Count(text, "\n") != 1 || secret != "" && strings.Contains(text, secret) {
		o.t.Errorf("logged:\n%s", text)
	}
}

func (o *outage) back() {
	o.t.Helper()
	proxytest.Eventually(o.t, "it is used again", func() bool { return o.take().Source == limit.Exact })
}

// A password that is changed while connections are there, and changed back.
func TestPasswordChanges(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	start(t, addr, "--requirepass", "the-first-one")
	as := func(password string, args ...string) {
		cli(t, addr, append([]string{"--no-auth-warning", "-a", password}, args...)...)
	}
	o := newOutage(t, Config{Addresses: []string{addr}, Password: "the-first-one"})
	o.use(20)
	as("the-first-one", "config", "set", "requirepass", "another-one")
	as("another-one", "client", "kill", "type", "normal", "skipme", "yes")
	o.away("the-first-one")
	as("another-one", "config", "set", "requirepass", "the-first-one")
	o.back()
}

// A server that runs somebody's script without end.
func TestBusy(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	start(t, addr, "--lua-time-limit", "50")
	o := newOutage(t, Config{Addresses: []string{addr}})
	o.use(20)
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	endless := exec.Command(proxytest.Need(t, "redis-cli", "redis-tools"), "-p", port, "eval", "while true do end", "0")
	if err := endless.Start(); err != nil {
		t.Fatal(err)
	}
	o.away("")
	cli(t, addr, "script", "kill")
	_ = endless.Wait() // it was killed
	o.back()
}

// A server that is quick and slow by turns is left alone for longer each time, and used
// in the end.
func TestSlowByTurns(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	start(t, addr)
	w := proxytest.NewWire(t, addr)
	o := newOutage(t, Config{Addresses: []string{w.Addr}})
	o.rate.Limit = 1_000_000 // it takes its time
	o.use(20)
	for range 3 {
		w.SetDelay(200 * time.Millisecond)
		proxytest.Eventually(t, "it is left alone", func() bool { o.take(); return o.l.Stats().Away })
		w.SetDelay(0)
		o.back()
	}
}

// certificate is one for 127.0.0.1 until a time.
func certificate(t *testing.T, until time.Time) (tls.Certificate, *x509.Certificate) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(until.Unix()), NotBefore: until.Add(-48 * time.Hour), NotAfter: until,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k}, leaf
}

// A certificate that expires while connections are there, and is renewed.
func TestCertificateExpires(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	start(t, addr)
	good, root := certificate(t, time.Now().Add(24*time.Hour))
	bad, badRoot := certificate(t, time.Now().Add(-time.Hour))
	roots := x509.NewCertPool()
	roots.AddCert(root)
	roots.AddCert(badRoot)
	var shown atomic.Pointer[tls.Certificate]
	shown.Store(&good)
	front := proxytest.NewTLSWire(t, addr, &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return shown.Load(), nil }})
	o := newOutage(t, Config{Addresses: []string{front.Addr}, TLS: &tls.Config{RootCAs: roots}})
	o.use(20)
	shown.Store(&bad)
	front.Cut()
	o.away("")
	if text := o.log.String(); !strings.Contains(text, "expired") && !strings.Contains(text, "not connected") && !strings.Contains(text, "EOF") {
		t.Errorf("logged:\n%s", text)
	}
	shown.Store(&good)
	o.back()
}
