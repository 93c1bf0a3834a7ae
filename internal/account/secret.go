package account

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// secretLen is how many bytes the secret has that hashes keys.
const secretLen = 32

// SecretFile is where the secret that hashes keys is, below the data directory.
func SecretFile(dir string) string { return filepath.Join(dir, "secrets", "key-hash") }

// settingSecret holds the mark of the secret that the keys of a store were hashed with.
const settingSecret = "key-hash"

// Secret returns the secret that hashes the keys of this store: that of the data
// directory dir. The first call for a store makes it.
//
// It refuses a secret that is not the store's, and makes no other where there are keys
// already: none of them would be known.
func (s *Service) Secret(ctx context.Context, dir string) ([]byte, error) {
	name := SecretFile(dir)
	secret, err := readSecret(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var mark string
	var keys bool
	if err := s.store.Read(ctx, func(tx Tx) (err error) {
		if mark, err = tx.Setting(settingSecret); err != nil {
			return err
		}
		keys, err = tx.AnyKey()
		return err
	}); err != nil {
		return nil, err
	}
	if secret == nil {
		// Another process may have made it since: it does so before it says so in the store.
		if secret, err = readSecret(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	switch {
	case secret == nil && (keys || mark != ""):
		return nil, fmt.Errorf("%s is missing: it hashes the keys of these accounts, and with another not one of them would be known. "+
			"Put it back from a backup, or copy it from another node of this installation, with mode 0600. "+
			"If it is lost for good, 'ipwarden key reset' ends all keys and begins with another", name)
	case secret == nil:
		if secret, err = makeSecret(name); err != nil {
			return nil, err
		}
	}
	if mark == "" {
		// Several nodes may be here at once, each with a secret of its own making: one
		// is the first.
		if err := s.store.Write(ctx, func(tx Tx) (err error) {
			if mark, err = tx.Setting(settingSecret); err != nil || mark != "" {
				return err
			}
			mark = markOf(secret)
			return tx.SetSetting(settingSecret, mark)
		}); err != nil {
			return nil, err
		}
	}
	if !hmac.Equal([]byte(mark), []byte(markOf(secret))) {
		return nil, fmt.Errorf("%s is not the secret of these accounts: not one of their keys would be known. "+
			"Copy secrets/key-hash from the node that was the first, with mode 0600", name)
	}
	return secret, nil
}

// ResetSecret is for when the secret is lost: it ends all keys, which nobody can use any
// more, and makes another secret for those to come. It returns how many it has ended.
// A run that was ended is run again.
func (s *Service) ResetSecret(ctx context.Context, actor, dir string) (ended int, err error) {
	name := SecretFile(dir)
	if _, err := os.Stat(name); err == nil {
		return 0, conflictf("%s is there, and is not replaced: if it is not the right one, move it away first", name)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	now := s.moment()
	var live []customer.KeyID
	if _, err := s.store.Changes(ctx, 0, func(c *Changes) error {
		for i := range c.Keys {
			if k := &c.Keys[i]; k.Revoked.IsZero() || k.Revoked.After(now) {
				live = append(live, k.ID)
			}
		}
		return nil
	}); err != nil {
		return 0, err
	}
	for part := range slices.Chunk(live, 500) { // each in the time that a transaction has
		if err := s.store.Write(ctx, func(tx Tx) error {
			for _, id := range part {
				k, err := tx.Key(id)
				if errors.Is(err, ErrNotFound) {
					continue
				}
				if err != nil {
					return err
				}
				k.Revoked, k.Ended = now, true
				if err := tx.PutKey(&k); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return ended, err
		}
		ended += len(part)
	}
	secret, err := makeSecret(name)
	if err != nil {
		return ended, err
	}
	return ended, s.store.Write(ctx, func(tx Tx) error {
		if err := tx.SetSetting(settingSecret, markOf(secret)); err != nil {
			return err
		}
		return tx.Log(&Entry{At: now, Actor: actor, Action: ActionReset, Subject: "secret", Detail: fmt.Sprintf("%d keys ended", ended)})
	})
}

// markOf tells secrets apart and gives nothing away: it is a keyed hash of a fixed text.
func markOf(secret []byte) string {
	h := hmac.New(sha256.New, secret)
	io.WriteString(h, "ipwarden key-hash mark 1") //nolint:errcheck // a hash takes all
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// readSecret reads 64 hexadecimal digits from a file that its owner alone may read.
func readSecret(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("others may read %s (mode %04o): run chmod 600 %s, and think of who has read it", name, info.Mode().Perm(), name)
	}
	text, err := io.ReadAll(io.LimitReader(f, 1024))
	if err != nil {
		return nil, err
	}
	secret, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(secret) != secretLen {
		return nil, fmt.Errorf("%s does not have %d hexadecimal digits; put it back from a backup", name, 2*secretLen)
	}
	return secret, nil
}

// makeSecret makes the file, whole or not at all. Where another process is faster, it
// is the other's.
func makeSecret(name string) ([]byte, error) {
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	secret := make([]byte, secretLen)
	rand.Read(secret) // never fails
	f, err := os.CreateTemp(dir, ".key-hash-*")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	_, err = fmt.Fprintf(f, "%x\n", secret)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, err
	}
	if err := os.Link(f.Name(), name); err != nil && !errors.Is(err, fs.ErrExist) { // unlike a rename it replaces nothing
		return nil, err
	}
	if d, err := os.Open(dir); err == nil { // the name is on the disk too before a key depends on it
		_ = d.Sync()
		d.Close()
	}
	return readSecret(name)
}
