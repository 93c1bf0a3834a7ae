package account

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// MaxKeys is how many keys an account may have at once. Those that have ended do not
// count.
const MaxKeys = 1000

// keysEver bounds the keys of an account with those that have ended, as a multiple of
// those that it may have at once: beyond it the ones that ended first are deleted.
const keysEver = 2

// MaxOverlap is how long a key may go on beside the one that replaces it.
const MaxOverlap = 90 * 24 * time.Hour

// NewKey makes a key. Its text is returned and kept nowhere.
func (s *Service) NewKey(ctx context.Context, actor string, id customer.AccountID, spec KeySpec) (k customer.Key, text string, err error) {
	err = s.write(ctx, func(tx Tx) error {
		k, text, err = s.NewKeyIn(tx, actor, id, spec)
		return err
	})
	if err != nil {
		return customer.Key{}, "", err
	}
	return k, text, nil
}

// NewKeyIn is [Service.NewKey] in a transaction that does more.
func (s *Service) NewKeyIn(tx Tx, actor string, id customer.AccountID, spec KeySpec) (k customer.Key, text string, err error) {
	now := s.moment()
	if err := spec.check(now); err != nil {
		return k, "", err
	}
	a, err := live(tx, id)
	if err != nil {
		return k, "", err
	}
	if err := s.makeRoom(tx, id, now); err != nil {
		return k, "", err
	}
	k, text = s.make(a.ID, spec, now)
	if err := tx.PutKey(&k); err != nil {
		return k, "", err
	}
	return k, text, tx.Log(&Entry{At: now, Account: id, Actor: actor, Action: ActionKeyNew, Subject: k.ID.String(), Detail: spec.String()})
}

func (s *Service) make(id customer.AccountID, spec KeySpec, now time.Time) (customer.Key, string) {
	text := customer.NewKeyText(spec.Kind, spec.Mode)
	k := customer.Key{ID: customer.NewKeyID(), Account: id, Hash: s.hash(text), Hint: text[len(text)-4:], Created: now}
	spec.onto(&k)
	return k, text
}

// makeRoom refuses one key too many, and deletes those that ended first when there are
// too many of them.
func (s *Service) makeRoom(tx Tx, id customer.AccountID, now time.Time) error {
	keys, err := tx.Keys(id)
	if err != nil {
		return err
	}
	live := 0
	for i := range keys {
		if !Ended(&keys[i], now) {
			live++
		}
	}
	if live >= s.maxKeys {
		return conflictf("the account has %d keys, and may have no more; revoke those that are not used", live)
	}
	for over := len(keys) - keysEver*s.maxKeys + 1; over > 0; over-- {
		first := -1
		for i := range keys {
			if Ended(&keys[i], now) && (first < 0 || end(&keys[i]).Before(end(&keys[first]))) {
				first = i
			}
		}
		if first < 0 {
			break
		}
		if err := tx.DeleteKey(keys[first], now); err != nil {
			return err
		}
		keys = append(keys[:first], keys[first+1:]...)
	}
	return nil
}

// end is when a key ends, by itself or because it is revoked; zero is never.
func end(k *customer.Key) time.Time {
	if k.Expires.IsZero() || !k.Revoked.IsZero() && k.Revoked.Before(k.Expires) {
		return k.Revoked
	}
	return k.Expires
}

// Ended reports whether a key is revoked or has expired.
func Ended(k *customer.Key, now time.Time) bool {
	e := end(k)
	return k.Ended || !e.IsZero() && !e.After(now)
}

// FindKey returns the key that text names: its identifier, or its own text, such as
// somebody found it where it should not be.
func (s *Service) FindKey(ctx context.Context, text string) (k customer.Key, err error) {
	text = strings.TrimSpace(text)
	var ask func(Tx) (customer.Key, error)
	switch {
	case strings.HasPrefix(text, "key_"):
		id, err := customer.ParseKeyID(text)
		if err != nil {
			return k, Invalid{{"key", err.Error()}}
		}
		ask = func(tx Tx) (customer.Key, error) { return key(tx, id) }
	case strings.HasPrefix(text, "ipw_"):
		if _, _, err := customer.ParseKey(text); err != nil {
			return k, Invalid{{"key", err.Error()}}
		}
		hash := s.hash(text)
		ask = func(tx Tx) (customer.Key, error) {
			k, err := tx.KeyByHash(hash)
			if errors.Is(err, ErrNotFound) {
				return k, missingf("this key is nobody's: it is of another installation, or its account was deleted")
			}
			return k, err
		}
	default:
		return k, Invalid{{"key", "this names no key: say its identifier, key_…, which 'ipwarden key list' shows, or the key itself"}}
	}
	err = s.store.Read(ctx, func(tx Tx) error {
		k, err = ask(tx)
		return err
	})
	return k, err
}

