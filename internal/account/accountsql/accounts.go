package accountsql

import (
	"database/sql"
	"encoding/json"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/customer"
)

const accountColumns = `SELECT id, email, verified, status, plan, plan_from, created, revision FROM accounts `

func scanAccount(r scanner) (a customer.Account, err error) {
	var id, verified, status, from, created int64
	err = r.Scan(&id, &a.Email, &verified, &status, &a.Plan, &from, &created, &a.Revision)
	a.ID, a.Status = customer.AccountID(id), customer.Status(status)
	a.Verified, a.PlanFrom, a.Created = moment(verified), moment(from), moment(created)
	return a, err
}

// Account is part of account.Tx.
func (t *tx) Account(id customer.AccountID) (customer.Account, error) {
	return one(scanAccount(t.q.QueryRowContext(t.ctx, accountColumns+`WHERE id = $1`, int64(id))))
}

// AccountByEmail is part of account.Tx.
func (t *tx) AccountByEmail(key string) (customer.Account, error) {
	if key == "" {
		return customer.Account{}, account.ErrNotFound
	}
	return one(scanAccount(t.q.QueryRowContext(t.ctx, accountColumns+`WHERE email_key = $1`, key)))
}

// Accounts is part of account.Tx.
func (t *tx) Accounts(after account.Cursor, limit int) (all []customer.Account, err error) {
	err = t.rows(func(r *sql.Rows) error {
		a, err := scanAccount(r)
		all = append(all, a)
		return err
	}, accountColumns+`WHERE (created, id) > ($1, $2) ORDER BY created, id LIMIT $3`, micros(after.Created), int64(after.ID), limit)
	return all, err
}

// AccountsOn is part of account.Tx.
func (t *tx) AccountsOn(plan string) (n int64, err error) {
	err = t.q.QueryRowContext(t.ctx, `SELECT count(*) FROM accounts WHERE plan = $1 AND status <> $2`, plan, int64(customer.Deleted)).Scan(&n)
	return n, err
}

// PutAccount is part of account.Tx.
func (t *tx) PutAccount(a *customer.Account) (err error) {
	if a.Revision, err = t.stamp(); err != nil {
		return err
	}
	return t.exec(`INSERT INTO accounts (id, email, email_key, verified, status, plan, plan_from, created, revision)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (id) DO UPDATE SET email = excluded.email, email_key = excluded.email_key, verified = excluded.verified,
			status = excluded.status, plan = excluded.plan, plan_from = excluded.plan_from, created = excluded.created, revision = excluded.revision`,
		int64(a.ID), a.Email, account.EmailKey(a.Email), micros(a.Verified), int64(a.Status), a.Plan, micros(a.PlanFrom), micros(a.Created), a.Revision)
}

// everyAggregator lets a condition on the account use the index of usage_hours, which
// begins with the aggregator.
const everyAggregator = `aggregator IN (SELECT aggregator FROM usage_watermarks UNION SELECT '')`

// Forget is part of account.Tx.
func (t *tx) Forget(id customer.AccountID) error {
	for _, statement := range []string{
		`DELETE FROM credentials WHERE account = $1`,
		`DELETE FROM totp WHERE account = $1`,
		`DELETE FROM recovery_codes WHERE account = $1`,
		`DELETE FROM sessions WHERE account = $1`,
		`DELETE FROM devices WHERE account = $1`,
		`DELETE FROM mail_tokens WHERE account = $1`,
		`DELETE FROM usage_hours WHERE ` + everyAggregator + ` AND account = $1`,
		`DELETE FROM alerts WHERE account = $1`,
		`UPDATE audit SET detail = '', address = '' WHERE account = $1`,
	} {
		if err := t.exec(statement, int64(id)); err != nil {
			return err
		}
	}
	return nil
}

// UsageDays is part of account.Tx. Several aggregators may keep sums of the same calls,
// some further than others: the greatest is the newest.
func (t *tx) UsageDays(id customer.AccountID) (all []account.UsageDay, err error) {
	err = t.rows(func(r *sql.Rows) error {
		var d account.UsageDay
		var day, key, class int64
		err := r.Scan(&day, &key, &class, &d.N)
		d.Day, d.Key, d.Class = time.Unix(day*24*3600, 0).UTC(), customer.KeyID(key), customer.Class(class)
		all = append(all, d)
		return err
	}, `SELECT day, api_key, class, CAST(sum(n) AS BIGINT) FROM (
			SELECT hour / 24 AS day, api_key, class, max(n) AS n FROM usage_hours WHERE account = $1
			GROUP BY hour, api_key, endpoint, class, region
		) hours GROUP BY day, api_key, class ORDER BY day, api_key, class`, int64(id))
	return all, err
}

