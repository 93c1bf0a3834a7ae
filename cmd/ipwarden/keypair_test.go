package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// selfSigned is a certificate and its key, in PEM.
func selfSigned(t *testing.T, name string) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}

// A certificate and a key that are replaced are those of the next connection. While
// one of them is replaced and the other not, or is not there, or is nonsense, the
// pair in use stays.
func TestKeyReload(t *testing.T) {
	dir := t.TempDir()
	c := &gatewayCmd{TLSCert: filepath.Join(dir, "cert.pem"), TLSKey: filepath.Join(dir, "key.pem")}
	age := time.Unix(1_700_000_000, 0)
	write := func(name string, b []byte) { // each time later, whatever the grain of the file system's clock
		t.Helper()
		age = age.Add(time.Second)
		if err := errors.Join(os.WriteFile(name, b, 0o600), os.Chtimes(name, age, age)); err != nil {
			t.Fatal(err)
		}
	}
	oneCert, oneKey := selfSigned(t, "one.example")
	twoCert, twoKey := selfSigned(t, "two.example")
	write(c.TLSCert, oneCert)
	write(c.TLSKey, oneKey)
	now := time.Unix(1_700_000_000, 0)
	config, err := c.certificates(func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	serves := func() string { // the name in the certificate of a new connection
		t.Helper()
		client, server := net.Pipe()
		defer client.Close()
		done := make(chan error, 1)
		go func() {
			done <- errors.Join(tls.Server(server, config).Handshake(), server.Close())
		}()
		conn := tls.Client(client, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // whose it is, is what is asked
		if err := conn.Handshake(); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, conn) // the session tickets, and the end
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	step := func(what, want string) {
		t.Helper()
		now = now.Add(time.Second)
		if got := serves(); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	step("at first", "one.example")
	write(c.TLSCert, twoCert)
	step("the certificate is new and the key is not", "one.example")
	write(c.TLSKey, twoKey)
	if got := serves(); got != "one.example" {
		t.Errorf("within a second of the last look: %s", got)
	}
	step("both are new", "two.example")
	write(c.TLSKey, []byte("nonsense"))
	step("the key is nonsense", "two.example")
	if err := os.Remove(c.TLSCert); err != nil {
		t.Fatal(err)
	}
	step("the certificate is gone", "two.example")
	write(c.TLSCert, oneCert)
	write(c.TLSKey, oneKey)
	step("the first again", "one.example")

	write(c.TLSKey, twoKey)
	if _, err := c.certificates(time.Now); err == nil {
		t.Error("a key of another certificate is taken at the start")
	}
}
