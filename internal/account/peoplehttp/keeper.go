package peoplehttp

import (
	"net/http"
	"strings"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// Admitted is a call that carries an API key and may have its answer.
type Admitted struct {
	Account customer.AccountID
	Key     customer.KeyID
	Settle  func(status int) // is called once, with the status of the answer
}

// Refused is why a call with an API key gets no answer. It is an error.
type Refused struct {
	Status              int
	Slug, Title, Detail string
	RetryAfter          string // seconds; "" is not known
}

func (e *Refused) Error() string { return e.Detail }

// carried is the API key that a request carries, as for look-ups: a bearer token, or
// X-Api-Key. The token of a session is none.
func carried(r *http.Request) string {
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if text = strings.TrimSpace(text); !strings.EqualFold(scheme, "bearer") {
		text = strings.TrimSpace(r.Header.Get("X-Api-Key"))
	}
	if strings.HasPrefix(text, "ipw_sk_") || strings.HasPrefix(text, "ipw_pk_") {
		return text
	}
	return ""
}

// serveKey answers a call that carries an API key.
func (c *call) serveKey(text string, f func(*call) error) {
	admitted, err := c.c.Key(c.r, text)
	if err != nil {
		c.fail(c.w, c.r, err)
		return
	}
	seen := &counted{c.w, http.StatusOK}
	c.w = seen
	defer func() { admitted.Settle(seen.status) }()
	if err = c.admit(&admitted); err == nil {
		err = f(c)
	}
	if err != nil {
		c.fail(c.w, c.r, err)
	}
}

// admit lets a key look after the keys of its account. One for tests does not: what it
// would make counts.
func (c *call) admit(a *Admitted) error {
	k, err := c.c.Accounts.FindKey(c.r.Context(), a.Key.String())
	if err != nil {
		return err
	}
	if k.Mode == customer.Test {
		return &problem{http.StatusForbidden, "wrong-mode", "A key for tests", "A key for tests looks after no keys; use one that is live (ipw_sk_live_…)."}
	}
	c.by = a.Key
	c.session.Account, err = c.c.Accounts.Find(c.r.Context(), a.Account.String())
	return err
}

// counted remembers the status.
type counted struct {
	http.ResponseWriter
	status int
}

// WriteHeader takes the status.
func (w *counted) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}
