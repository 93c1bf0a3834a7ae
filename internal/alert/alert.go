// Package alert tells the owners of accounts by mail how much of their plan is used.
//
// The call most people want:
//
//	teller, err := alert.New(alert.Config{Accounts: service, Store: store, Send: box.Send, URL: url})
//	usage.Config{Alert: teller.Tell, …}
//
// A letter is written once for each account, plan that it got at a time, period and
// threshold. The database says which were told (usage.Store), and a letter has a name
// made of these, so that it is in the outbox once, if who wrote it dies before the
// database knows.
package alert

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/mail"
	"github.com/ipwarden/ipwarden/internal/usage"
)

// Config of a [Teller]. Accounts, Store and Send are required.
type Config struct {
	// Accounts knows whose an account is, on which plan, and what it wants to be told.
	Accounts *account.Service
	// Store remembers what was told.
	Store usage.Store
	// Send puts a letter into the outbox.
	Send func(ctx context.Context, to string, l mail.Letter) error
	// URL is where people reach the pages, such as https://ip.example. Default: letters
	// have no link.
	URL string
}

// A Teller tells. It is safe for concurrent use.
type Teller struct{ c Config }

// New returns a Teller.
func New(c Config) (*Teller, error) {
	if c.Accounts == nil || c.Store == nil || c.Send == nil {
		return nil, errors.New("alert: Accounts, Store and Send are required")
	}
	return &Teller{c}, nil
}

// Tell writes the letter of an alert, if its account wants it: for usage.Config.Alert.
func (t *Teller) Tell(ctx context.Context, a usage.Alert) error {
	acc, err := t.c.Accounts.Find(ctx, a.Account.String())
	switch {
	case errors.Is(err, account.ErrNotFound):
		return nil
	case err != nil:
		return err
	case acc.Status == customer.Deleted || acc.Email == "" || !acc.PlanFrom.Equal(a.Epoch):
		return nil // nobody is there to be told, or it is of a plan that is no more
	}
	wants, err := t.c.Accounts.Alerts(ctx, a.Account)
	if err != nil {
		return err
	}
	if !slices.Contains(wants, a.Threshold) {
		// Of several that were passed at once only the highest is raised: the highest that
		// is wanted takes its place.
		lower := 0
		for _, w := range wants {
			if w < a.Threshold {
				lower = max(lower, w)
			}
		}
		if lower == 0 {
			return nil
		}
		a.Threshold = lower
		fresh, err := t.c.Store.Raise(ctx, a)
		if err != nil || !fresh {
			return err
		}
		if err := t.send(ctx, &acc, a); err != nil {
			return err // it is told some time later, by its own name
		}
		return t.c.Store.Told(ctx, a)
	}
	return t.send(ctx, &acc, a)
}

func (t *Teller) send(ctx context.Context, acc *customer.Account, a usage.Alert) error {
	p, err := t.c.Accounts.Plan(ctx, acc.Plan)
	if errors.Is(err, account.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return t.c.Send(ctx, acc.Email, t.letter(&p, a))
}

// letter is what an alert says.
func (t *Teller) letter(p *customer.Plan, a usage.Alert) mail.Letter {
	word, limit, ends := "daily", p.PerDay, p.Window.Day(a.Span.Time()).Reset
	if a.Period == customer.PerMonth {
		word, limit, ends = "monthly", p.PerMonth, p.Window.Month(a.Span.Time()).Reset
	}
	title := p.Title
	if title == "" {
		title = p.Name
	}
	l := mail.Letter{
		Kind: "usage", Once: name(a),
		Subject: fmt.Sprintf("%d %% of your %s look-ups are used", a.Threshold, word),
		Facts:   []mail.Fact{{Name: "Plan", Value: title}},
	}
	if a.Limit > 0 {
		limit = a.Limit
		l.Facts = append(l.Facts, mail.Fact{Name: "Used", Value: group(a.Used)})
	}
	if limit > 0 {
		l.Facts = append(l.Facts, mail.Fact{Name: "Limit", Value: group(limit)})
	}
	when := "at " + ends.Format("15:04 UTC on 2 January 2006")
	if p.Window == customer.Rolling {
		when = "as calls of the past fall out of it, hour by hour"
	} else {
		l.Expires = ends // then it is about nothing any more
	}
	l.Facts = append(l.Facts, mail.Fact{Name: "Resets", Value: when})
	switch {
	case a.Threshold >= 100:
		l.Before = []string{"The " + word + " look-ups of your plan are used up. Calls are refused with 429 until the quota resets. Nothing else of your account changes."}
	default:
		l.Before = []string{fmt.Sprintf("Your account has used %d %% of the %s look-ups of its plan. Everything goes on as before; at 100 %% calls are refused until the quota resets.", a.Threshold, word)}
	}
	if t.c.URL != "" {
		l.Link = mail.Link{Label: "See where they went", URL: t.c.URL + "/account/usage"}
	}
	if p.Upgrade != "" {
		l.After = append(l.After, "More look-ups: "+p.Upgrade)
	}
	if t.c.URL != "" {
		l.After = append(l.After, "You get this letter once. Which of them you get is chosen at "+t.c.URL+"/account/limits.")
	}
	return l
}

// name is the same for an alert wherever and whenever it is told.
func name(a usage.Alert) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(a.Account))
	b = binary.BigEndian.AppendUint64(b, uint64(a.Epoch.UnixMicro()))
	b = binary.BigEndian.AppendUint32(b, uint32(a.Span))
	b = append(b, byte(a.Period), byte(a.Threshold))
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// group writes a number for people: 1,500.
func group(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
