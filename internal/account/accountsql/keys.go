package accountsql

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/customer"
)

const keyColumns = `SELECT id, account, hash, hint, kind, mode, name, tags, scopes, networks, origins, endpoints, limits, created, expires, revoked, replaces, revision FROM keys `

// keptLimit is a customer.Limit as it is kept.
type keptLimit struct {
	Name string `json:"name"`
	Per  string `json:"per"`
	N    int64  `json:"n"`
}

func scanKey(r scanner) (k customer.Key, err error) {
	var id, acc, kind, mode, created, expires, revoked, replaces int64
	var hash []byte
	var tags, scopes, networks, origins, endpoints, limits string
	if err := r.Scan(&id, &acc, &hash, &k.Hint, &kind, &mode, &k.Name, &tags, &scopes, &networks, &origins, &endpoints, &limits,
		&created, &expires, &revoked, &replaces, &k.Revision); err != nil {
		return k, err
	}
	k.ID, k.Account, k.Kind, k.Mode, k.Replaces = customer.KeyID(id), customer.AccountID(acc), customer.Kind(kind), customer.Mode(mode), customer.KeyID(replaces)
	k.Created, k.Expires = moment(created), moment(expires)
	k.Ended = revoked < 0 // see endOf
	k.Revoked = moment(max(revoked, -revoked))
	if len(hash) != len(k.Hash) {
		return k, fmt.Errorf("%s has a hash of %d bytes; want %d", k.ID, len(hash), len(k.Hash))
	}
	copy(k.Hash[:], hash)
	var kept []keptLimit
	if err := errors.Join(unlist(tags, &k.Tags), unlist(scopes, &k.Scopes), unlist(networks, &k.Networks), unlist(origins, &k.Origins),
		unlist(endpoints, &k.Endpoints), unlist(limits, &kept)); err != nil {
		return k, fmt.Errorf("%s: %w", k.ID, err)
	}
	for _, l := range kept {
		per, err := account.ParsePeriod(l.Per)
		if err != nil {
			return k, fmt.Errorf("%s: %w", k.ID, err)
		}
		k.Limits = append(k.Limits, customer.Limit{Name: l.Name, Per: per, N: l.N})
	}
	return k, nil
}

// Key is part of account.Tx.
func (t *tx) Key(id customer.KeyID) (customer.Key, error) {
	return one(scanKey(t.q.QueryRowContext(t.ctx, keyColumns+`WHERE id = $1`, int64(id))))
}

// KeyByHash is part of account.Tx. The hash is keyed: how long the search takes tells
// nothing about a text.
func (t *tx) KeyByHash(h customer.Hash) (customer.Key, error) {
	return one(scanKey(t.q.QueryRowContext(t.ctx, keyColumns+`WHERE hash = $1`, h[:])))
}

// Keys is part of account.Tx.
func (t *tx) Keys(id customer.AccountID) (all []customer.Key, err error) {
	err = t.rows(func(r *sql.Rows) error {
		k, err := scanKey(r)
		all = append(all, k)
		return err
	}, keyColumns+`WHERE account = $1 ORDER BY created, id`, int64(id))
	return all, err
}

// AnyKey is part of account.Tx.
func (t *tx) AnyKey() (any bool, err error) {
	var n int64
	err = t.q.QueryRowContext(t.ctx, `SELECT count(*) FROM (SELECT 1 FROM keys LIMIT 1) k`).Scan(&n)
	return n > 0, err
}

// PutKey is part of account.Tx.
func (t *tx) PutKey(k *customer.Key) (err error) {
	if k.Revision, err = t.stamp(); err != nil {
		return err
	}
	limits := make([]keptLimit, len(k.Limits))
	for i, l := range k.Limits {
		limits[i] = keptLimit{l.Name, l.Per.String(), l.N}
	}
	return t.exec(`INSERT INTO keys (id, account, hash, hint, kind, mode, name, tags, scopes, networks, origins, endpoints, limits, created, expires, revoked, replaces, revision)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
		ON CONFLICT (id) DO UPDATE SET hash = excluded.hash, hint = excluded.hint, kind = excluded.kind, mode = excluded.mode, name = excluded.name,
			tags = excluded.tags, scopes = excluded.scopes, networks = excluded.networks, origins = excluded.origins, endpoints = excluded.endpoints,
			limits = excluded.limits, created = excluded.created, expires = excluded.expires, revoked = excluded.revoked, replaces = excluded.replaces,
			revision = excluded.revision`,
		int64(k.ID), int64(k.Account), k.Hash[:], k.Hint, int64(k.Kind), int64(k.Mode), k.Name, list(k.Tags), list(k.Scopes), list(k.Networks),
		list(k.Origins), list(k.Endpoints), list(limits), micros(k.Created), micros(k.Expires), endOf(k), int64(k.Replaces), k.Revision)
}

// endOf is when a key is revoked; less than nothing where that was at once, and no
// clock is asked.
func endOf(k *customer.Key) int64 {
	if k.Ended {
		return -micros(k.Revoked)
	}
	return micros(k.Revoked)
}

// DeleteKey is part of account.Tx.
func (t *tx) DeleteKey(k customer.Key, at time.Time) error {
	if err := t.exec(`DELETE FROM keys WHERE id = $1`, int64(k.ID)); err != nil {
		return err
	}
	return t.gone(kindKey, int64(k.ID), k.Hash[:], "", at)
}
