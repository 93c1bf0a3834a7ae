package account

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// NewAccount is what an account begins with.
type NewAccount struct {
	Email string
	Plan  string // "" is DefaultPlan
	// Verified says that the address is the owner's: an operator's word, or a
	// confirmation.
	Verified bool
}

// maxEmail is what SMTP allows in a path (RFC 5321, section 4.5.3.1.3).
const maxEmail = 254

// checkEmail says what is wrong with an e-mail address, or "". Whether mail arrives
// is for the confirmation to tell; this keeps out what cannot be one, or would steer
// a header or a terminal.
func checkEmail(s string) string {
	local, domain, ok := strings.Cut(s, "@")
	switch {
	case !ok || local == "" || domain == "" || strings.Contains(domain, "@"):
		return fmt.Sprintf("%.60q is no e-mail address; one is ada@example.com", s)
	case len(s) > maxEmail:
		return fmt.Sprintf("an e-mail address has at most %d bytes", maxEmail)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r) || strings.ContainsRune(`<>()[],;:\"`, r)
	}):
		return fmt.Sprintf("%.60q has characters that an e-mail address has not; one is ada@example.com", s)
	case domain[0] == '.' || domain[len(domain)-1] == '.' || strings.Contains(domain, ".."):
		return fmt.Sprintf("%.60q is no domain; an e-mail address is ada@example.com", domain)
	}
	return ""
}

// EmailKey is an e-mail address as it is compared: who signs up as Ada@Example.com
// signs in as ada@example.com, and nobody else signs up so.
func EmailKey(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

// CheckEmail says what is wrong with an e-mail address, as [Invalid], and returns it
// without space around it.
func CheckEmail(text string) (string, error) {
	email := strings.TrimSpace(text)
	if m := checkEmail(email); m != "" {
		return "", Invalid{{"email", m}}
	}
	return email, nil
}

// Add makes an account.
func (s *Service) Add(ctx context.Context, actor string, n NewAccount) (a customer.Account, err error) {
	err = s.store.Write(ctx, func(tx Tx) error {
		a, err = s.AddIn(tx, actor, n)
		return err
	})
	if errors.Is(err, ErrExists) {
		return a, conflictf("there is an account of %s already", strings.TrimSpace(n.Email))
	}
	return a, err
}

// AddIn is [Service.Add] in a transaction that does more. The error is [ErrExists] when
// the address has an account.
func (s *Service) AddIn(tx Tx, actor string, n NewAccount) (a customer.Account, err error) {
	email, err := CheckEmail(n.Email)
	if err != nil {
		return a, err
	}
	if n.Plan == "" {
		n.Plan = DefaultPlan
	}
	now := s.moment()
	a = customer.Account{ID: customer.NewAccountID(), Email: email, Plan: n.Plan, PlanFrom: now, Created: now}
	if n.Verified {
		a.Verified = now
	}
	if _, err := s.plan(tx, n.Plan); err != nil {
		return a, err
	}
	if err := tx.PutAccount(&a); err != nil {
		return a, err
	}
	if actor == "" {
		actor = a.ID.String()
	}
	return a, tx.Log(&Entry{At: now, Account: a.ID, Actor: actor, Action: ActionAdd, Subject: a.ID.String(), Detail: "plan " + a.Plan})
}

// Find returns the account that text names: its identifier or its e-mail address.
func (s *Service) Find(ctx context.Context, text string) (a customer.Account, err error) {
	err = s.store.Read(ctx, func(tx Tx) error {
		a, err = find(tx, text)
		return err
	})
	return a, err
}

func find(tx Tx, text string) (a customer.Account, err error) {
	text = strings.TrimSpace(text)
	switch {
	case strings.HasPrefix(text, "acc_"):
		id, err := customer.ParseAccountID(text)
		if err != nil {
			return a, Invalid{{"account", err.Error()}}
		}
		a, err = tx.Account(id)
		if errors.Is(err, ErrNotFound) {
			return a, missingf("there is no account %s", id)
		}
		return a, err
	case strings.Contains(text, "@"):
		a, err = tx.AccountByEmail(EmailKey(text))
		if errors.Is(err, ErrNotFound) {
			return a, missingf("there is no account of %.254s", text)
		}
		return a, err
	}
	return a, Invalid{{"account", fmt.Sprintf("%.60q names no account: say its e-mail address, ada@example.com, or its identifier, acc_…", text)}}
}

// Accounts lists at most limit accounts, the oldest first, from behind after.
func (s *Service) Accounts(ctx context.Context, after Cursor, limit int) (all []customer.Account, err error) {
	err = s.store.Read(ctx, func(tx Tx) error {
		all, err = tx.Accounts(after, limit)
		return err
	})
	return all, err
}

// Suspend refuses all keys of an account until [Service.Resume].
func (s *Service) Suspend(ctx context.Context, actor string, id customer.AccountID, why string) (customer.Account, error) {
	return s.setStatus(ctx, actor, id, customer.Suspended, ActionSuspend, why)
}

// Resume ends what [Service.Suspend] began.
func (s *Service) Resume(ctx context.Context, actor string, id customer.AccountID, why string) (customer.Account, error) {
	return s.setStatus(ctx, actor, id, customer.Active, ActionResume, why)
}

func (s *Service) setStatus(ctx context.Context, actor string, id customer.AccountID, to customer.Status, action, why string) (customer.Account, error) {
	if m := checkText(why, maxReason); m != "" {
		return customer.Account{}, Invalid{{"reason", m}}
	}
	return s.changeAccount(ctx, id, func(tx Tx, a *customer.Account) (*Entry, error) {
		if a.Status == to {
			return nil, nil
		}
		a.Status = to
		return &Entry{Actor: actor, Action: action, Detail: why}, nil
	})
}

// SetPlan puts an account on a plan. What it has used stays used; alerts begin anew.
func (s *Service) SetPlan(ctx context.Context, actor string, id customer.AccountID, plan string) (customer.Account, error) {
	return s.changeAccount(ctx, id, func(tx Tx, a *customer.Account) (*Entry, error) {
		if _, err := s.plan(tx, plan); err != nil || a.Plan == plan {
			return nil, err
		}
		e := &Entry{Actor: actor, Action: ActionPlan, Detail: "from " + a.Plan + " to " + plan}
		a.Plan, a.PlanFrom = plan, s.moment()
		return e, nil
	})
}

// changeAccount changes an account that is not deleted. f returns no entry when there
// is nothing to change.
func (s *Service) changeAccount(ctx context.Context, id customer.AccountID, f func(Tx, *customer.Account) (*Entry, error)) (a customer.Account, err error) {
	err = s.store.Write(ctx, func(tx Tx) error {
		if a, err = live(tx, id); err != nil {
			return err
		}
		e, err := f(tx, &a)
		if err != nil || e == nil {
			return err
		}
		if err := tx.PutAccount(&a); err != nil {
			return err
		}
		e.At, e.Account, e.Subject = s.moment(), id, id.String()
		return tx.Log(e)
	})
	return a, err
}

// live returns an account that is not deleted.
func live(tx Tx, id customer.AccountID) (customer.Account, error) {
	a, err := tx.Account(id)
	if errors.Is(err, ErrNotFound) || err == nil && a.Status == customer.Deleted {
		return a, missingf("there is no account %s", id)
	}
	return a, err
}

// Verify says that the address of an account is its owner's.
func (s *Service) Verify(ctx context.Context, actor string, id customer.AccountID) (customer.Account, error) {
	return s.changeAccount(ctx, id, func(_ Tx, a *customer.Account) (*Entry, error) {
		if !a.Verified.IsZero() {
			return nil, nil
		}
		a.Verified = s.moment()
		return &Entry{Actor: actor, Action: ActionConfirm, Detail: "by word of the operator"}, nil
	})
}

// Delete ends an account for good: its keys are gone, what it has used, and all that
// says whose it was. Its identifier stays, and in the log that something was done to it
// and when.
func (s *Service) Delete(ctx context.Context, actor string, id customer.AccountID) error {
	return s.store.Write(ctx, func(tx Tx) error { return s.DeleteIn(tx, actor, id) })
}

// DeleteIn is [Service.Delete] in a transaction that does more.
func (s *Service) DeleteIn(tx Tx, actor string, id customer.AccountID) error {
	a, err := live(tx, id)
	if err != nil {
		return err
	}
	now := s.moment()
	keys, err := tx.Keys(id)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if err := tx.DeleteKey(k, now); err != nil {
			return err
		}
	}
	if err := tx.Forget(id); err != nil {
		return err
	}
	if err := tx.SetSetting(settingAlerts(id), ""); err != nil {
		return err
	}
	a.Status, a.Email = customer.Deleted, ""
	if err := tx.PutAccount(&a); err != nil {
		return err
	}
	return tx.Log(&Entry{At: now, Account: id, Actor: actor, Action: ActionDelete, Subject: id.String(), Detail: fmt.Sprintf("%d keys", len(keys))})
}

