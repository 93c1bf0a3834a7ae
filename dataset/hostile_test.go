package dataset_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/dataset"
	"github.com/ipwarden/ipwarden/feed"
)

// reseal makes the checksum of a tampered file right again.
func reseal(b []byte) []byte {
	if len(b) < 64 {
		return b
	}
	binary.LittleEndian.PutUint64(b[24:], uint64(len(b)))
	h := sha256.New()
	h.Write(b[:32])
	h.Write(b[64:])
	copy(b[32:], h.Sum(nil))
	return b
}

func TestDamagedFilesAreRefused(t *testing.T) {
	good := compile(t, randomFeeds(rand.New(rand.NewPCG(1, 2)))...)
	for _, c := range []struct {
		name string
		make func() []byte
		want string
	}{
		{"empty", func() []byte { return nil }, "it has only 0 bytes"},
		{"a text", func() []byte { return bytes.Repeat([]byte("hello, world\n"), 20) }, `it does not begin with "IPWARDEN"`},
		{"cut short", func() []byte { return good[:len(good)-1] }, "it was cut short or written over"},
		{"half of it", func() []byte { return good[:len(good)/2] }, "it was cut short or written over"},
		{"too long", func() []byte { return append(bytes.Clone(good), 0) }, "it was cut short or written over"},
		{"one bit flipped", func() []byte { b := bytes.Clone(good); b[len(b)/3] ^= 4; return b }, "its checksum does not match"},
		{"a later format", func() []byte { b := bytes.Clone(good); b[8] = 9; return reseal(b) }, "it is of format 9; this program reads format 1"},
		{"a section outside", func() []byte {
			b := bytes.Clone(good)
			binary.LittleEndian.PutUint64(b[64+8:], 1<<40)
			return reseal(b)
		}, "lies outside of it"},
		{"a node reached twice", func() []byte {
			b := bytes.Clone(good)
			root := b[binary.LittleEndian.Uint64(b[64+2*24+8:]):] // the third section, IPv4's first 16 bits
			for h := range 1<<16 - 1 {
				if ref := binary.LittleEndian.Uint32(root[4*h:]); ref >= 1<<29 {
					binary.LittleEndian.PutUint32(root[4*(h+1):], ref)
					return reseal(b)
				}
			}
			panic("no node")
		}, "the index refers twice to node"},
		{"too many sections", func() []byte { b := bytes.Clone(good); b[12] = 200; return reseal(b) }, "it claims 200 sections"},
		{"a date in the year 40000", func() []byte { b := bytes.Clone(good); b[21] = 200; return reseal(b) }, "its date is out of range"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := dataset.OpenData(c.make())
			if !errors.Is(err, dataset.ErrCorrupt) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			file := filepath.Join(t.TempDir(), "x.ipw")
			if err := os.WriteFile(file, c.make(), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := dataset.Open(file); !errors.Is(err, dataset.ErrCorrupt) || !strings.Contains(err.Error(), file) {
				t.Errorf("from a file: %v", err)
			}
		})
	}
	if _, err := dataset.Open(t.TempDir()); err == nil {
		t.Error("a folder was opened")
	}
	if _, err := dataset.Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// Bytes of a resealed file are spoiled one at a time: it is refused, or it
// answers without a panic.
func TestTamperedFilesNeverPanic(t *testing.T) {
	good := compile(t, tiny()...)
	rng := rand.New(rand.NewPCG(4, 4))
	refused := 0
	var places []int // most of the file are the roots' zeros, which say little
	for i := 64; i < len(good); i++ {
		if good[i] != 0 {
			places = append(places, i)
		}
	}
	for range 300 {
		i := places[rng.IntN(len(places))]
		if rng.IntN(3) == 0 {
			i = 64 + rng.IntN(500) // the table of sections
		}
		b := bytes.Clone(good)
		b[i] ^= byte(1 + rng.IntN(255))
		if !exercise(reseal(b)) {
			refused++
		}
	}
	if refused == 0 {
		t.Error("nothing was refused; the test does not reach the checks")
	}
}

func tiny() []given {
	return []given{
		{"geo", day("2026-01-01"), feed.Asserts{Fields: []string{"location", "asn"}, Trust: 9}, []feed.Fact{
			at("20.0.0.0/16", feed.Fact{Country: "SE", City: "Umeå", Region: "SE-24", Origin: 7, ASName: "Seven"}),
			at("20.0.1.0/24", feed.Fact{Country: "DE", HasCoordinates: true, Latitude: 1.5, Longitude: 2, Origin: 8, ASName: "Eight"}),
			at("2a00::/32", feed.Fact{Country: "JP", Origin: 9}), at("2a00:0:1::/48", feed.Fact{Country: "US"}),
		}},
		{"list", day("2026-01-02"), feed.Asserts{Traits: []string{"attacker"}, Listing: "attacker"}, []feed.Fact{
			at("20.0.1.7", feed.Fact{Detail: "worm"}), at("2a00::1", feed.Fact{}),
		}},
		{"company", day("2026-01-02"), feed.Asserts{Fields: []string{"company", "carrier"}}, []feed.Fact{
			at("20.0.2.0/24", feed.Fact{Company: "Acme", Carrier: "Tele", MCC: "240"}),
		}},
	}
}

// exercise opens and uses a file; false when it is refused.
func exercise(b []byte) bool {
	d, err := dataset.OpenData(b)
	if err != nil {
		return false
	}
	view := ipwarden.NewView(day("2026-03-03"))
	view.Explain = true
	for _, a := range []string{"20.0.0.1", "20.0.1.7", "20.0.2.9", "0.0.0.0", "255.255.255.255", "2a00::1", "2a00:0:1::", "::", "ffff::"} {
		r, _ := d.Lookup(ctx, netip.MustParseAddr(a))
		view.AppendJSON(nil, r)
		r.Full()
	}
	n := 0
	for range d.Networks(netip.MustParsePrefix("20.0.0.0/8")) {
		if n++; n > 1000 {
			break
		}
	}
	for range d.ASPrefixes(7) {
		if n++; n > 2000 {
			break
		}
	}
	for _, name := range []string{"geo", "list", "special-purpose"} {
		for range d.FeedNetworks(name) {
			if n++; n > 5000 {
				break
			}
		}
	}
	_ = d.Verify()
	return true
}

func FuzzOpen(f *testing.F) {
	good := compile(f, tiny()...)
	f.Add(uint32(64), []byte{1, 2, 3})
	f.Add(uint32(len(good)-10), []byte{0xff})
	f.Add(uint32(600), []byte{0, 0, 0, 0x40})
	f.Fuzz(func(t *testing.T, at uint32, patch []byte) {
		b := bytes.Clone(good)
		copy(b[int(at)%len(b):], patch)
		exercise(reseal(b))
		exercise(b)
	})
}
