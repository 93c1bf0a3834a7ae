package authz

import (
	"crypto/sha256"
	"encoding"
	"fmt"
	"hash"
	"sync"
	"unsafe"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// SecretLen is how long the secret of a [Hasher] is, bytes.
const SecretLen = 32

// A Hasher makes the keyed hashes of keys: SHA-256 of one block with the secret in
// it and the text behind it, cut to 128 bits. The state after the block is computed
// once, so a key costs one compression. All keys are of one length, for which this
// is a pseudo-random function; and it cannot be run backwards even by who has the
// secret (docs/decisions/0013-keys.md). It is safe for concurrent use.
type Hasher struct {
	after  []byte    // the state after the block of the secret
	states sync.Pool // of *hashState
}

type hashState struct {
	hash.Hash
	from encoding.BinaryUnmarshaler // the same
	sum  [sha256.Size]byte
}

// NewHasher returns the Hasher of a secret of [SecretLen] bytes from a secure
// random source. Another secret makes all keys unknown.
func NewHasher(secret []byte) (*Hasher, error) {
	if len(secret) != SecretLen {
		return nil, fmt.Errorf("authz: the secret that hashes keys has %d bytes; it has %d, as head -c %d /dev/urandom makes them", len(secret), SecretLen, SecretLen)
	}
	var block [sha256.BlockSize]byte
	copy(block[:], secret)
	first := sha256.New()
	first.Write(block[:])
	after, err := first.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("authz: %w", err)
	}
	h := &Hasher{after: after}
	h.states.New = func() any {
		d := sha256.New()
		return &hashState{Hash: d, from: d.(encoding.BinaryUnmarshaler)}
	}
	return h, nil
}

// Hash is the keyed hash of a key's text.
func (h *Hasher) Hash(text string) (sum customer.Hash) {
	s := h.states.Get().(*hashState)
	if err := s.from.UnmarshalBinary(h.after); err != nil {
		panic(err) // it is what MarshalBinary wrote
	}
	s.Write(unsafe.Slice(unsafe.StringData(text), len(text))) // reads only
	s.Sum(s.sum[:0])
	copy(sum[:], s.sum[:])
	h.states.Put(s)
	return sum
}