// An Export is all that is kept about an account.
type Export struct {
	Account customer.Account
	Plan    customer.Plan
	Keys    []customer.Key
	Usage   []UsageDay // the oldest first
	Log     []Entry    // the newest first
	Alerts  []int      // at which percentages of the plan it wants letters

	// How it signs in, without what opens it.
	PasswordSince time.Time
	TOTPSince     time.Time
	Recovery      int // codes that are left
	Sessions      []Session
	Devices       []Device
	Letters       []MailToken // links that were mailed
}

// Export collects what is kept about an account.
func (s *Service) Export(ctx context.Context, id customer.AccountID) (x Export, err error) {
	err = s.store.Read(ctx, func(tx Tx) (err error) {
		if x.Account, err = live(tx, id); err != nil {
			return err
		}
		if x.Plan, err = tx.Plan(x.Account.Plan); err != nil {
			return err
		}
		if x.Keys, err = tx.Keys(id); err != nil {
			return err
		}
		if x.Usage, err = tx.UsageDays(id); err != nil {
			return err
		}
		if x.Alerts, err = alerts(tx, id); err != nil {
			return err
		}
		if err := x.signIn(tx, id); err != nil {
			return err
		}
		const page = 1000
		for before := int64(0); ; {
			part, err := tx.Entries(id, before, page)
			if err != nil {
				return err
			}
			x.Log = append(x.Log, part...)
			if len(part) < page {
				return nil
			}
			before = part[len(part)-1].ID
		}
	})
	return x, err
}

func (x *Export) signIn(tx Tx, id customer.AccountID) (err error) {
	none := func(err error) error {
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		return err
	}
	c, err := tx.Credential(id)
	if none(err) != nil {
		return err
	}
	x.PasswordSince = c.Changed
	t, err := tx.TOTP(id)
	if none(err) != nil {
		return err
	}
	x.TOTPSince = t.Confirmed
	codes, err := tx.RecoveryCodes(id)
	if err != nil {
		return err
	}
	for i := range codes {
		if codes[i].Used.IsZero() {
			x.Recovery++
		}
	}
	if x.Sessions, err = tx.Sessions(id); err != nil {
		return err
	}
	if x.Devices, err = tx.Devices(id); err != nil {
		return err
	}
	for _, purpose := range []string{PurposeReset, PurposeChange} {
		part, err := tx.MailTokens(id, purpose)
		if err != nil {
			return err
		}
		x.Letters = append(x.Letters, part...)
	}
	return nil
}
