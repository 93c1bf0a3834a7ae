package authz

import (
	"bytes"
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// A hash is what SHA-256 says of the block and the text, at each length, made here or
// by the library.
func TestHashIsSHA256(t *testing.T) {
	secret := bytes.Repeat([]byte{7}, SecretLen)
	h, err := NewHasher(secret)
	if err != nil {
		t.Fatal(err)
	}
	if !h.direct {
		t.Error("the library's state is not as it is expected: keys are hashed the slower way")
	}
	for _, direct := range []bool{true, false} {
		h.direct = direct
		for n := range 200 {
			text := strings.Repeat("ipw_sk_live_0123456789", 10)[:n]
			var block [sha256.BlockSize]byte
			copy(block[:], secret)
			want := sha256.Sum256(append(block[:], text...))
			if got := h.Hash(text); got != customer.Hash(want[:len(got)]) {
				t.Errorf("made here %v, %d bytes: %x, want %x", direct, n, got, want[:len(got)])
			}
		}
	}
}
