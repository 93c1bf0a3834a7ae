package ledger

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// unpackOlder writes a folder of version 1 that a process left behind when it died:
// while it counted, or when it had written a batch and not yet raised what counts as
// frozen. Its first batch is sent and gone, the second waits, and so does the third of
// the latter.
func unpackOlder(t *testing.T, name string) (dir string) {
	t.Helper()
	b, err := os.ReadFile("testdata/version1.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		rest, ok := strings.CutPrefix(h.Name, name+"/")
		if !ok || h.Typeflag != tar.TypeReg {
			continue
		}
		file := filepath.Join(dir, rest)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// counted is what all batches of a spool have together.
type counted struct {
	keys     map[KeyCounts]uint64 // without its counts: of charged
	rejected uint64
	clients  map[uint64]uint64
	referers map[string]uint64
	days     map[uint64]bool
}

func spoolOf(t *testing.T, l *Ledger) counted {
	t.Helper()
	c := counted{map[KeyCounts]uint64{}, 0, map[uint64]uint64{}, map[string]uint64{}, map[uint64]bool{}}
	waiting, err := l.Waiting()
	if err != nil {
		t.Fatal(err)
	}
	for i, sequence := range waiting {
		if sequence != uint64(i)+2 {
			t.Errorf("the spool has batches %d; want 2 and those that follow", waiting)
		}
		data, err := l.Frozen(sequence)
		if err != nil {
			t.Fatal(err)
		}
		b, err := ParseBatch(data)
		if err != nil || b.Node != l.Node() || b.Hour != customer.HourOf(time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)) {
			t.Fatalf("batch %d: %+v, %v", sequence, b, err)
		}
		if err := b.Each(Visitor{
			Key: func(k *KeyCounts) {
				c.keys[KeyCounts{Account: k.Account, Key: k.Key}] += k.Counts[customer.Charged]
				c.rejected += k.Counts[customer.Rejected]
			},
			Client:  func(day, client, n uint64) { c.clients[client] += n; c.days[day] = true },
			Referer: func(day uint64, host []byte, n uint64) { c.referers[string(host)] += n; c.days[day] = true },
		}); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// wantOlder is that every call is in the batches once, but for those of the first one.
func wantOlder(t *testing.T, l *Ledger) {
	t.Helper()
	c := spoolOf(t, l)
	if len(c.keys) != 100 || c.rejected != 10*110 || len(c.clients) != 21 || len(c.days) != 1 {
		t.Errorf("%d keys, %d rejected, %d clients, %d days", len(c.keys), c.rejected, len(c.clients), len(c.days))
	}
	for i := range uint64(100) {
		k := KeyCounts{Account: customer.AccountID(i%3 + 1), Key: customer.KeyID(i + 1)}
		if c.keys[k] != 110*(i+1) {
			t.Errorf("key %d has %d calls; want %d", k.Key, c.keys[k], 110*(i+1))
		}
	}
	for who, n := range c.clients {
		if n != 110 {
			t.Errorf("client %v has %d calls; want 110", Client(who), n)
		}
	}
	if !maps.Equal(c.referers, map[string]uint64{"shop.example": 110, "a.example": 110}) {
		t.Errorf("referers %v", c.referers)
	}
}

func openOlder(t *testing.T, dir string) *Ledger {
	t.Helper()
	l, err := Open(Config{
		Dir: dir, Region: "eu-west", Keys: 64, Clients: 64, Referers: 64, noSync: true,
		Now: func() time.Time { return time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// What an older version counted is taken over, whole and once, with the number of its
// node; and from then on the folder is as any other.
func TestOlderVersion(t *testing.T) {
	for _, name := range []string{"counting", "freezing"} {
		t.Run(name, func(t *testing.T) {
			dir := unpackOlder(t, name)
			node, err := readOlder(filepath.Join(dir, "node"), kindNode, 0)
			if err != nil {
				t.Fatal(err)
			}
			l := openOlder(t, dir)
			if l.Node() != node.node || l.Sequence() != 3 {
				t.Errorf("node %x, sequence %d; want %x, 3", l.Node(), l.Sequence(), node.node)
			}
			wantOlder(t, l)
			if s := l.Stats(); s.Keys+s.Clients+s.Referers != 0 {
				t.Errorf("%+v is in the tables too", s)
			}
			k := l.Key(1, 2)
			l.Count(k, customer.EndpointLookup, customer.Charged, 1)
			if err := l.Freeze(nil); err != nil || l.Sequence() != 4 {
				t.Errorf("the next batch: %d, %v", l.Sequence(), err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = openOlder(t, dir)
			defer l.Close()
			if waiting, err := l.Waiting(); err != nil || len(waiting) != 3 || l.Sequence() != 4 {
				t.Errorf("opened again: %d, %v", waiting, err)
			}
		})
	}
}

// Whenever it dies, the next process ends what it had begun.
func TestOlderVersionDies(t *testing.T) {
	// What is there when each step is done, from a conversion that was not disturbed.
	convertedIn := func(dir string) *Ledger {
		l := &Ledger{dir: dir, region: "eu-west", now: time.Now, config: Config{Dir: dir, noSync: true}}
		node, err := readOlder(filepath.Join(dir, "node"), kindNode, 0)
		if err == nil {
			err = l.convert(node, filepath.Join(dir, unconverted))
		}
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	rename := func(dir, from, to string) {
		if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
			t.Fatal(err)
		}
	}
	for step, die := range []func(dir string){
		func(dir string) { convertedIn(dir) },
		func(dir string) { convertedIn(dir); rename(dir, unconverted, converted) },
		func(dir string) {
			convertedIn(dir)
			rename(dir, unconverted, converted)
			rename(dir, converted+"/spool/00000000000000000002.batch", "spool/00000000000000000002.batch")
		},
		func(dir string) {
			convertedIn(dir)
			rename(dir, unconverted, converted)
			for _, b := range []string{"00000000000000000002.batch", "00000000000000000003.batch"} {
				rename(dir, converted+"/spool/"+b, "spool/"+b)
			}
			if err := os.Remove(filepath.Join(dir, "keys-0")); err != nil {
				t.Fatal(err)
			}
		},
		func(dir string) {
			l := convertedIn(dir)
			rename(dir, unconverted, converted)
			if err := l.settleIn(filepath.Join(dir, converted)); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(filepath.Join(dir, converted), 0o700); err != nil { // it was not yet gone
				t.Fatal(err)
			}
		},
	} {
		for _, name := range []string{"counting", "freezing"} {
			dir := unpackOlder(t, name)
			die(dir)
			l := openOlder(t, dir)
			wantOlder(t, l)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			for _, left := range []string{converted, unconverted} {
				if _, err := os.Stat(filepath.Join(dir, left)); err == nil {
					t.Errorf("step %d: %s is still there", step, left)
				}
			}
			if t.Failed() {
				t.Fatalf("died after step %d, %s", step, name)
			}
		}
	}
}

// A damaged folder is refused, and stays as it is.
func TestOlderVersionDamaged(t *testing.T) {
	for name, damage := range map[string]func(b []byte) []byte{
		"keys-1":                           func(b []byte) []byte { return b[:len(b)-1] },
		"clients-0":                        func(b []byte) []byte { b[20]++; return b },
		"spool/00000000000000000002.batch": func(b []byte) []byte { b[100]++; return b },
	} {
		dir := unpackOlder(t, "counting")
		file := filepath.Join(dir, name)
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, damage(b), 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := Open(Config{Dir: dir, Region: "eu-west", noSync: true})
		if err == nil {
			l.Close()
			t.Errorf("%s is damaged and was taken over", name)
		} else if !strings.Contains(err.Error(), filepath.Base(name)) || !strings.Contains(err.Error(), "nothing was changed") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := readOlder(filepath.Join(dir, "node"), kindNode, 0); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
