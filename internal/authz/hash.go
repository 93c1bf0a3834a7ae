package authz

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"fmt"
	"hash"
	"reflect"
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
	after  []byte    // the state after the block of the secret, as the library writes it
	words  [8]uint32 // and its words
	states sync.Pool // of *hashState
	direct bool      // the block behind it may be padded here, and words be set and read
}

type hashState struct {
	hash.Hash
	from  encoding.BinaryUnmarshaler // the same
	words *[8]uint32                 // of the same; nil when they are not found
	last  [sha256.BlockSize]byte
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
	if w := wordsOf(first); w != nil {
		h.words, h.direct = *w, true
	}
	h.states.New = func() any {
		d := sha256.New()
		return &hashState{Hash: d, from: d.(encoding.BinaryUnmarshaler), words: wordsOf(d)}
	}
	h.direct = h.direct && h.agrees(block[:])
	return h, nil
}

// wordsOf are the words of a SHA-256's state, where the library's is as it is expected:
// a pointer to a struct that begins with them. Whether they are what they seem is asked
// by agrees.
func wordsOf(d hash.Hash) *[8]uint32 {
	v := reflect.ValueOf(d)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct || v.Elem().NumField() == 0 {
		return nil
	}
	if v = v.Elem().Field(0); v.Type() != reflect.TypeFor[[8]uint32]() {
		return nil
	}
	return (*[8]uint32)(unsafe.Pointer(v.UnsafeAddr()))
}

// agrees says whether what is made here comes out as the library's own, of all lengths
// and of a state that was used before.
func (h *Hasher) agrees(block []byte) bool {
	for n := range mostPadded + 1 {
		text := bytes.Repeat([]byte{'k'}, n)
		want := sha256.Sum256(append(bytes.Clone(block), text...))
		for range 2 {
			if got := h.Hash(string(text)); got != customer.Hash(want[:len(got)]) {
				return false
			}
		}
	}
	return true
}

// mostPadded is the longest text that fits the block, before a byte and the length.
const mostPadded = sha256.BlockSize - 9

// Hash is the keyed hash of a key's text.
func (h *Hasher) Hash(text string) (sum customer.Hash) {
	s := h.states.Get().(*hashState)
	if h.direct && len(text) <= mostPadded {
		// As FIPS 180-4 section 5.1.1 says. A whole block goes through the library's compression
		// and leaves nothing but the words behind; to take up a state and to make a sum it
		// copies all it has, pads, and checks, which takes longer than the compression.
		*s.words = h.words
		clear(s.last[copy(s.last[:], text):])
		s.last[len(text)] = 0x80
		binary.BigEndian.PutUint64(s.last[sha256.BlockSize-8:], uint64(sha256.BlockSize+len(text))*8)
		s.Write(s.last[:])
		for i := range len(sum) / 4 {
			binary.BigEndian.PutUint32(sum[4*i:], s.words[i])
		}
		h.states.Put(s)
		return sum
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
