package source

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// A Store keeps answers for several processes, such as a Redis or Memcached
// server. What it holds is opaque to it. Whatever it returns is checked before it
// is believed: a value that is not what was put there is a miss.
//
// Implementations must be safe for concurrent use, must return when ctx ends,
// and need not be durable: a Store that forgets costs money and nothing else. A
// key that is not there is no error; an error means that the Store could not be
// asked. [Cached] stops asking a Store that fails, and tries again later.
type Store interface {
	// Get puts what is under each key into values, which is as long as keys: nil
	// where nothing is. Nobody changes a value afterwards. Keys of several Groups may
	// be asked about at once; those of one are next to each other, so that a cluster
	// which keeps a Group on one node asks few. A value that is longer than MaxValue
	// may be left out.
	Get(ctx context.Context, keys []Key, values [][]byte) error
	// Set puts a value under a key for ttl, in place of what was there.
	Set(ctx context.Context, key Key, value []byte, ttl time.Duration) error
	// Claim reports true to one of all who claim a key, until ttl is over.
	Claim(ctx context.Context, key Key, ttl time.Duration) (mine bool, err error)
}

// A Counter is a [Store] that can count too: how much all nodes have spent.
type Counter interface {
	// Count adds n to what is under the key, which lives for ttl from its first
	// count on, and returns the sum.
	Count(ctx context.Context, key Key, n int64, ttl time.Duration) (total int64, err error)
}

// MaxValue bounds what is put into a Store, and what is read from it, in bytes.
const MaxValue = 16 << 10

// Key names a value in a [Store]: a keyed hash, so that what was asked about
// cannot be read off the Store's keys, and no two questions have one key.
type Key struct {
	Group [8]byte // keys about one address have the same
	Name  [16]byte
}

// MaxKeyText is the length of [Key.AppendText]'s text.
const MaxKeyText = 2 + 2*8 + 2*16

// AppendText appends the key as text: {group}name in hexadecimal digits. The
// braces make a Redis Cluster place keys by the group.
func (k Key) AppendText(dst []byte) []byte {
	dst = append(dst, '{')
	dst = appendHex(dst, k.Group[:])
	dst = append(dst, '}')
	return appendHex(dst, k.Name[:])
}

func appendHex(dst, b []byte) []byte {
	const digits = "0123456789abcdef"
	for _, c := range b {
		dst = append(dst, digits[c>>4], digits[c&15])
	}
	return dst
}

// Kinds of keys, the first part of each.
const (
	keyAnswer = "answer"
	keyClaim  = "claim"
	keyTold   = "told" // that who claimed is done
	keySpent  = "spent"
	keyGroup  = "group"
	keyTag    = "tag" // of a value
)

// keyer makes keys. For each tuple of a kind, a name, a family and a length there
// is a cipher, whose key is the HMAC-SHA-256 of the tuple; the name of a prefix is
// its address enciphered: no two prefixes have one, and it costs a block of AES.
type keyer struct {
	seed    []byte
	tagged  atomic.Pointer[providerTag] // of the last
	macs    sync.Pool                   // of *mac
	ciphers sync.Map                    // tuple → cipher.Block
}

type tuple struct {
	kind, name string
	v4         bool
	bits       int
}

type mac struct {
	hash.Hash
	sum []byte
}

func newKeyer(seed []byte) *keyer {
	// The seed may be that of the limits too: what is made of it here is another.
	m := hmac.New(sha256.New, seed)
	m.Write([]byte("ipwarden look-aside cache, 1"))
	k := &keyer{seed: m.Sum(nil)}
	k.macs.New = func() any { return &mac{Hash: hmac.New(sha256.New, k.seed)} }
	return k
}

// sum is the name of a tuple of a kind, a name and a prefix.
func (k *keyer) sum(kind, name string, p netip.Prefix) (sum [16]byte) {
	t := tuple{kind, name, p.Addr().Is4(), p.Bits()}
	block, ok := k.ciphers.Load(t)
	if !ok {
		// There are as many as providers, kinds and lengths.
		block, _ = k.ciphers.LoadOrStore(t, k.cipher(t))
	}
	if p.IsValid() {
		sum = p.Masked().Addr().As16()
	}
	block.(cipher.Block).Encrypt(sum[:], sum[:])
	return sum
}

// providerTag says in a value whose answer it is.
type providerTag struct {
	provider string
	tag      [tagSize]byte
}

func (k *keyer) tag(provider string) [tagSize]byte {
	t := k.tagged.Load()
	if t == nil || t.provider != provider {
		sum := k.sum(keyTag, provider, netip.Prefix{})
		t = &providerTag{provider, [tagSize]byte(sum[:])}
		k.tagged.Store(t)
	}
	return t.tag
}

const tagSize = 8

func (k *keyer) cipher(t tuple) cipher.Block {
	m := hmac.New(sha256.New, k.seed)
	in := appendPart(appendPart(nil, t.kind), t.name)
	in = strconv.AppendInt(in, int64(t.bits), 10)
	in = strconv.AppendBool(append(in, ' '), t.v4)
	m.Write(in)
	block, err := aes.NewCipher(m.Sum(nil)[:16])
	if err != nil {
		panic(err) // the key has the length that AES has
	}
	return block
}

func appendPart(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// checksum of a value, eight bytes: of all but the place of the checksum itself,
// for which zeros count.
func (k *keyer) checksum(value []byte) (sum [checksumSize]byte) {
	m := k.macs.Get().(*mac)
	m.Reset()
	m.Write(value[:checksumAt])
	m.Write(noChecksum[:])
	m.Write(value[checksumAt+checksumSize:])
	m.sum = m.Sum(m.sum[:0])
	copy(sum[:], m.sum)
	k.macs.Put(m)
	return sum
}

const checksumSize = 8

var noChecksum [checksumSize]byte

// key names what is known of a prefix. top is the widest prefix that is looked
// for with it.
func (k *keyer) key(kind, name string, p, top netip.Prefix) Key {
	group := k.sum(keyGroup, name, top)
	return Key{Group: [8]byte(group[:8]), Name: k.sum(kind, name, p)}
}
