package memcached_test

import (
	"net"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/proxytest"
	"github.com/ipwarden/ipwarden/ipwardentest"
	"github.com/ipwarden/ipwarden/memcached"
)

func TestStore(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	proxytest.Start(t, t.TempDir(), addr, proxytest.Need(t, "memcached", "memcached"), "-l", host, "-p", port, "-U", "0", "-u", "nobody", "-m", "16")
	c, err := memcached.ParseURL("memcached://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	c.Timeout = 10 * time.Second
	s, err := memcached.New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ipwardentest.TestStore(t, s)
}

func TestMistakes(t *testing.T) {
	for _, bad := range []string{"redis://127.0.0.1", "memcached://", "memcached://a,,b", "memcached://u:p@host"} {
		if _, err := memcached.ParseURL(bad); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	if _, err := memcached.New(memcached.Config{Addresses: []string{"nohost"}, Prefix: "a b", Timeout: -1}); err == nil {
		t.Error("a Config full of mistakes is taken")
	}
	if c, err := memcached.ParseURL("memcached://[::1],host:1"); err != nil || c.Addresses[0] != "[::1]:11211" || c.Addresses[1] != "host:1" {
		t.Errorf("%v, %v", c.Addresses, err)
	}
}