func key(tx Tx, id customer.KeyID) (customer.Key, error) {
	k, err := tx.Key(id)
	if errors.Is(err, ErrNotFound) {
		return k, missingf("there is no key %s", id)
	}
	return k, err
}

// Keys lists the keys of an account, the oldest first, ended ones among them.
func (s *Service) Keys(ctx context.Context, id customer.AccountID) (all []customer.Key, err error) {
	err = s.store.Read(ctx, func(tx Tx) error {
		if _, err := live(tx, id); err != nil {
			return err
		}
		all, err = tx.Keys(id)
		return err
	})
	return all, err
}

// RotateKey makes a key as another one is, which ends when overlap is over, if it does
// not end before. 0 ends it at once.
func (s *Service) RotateKey(ctx context.Context, actor string, id customer.KeyID, overlap time.Duration) (old, k customer.Key, text string, err error) {
	if overlap < 0 || overlap > MaxOverlap {
		return old, k, "", Invalid{{"overlap", fmt.Sprintf("%v is not between 0 and %d days", overlap, int(MaxOverlap/(24*time.Hour)))}}
	}
	now := s.moment()
	err = s.write(ctx, func(tx Tx) error {
		if old, err = key(tx, id); err != nil {
			return err
		}
		switch {
		case Ended(&old, now):
			return conflictf("%s has ended, at %s: make a new key", id, end(&old).Format(time.RFC3339))
		case !old.Revoked.IsZero():
			return conflictf("%s is being replaced already, and ends at %s", id, end(&old).Format(time.RFC3339))
		}
		if err := s.makeRoom(tx, old.Account, now); err != nil {
			return err
		}
		k, text = s.make(old.Account, SpecOf(&old), now)
		k.Replaces = old.ID
		old.Revoked, old.Ended = now.Add(overlap), overlap == 0
		if err := tx.PutKey(&old); err != nil {
			return err
		}
		if err := tx.PutKey(&k); err != nil {
			return err
		}
		return tx.Log(&Entry{
			At: now, Account: old.Account, Actor: actor, Action: ActionRotate, Subject: old.ID.String(),
			Detail: "replaced by " + k.ID.String() + ", ends " + old.Revoked.Format(time.RFC3339),
		})
	})
	if err != nil {
		return customer.Key{}, customer.Key{}, "", err
	}
	return old, k, text, nil
}

// RevokeKey ends a key, at once or after a while. One that has ended, or ends before,
// stays as it is.
func (s *Service) RevokeKey(ctx context.Context, actor string, id customer.KeyID, after time.Duration, why string) (k customer.Key, err error) {
	var wrong Invalid
	if m := checkText(why, maxReason); m != "" {
		wrong.add("reason", "%s", m)
	}
	if after < 0 || after > MaxOverlap {
		wrong.add("after", "%v is not between 0 and %d days", after, int(MaxOverlap/(24*time.Hour)))
	}
	if err := wrong.err(); err != nil {
		return k, err
	}
	return s.putKey(ctx, actor, id, ActionRevoke, func(k *customer.Key, now time.Time) (string, error) {
		at := now.Add(after)
		if k.Ended || !k.Revoked.IsZero() && !k.Revoked.After(at) {
			return "", nil
		}
		k.Revoked, k.Ended = at, after == 0
		return strings.TrimSpace("ends " + at.Format(time.RFC3339) + " " + why), nil
	})
}

// ChangeKey changes what a key may do, and its name. f gets what it is now; kind and
// mode cannot change.
func (s *Service) ChangeKey(ctx context.Context, actor string, id customer.KeyID, f func(*KeySpec)) (customer.Key, error) {
	return s.putKey(ctx, actor, id, ActionChange, func(k *customer.Key, now time.Time) (string, error) {
		if Ended(k, now) {
			return "", conflictf("%s has ended, at %s: make a new key", k.ID, end(k).Format(time.RFC3339))
		}
		before := SpecOf(k)
		spec := SpecOf(k)
		f(&spec)
		spec.Kind, spec.Mode = before.Kind, before.Mode
		if err := spec.check(now); err != nil {
			return "", err
		}
		if spec.String() == before.String() {
			return "", nil
		}
		spec.onto(k)
		return spec.String(), nil
	})
}

// putKey changes a key. f returns no text for the log when there is nothing to change.
func (s *Service) putKey(ctx context.Context, actor string, id customer.KeyID, action string, f func(*customer.Key, time.Time) (string, error)) (k customer.Key, err error) {
	now := s.moment()
	err = s.write(ctx, func(tx Tx) error {
		if k, err = key(tx, id); err != nil {
			return err
		}
		detail, err := f(&k, now)
		if err != nil || detail == "" {
			return err
		}
		if err := tx.PutKey(&k); err != nil {
			return err
		}
		return tx.Log(&Entry{At: now, Account: k.Account, Actor: actor, Action: action, Subject: id.String(), Detail: detail})
	})
	return k, err
}
