package authz

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"encoding/binary"
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
	padded bool      // the block behind it may be padded here
}

type hashState struct {
	hash.Hash
	from encoding.BinaryUnmarshaler // the same
	to   encoding.BinaryAppender    // the same
	last [sha256.BlockSize]byte
	out  [stateLen]byte
}

// A state is written as four bytes that say of which hash, the words, what is not yet a
// block, and the length.
const (
	stateWords = 4
	stateLen   = stateWords + sha256.Size + sha256.BlockSize + 8
)

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
		return &hashState{Hash: d, from: d.(encoding.BinaryUnmarshaler), to: d.(encoding.BinaryAppender)}
	}
	h.padded = true
	h.padded = h.agrees(block[:])
	return h, nil
}

// agrees says whether what is padded here comes out as the library's own.
func (h *Hasher) agrees(block []byte) bool {
	if len(h.after) != stateLen {
		return false
	}
	for n := range mostPadded + 1 {
		text := bytes.Repeat([]byte{'k'}, n)
		want := sha256.Sum256(append(bytes.Clone(block), text...))
		if got := h.Hash(string(text)); got != customer.Hash(want[:len(got)]) {
			return false
		}
	}
	return true
}

// mostPadded is the longest text that fits the block, before a byte and the length.
const mostPadded = sha256.BlockSize - 9

// Hash is the keyed hash of a key's text.
func (h *Hasher) Hash(text string) (sum customer.Hash) {
	s := h.states.Get().(*hashState)
	if err := s.from.UnmarshalBinary(h.after); err != nil {
		panic(err) // it is what MarshalBinary wrote
	}
	if h.padded && len(text) <= mostPadded {
		// As FIPS 180-4 section 5.1.1 says. Of a whole block the library makes the words at
		// once; to make the sum it copies all it has, pads, and checks, which takes longer than
		// the compression.
		clear(s.last[copy(s.last[:], text):])
		s.last[len(text)] = 0x80
		binary.BigEndian.PutUint64(s.last[sha256.BlockSize-8:], uint64(sha256.BlockSize+len(text))*8)
		s.Write(s.last[:])
		if out, err := s.to.AppendBinary(s.out[:0]); err == nil {
			copy(sum[:], out[stateWords:])
			h.states.Put(s)
			return sum
		}
	}
	s.Reset()
	if err := s.from.UnmarshalBinary(h.after); err != nil {
		panic(err)
	}
	s.Write(unsafe.Slice(unsafe.StringData(text), len(text))) // reads only
	var out [sha256.Size]byte
	copy(sum[:], s.Sum(out[:0]))
	h.states.Put(s)
	return sum
}
