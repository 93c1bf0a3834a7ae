package challenge

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"hash"
	"sync"
)

// What is signed begins with what it is, so that no ticket is taken for a
// clearance; the number is also that of the layout.
const (
	sealTicket    = 0x11
	sealClearance = 0x21
)

// tagSize is half an HMAC-SHA256, in bytes (RFC 2104 section 5).
const tagSize = 16

// maxSealed bounds the bytes of what is sealed, its tag included.
const maxSealed = 64

// encoding is strict: of the texts that mean the same bytes one is accepted.
var encoding = base64.RawURLEncoding.Strict()

// sealer signs small texts and checks them. It is safe for concurrent use.
type sealer struct{ benches sync.Pool }

// bench is the memory for one text: what is handed to a hash escapes, so it is
// used again.
type bench struct {
	mac  hash.Hash
	raw  [maxSealed]byte
	text [maxSealed * 2]byte
	sum  [sha256.Size]byte
}

func newSealer(key []byte) *sealer {
	key = append([]byte(nil), key...)
	return &sealer{sync.Pool{New: func() any { return &bench{mac: hmac.New(sha256.New, key)} }}}
}

// tag computes the tag of b in the bench's sum.
func (w *bench) tag(b []byte) []byte {
	w.mac.Reset()
	w.mac.Write(b)
	return w.mac.Sum(w.sum[:0])[:tagSize]
}

// appendSealed appends the text of body, which is copied, and its tag.
func (s *sealer) appendSealed(dst, body []byte) []byte {
	w := s.benches.Get().(*bench)
	defer s.benches.Put(w)
	raw := append(w.raw[:0], body...)
	raw = append(raw, w.tag(raw)...)
	return encoding.AppendEncode(dst, raw)
}

// open checks a text and copies what is sealed in it into body, whose length it
// must have and whose first byte it must be of.
func (s *sealer) open(body []byte, kind byte, text string) bool {
	size := len(body) + tagSize
	if len(text) != encoding.EncodedLen(size) {
		return false
	}
	w := s.benches.Get().(*bench)
	defer s.benches.Put(w)
	n, err := encoding.Decode(w.raw[:], w.text[:copy(w.text[:], text)])
	if err != nil || n != size || w.raw[0] != kind {
		return false
	}
	// In constant time: how far a forgery is right says nothing.
	if subtle.ConstantTimeCompare(w.tag(w.raw[:len(body)]), w.raw[len(body):size]) != 1 {
		return false
	}
	copy(body, w.raw[:len(body)])
	return true
}