const planColumns = `SELECT name, title, per_day, per_month, per_second, burst, fields, bulk, quota_window, upgrade, revision FROM plans `

func scanPlan(r scanner) (p customer.Plan, err error) {
	var second, burst, bulk, window int64
	var fields string
	if err := r.Scan(&p.Name, &p.Title, &p.PerDay, &p.PerMonth, &second, &burst, &fields, &bulk, &window, &p.Upgrade, &p.Revision); err != nil {
		return p, err
	}
	p.PerSecond, p.Burst, p.Bulk, p.Window = int(second), int(burst), int(bulk), customer.Window(window)
	return p, unlist(fields, &p.Fields)
}

// Plan is part of account.Tx.
func (t *tx) Plan(name string) (customer.Plan, error) {
	return one(scanPlan(t.q.QueryRowContext(t.ctx, planColumns+`WHERE name = $1`, name)))
}

// Plans is part of account.Tx.
func (t *tx) Plans() (all []customer.Plan, err error) {
	err = t.rows(func(r *sql.Rows) error {
		p, err := scanPlan(r)
		all = append(all, p)
		return err
	}, planColumns+`ORDER BY name`)
	return all, err
}

// PutPlan is part of account.Tx.
func (t *tx) PutPlan(p *customer.Plan) (err error) {
	if p.Revision, err = t.stamp(); err != nil {
		return err
	}
	// It is there again: who has not heard that it was gone need not.
	if err := t.exec(`DELETE FROM deletions WHERE kind = $1 AND name = $2`, kindPlan, p.Name); err != nil {
		return err
	}
	return t.exec(`INSERT INTO plans (name, title, per_day, per_month, per_second, burst, fields, bulk, quota_window, upgrade, revision)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
		ON CONFLICT (name) DO UPDATE SET title = excluded.title, per_day = excluded.per_day, per_month = excluded.per_month,
			per_second = excluded.per_second, burst = excluded.burst, fields = excluded.fields, bulk = excluded.bulk,
			quota_window = excluded.quota_window, upgrade = excluded.upgrade, revision = excluded.revision`,
		p.Name, p.Title, p.PerDay, p.PerMonth, int64(p.PerSecond), int64(p.Burst), list(p.Fields), int64(p.Bulk), int64(p.Window), p.Upgrade, p.Revision)
}

// DeletePlan is part of account.Tx.
func (t *tx) DeletePlan(name string, at time.Time) error {
	if err := t.exec(`DELETE FROM plans WHERE name = $1`, name); err != nil {
		return err
	}
	return t.gone(kindPlan, 0, nil, name, at)
}

const (
	kindKey  = "key"
	kindPlan = "plan"
)

// gone notes that something was deleted.
func (t *tx) gone(kind string, id int64, hash []byte, name string, at time.Time) error {
	n, err := t.stamp()
	if err != nil {
		return err
	}
	if hash == nil {
		hash = []byte{}
	}
	return t.exec(`INSERT INTO deletions (revision, kind, id, hash, name, at) VALUES ($1, $2, $3, $4, $5, $6)`, n, kind, id, hash, name, micros(at))
}

// ForgetDeletions is part of account.Tx.
func (t *tx) ForgetDeletions(at time.Time) error {
	var last sql.NullInt64
	if err := t.q.QueryRowContext(t.ctx, `SELECT max(revision) FROM deletions WHERE at < $1`, micros(at)).Scan(&last); err != nil || !last.Valid {
		return err
	}
	if err := t.exec(`DELETE FROM deletions WHERE revision <= $1`, last.Int64); err != nil {
		return err
	}
	return t.setCounter(counterFloor, last.Int64)
}

// A list is kept as JSON, and nothing as "".
func list[T any](all []T) string {
	if len(all) == 0 {
		return ""
	}
	text, err := json.Marshal(all)
	if err != nil {
		panic(err) // texts and numbers
	}
	return string(text)
}

func unlist[T any](text string, to *[]T) error {
	if text == "" {
		return nil
	}
	return json.Unmarshal([]byte(text), to)
}
