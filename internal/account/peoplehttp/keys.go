package peoplehttp

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/customer"
)

// keyWish is what is wanted of a key. nil leaves a member as it is, or at its default.
type keyWish struct {
	Kind      *string              `json:"kind"`
	Mode      *string              `json:"mode"`
	Name      *string              `json:"name"`
	Tags      *[]string            `json:"tags"`
	Scopes    *[]string            `json:"scopes"`
	Networks  *[]string            `json:"networks"`
	Origins   *[]string            `json:"origins"`
	Endpoints *[]string            `json:"endpoints"`
	Limits    *[]account.LimitView `json:"limits"`
	Expires   *time.Time           `json:"expires"`
}

// onto puts the wish into a spec, and tells what is no value at all; package account
// tells what is wrong with the values.
func (q *keyWish) onto(s *account.KeySpec) error {
	var wrong account.Invalid
	bad := func(field, format string, args ...any) {
		wrong = append(wrong, account.Mistake{Field: field, Message: fmt.Sprintf(format, args...)})
	}
	if q.Kind != nil {
		switch *q.Kind {
		case customer.Secret.String():
			s.Kind = customer.Secret
		case customer.Publishable.String():
			s.Kind = customer.Publishable
		default:
			bad("kind", "%.40q is none; there are %s and %s", *q.Kind, customer.Secret, customer.Publishable)
		}
	}
	if q.Mode != nil {
		switch *q.Mode {
		case customer.Live.String():
			s.Mode = customer.Live
		case customer.Test.String():
			s.Mode = customer.Test
		default:
			bad("mode", "%.40q is none; there are %s and %s", *q.Mode, customer.Live, customer.Test)
		}
	}
	set := func(to *[]string, from *[]string) {
		if from != nil {
			*to = *from
		}
	}
	if q.Name != nil {
		s.Name = *q.Name
	}
	set(&s.Tags, q.Tags)
	set(&s.Scopes, q.Scopes)
	set(&s.Origins, q.Origins)
	set(&s.Endpoints, q.Endpoints)
	if q.Networks != nil {
		s.Networks = nil
		for _, text := range *q.Networks {
			p, err := netip.ParsePrefix(text)
			if a, e := netip.ParseAddr(text); e == nil && a.Zone() == "" {
				p, err = netip.PrefixFrom(a, a.BitLen()), nil
			}
			if err != nil {
				bad("networks", "%.60q is no network; one is 203.0.113.0/24, or an address", text)
				continue
			}
			s.Networks = append(s.Networks, p)
		}
	}
	if q.Limits != nil {
		s.Limits = nil
		for _, l := range *q.Limits {
			per, err := account.ParsePeriod(l.Per)
			if err != nil {
				bad("limits", "%v", err)
				continue
			}
			s.Limits = append(s.Limits, customer.Limit{Name: l.Name, Per: per, N: l.N})
		}
	}
	if q.Expires != nil {
		s.Expires = *q.Expires
	}
	if len(wrong) > 0 {
		return wrong
	}
	return nil
}

func (c *call) keys() error {
	keys, err := c.c.Accounts.Keys(c.r.Context(), c.session.Account.ID)
	if err != nil {
		return err
	}
	list := []account.KeyView{}
	for i := range keys {
		list = append(list, account.ViewKey(&keys[i], c.c.Now()))
	}
	return c.answer(http.StatusOK, map[string]any{"keys": list})
}

func (c *call) newKey() error {
	var q keyWish
	var spec account.KeySpec
	if err := c.read(&q); err != nil {
		return err
	}
	if err := q.onto(&spec); err != nil {
		return err
	}
	k, text, err := c.c.Accounts.NewKey(c.from(), c.actor(), c.session.Account.ID, spec)
	if err != nil {
		return err
	}
	c.c.InForce(c.r.Context(), k.Revision)
	return c.answer(http.StatusCreated, map[string]any{"key": keyMade{account.ViewKey(&k, c.c.Now()), text}})
}

// key finds a key of the account by its identifier. Others' are not there.
func (c *call) key() (customer.KeyID, error) {
	id, err := customer.ParseKeyID(c.r.PathValue("id"))
	if err != nil {
		return 0, account.ErrNotFound
	}
	k, err := c.c.Accounts.FindKey(c.r.Context(), id.String())
	if err != nil {
		return 0, err
	}
	if k.Account != c.session.Account.ID {
		return 0, account.ErrNotFound
	}
	return id, nil
}

func (c *call) changeKey() error {
	var q keyWish
	if err := c.read(&q); err != nil {
		return err
	}
	if q.Kind != nil || q.Mode != nil {
		return account.Invalid{{Field: "kind", Message: "kind and mode of a key do not change: make another"}}
	}
	id, err := c.key()
	if err != nil {
		return err
	}
	if err := q.onto(new(account.KeySpec)); err != nil { // all of it or nothing
		return err
	}
	k, err := c.c.Accounts.ChangeKey(c.from(), c.actor(), id, func(s *account.KeySpec) { _ = q.onto(s) })
	if err != nil {
		return err
	}
	c.c.InForce(c.r.Context(), k.Revision)
	return c.answer(http.StatusOK, map[string]any{"key": account.ViewKey(&k, c.c.Now())})
}

func (c *call) rotateKey() error {
	var q struct {
		Overlap string `json:"overlap"`
	}
	if err := c.read(&q); err != nil {
		return err
	}
	overlap := 24 * time.Hour
	if q.Overlap != "" {
		d, err := time.ParseDuration(strings.TrimSpace(q.Overlap))
		if err != nil {
			return account.Invalid{{Field: "overlap", Message: fmt.Sprintf("%.40q is no time; one is 24h, or 0s", q.Overlap)}}
		}
		overlap = d
	}
	id, err := c.key()
	if err != nil {
		return err
	}
	old, k, text, err := c.c.Accounts.RotateKey(c.from(), c.actor(), id, overlap)
	if err != nil {
		return err
	}
	c.c.InForce(c.r.Context(), k.Revision)
	return c.answer(http.StatusCreated, map[string]any{"old": account.ViewKey(&old, c.c.Now()), "key": keyMade{account.ViewKey(&k, c.c.Now()), text}})
}

func (c *call) revokeKey() error {
	id, err := c.key()
	if err != nil {
		return err
	}
	k, err := c.c.Accounts.RevokeKey(c.from(), c.actor(), id, 0, "")
	if err != nil {
		return err
	}
	c.c.InForce(c.r.Context(), k.Revision)
	return c.answer(http.StatusOK, map[string]any{"key": account.ViewKey(&k, c.c.Now())})
}
