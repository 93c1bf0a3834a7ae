package redis

import (
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// A document is swapped by one of two, and only for the one that was loaded.
func TestDocument(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	start(t, addr)
	config := Config{Addresses: []string{addr}}
	a, b := limiter(t, config).Document("shield"), limiter(t, config).Document("shield")
	load := func(d *Document, want string) {
		t.Helper()
		proxytest.Eventually(t, "the document is "+want, func() bool {
			text, err := d.Load(t.Context())
			return err == nil && text == want
		})
	}
	swap := func(d *Document, before, after string, want bool) {
		t.Helper()
		if ok, err := d.Swap(t.Context(), before, after); err != nil || ok != want {
			t.Errorf("from %q to %q: %v, %v", before, after, ok, err)
		}
	}
	load(a, "")
	load(b, "")
	swap(a, "", "one", true)
	swap(b, "", "two", false)
	load(b, "one")
	swap(b, "one", "two", true)
	load(a, "two")
	swap(a, "two", strings.Repeat("x", maxDocument+1), true)
	if _, err := b.Load(t.Context()); err == nil {
		t.Error("a document of more than is ever written is taken")
	}
}
