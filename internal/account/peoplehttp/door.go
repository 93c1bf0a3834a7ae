package peoplehttp

import (
	"net/http"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/account/people"
)

// sessionView is what signing in is answered with. The session is in a cookie, or is
// the token, for programs, when they asked for one.
type sessionView struct {
	Account *account.AccountView `json:"account,omitempty"`
	Key     *keyMade             `json:"key,omitempty"`
	Token   string               `json:"token,omitempty"`
	Expires time.Time            `json:"expires"`
	// SecondFactor says that a code is wanted, with the ticket.
	SecondFactor bool   `json:"second_factor,omitempty"`
	Ticket       string `json:"ticket,omitempty"`
	RecoveryLeft *int   `json:"recovery_codes,omitempty"`
}

type keyMade struct {
	account.KeyView
	Text string `json:"text"` // shown once
}

// entered answers who has signed in, or has to show a second factor.
func (c *call) entered(status int, in *people.SignedIn, token bool) error {
	v := sessionView{Expires: in.Expires, Ticket: in.Ticket, SecondFactor: in.Ticket != ""}
	if in.RecoveryLeft >= 0 {
		v.RecoveryLeft = &in.RecoveryLeft
	}
	c.enter(&v, in, token)
	return c.answer(status, v)
}

func (c *call) enter(v *sessionView, in *people.SignedIn, token bool) {
	if in.Session == "" {
		return
	}
	a := account.ViewAccount(&in.Account)
	v.Account = &a
	if token {
		v.Token = in.Session
	} else {
		c.setCookie(c.w, cookieSession, in.Session, in.Expires)
	}
	if in.Device != "" {
		c.setCookie(c.w, cookieDevice, in.Device, in.DeviceExpires)
	}
}

var sent = map[string]bool{"sent": true}

func (c *call) signUp() error {
	var q struct {
		Email string `json:"email"`
	}
	if err := c.read(&q); err != nil {
		return err
	}
	if err := c.c.People.SignUp(c.r.Context(), c.visit, q.Email); err != nil {
		return err
	}
	return c.answer(http.StatusAccepted, sent)
}

func (c *call) forgot() error {
	var q struct {
		Email string `json:"email"`
	}
	if err := c.read(&q); err != nil {
		return err
	}
	if err := c.c.People.Forgot(c.r.Context(), c.visit, q.Email); err != nil {
		return err
	}
	return c.answer(http.StatusAccepted, sent)
}

func (c *call) confirm() error {
	var q struct {
		Link     string `json:"link_token"`
		Password string `json:"password"`
		Token    bool   `json:"want_token"`
	}
	if err := c.read(&q); err != nil {
		return err
	}
	made, err := c.c.People.Confirm(c.r.Context(), c.visit, q.Link, q.Password)
	if err != nil {
		return err
	}
	c.c.InForce(c.r.Context(), made.Key.Revision)
	v := sessionView{Expires: made.Expires, Key: &keyMade{account.ViewKey(&made.Key, c.c.Now()), made.KeyText}}
	c.enter(&v, &made.SignedIn, q.Token)
	return c.answer(http.StatusCreated, v)
}

func (c *call) signIn() error {
	var q struct {
		Email    string `json:"email"`
		Password string `json:"password"`
		Token    bool   `json:"want_token"`
	}
	if err := c.read(&q); err != nil {
		return err
	}
	in, err := c.c.People.SignIn(c.r.Context(), c.visit, q.Email, q.Password)
	if err != nil {
		return err
	}
	return c.entered(http.StatusOK, &in, q.Token)
}

func (c *call) secondFactor() error {
	var q struct {
		Ticket   string `json:"ticket"`
		Code     string `json:"code"`
		Remember bool   `json:"remember"`
		Token    bool   `json:"want_token"`
	}
	if err := c.read(&q); err != nil {
		return err
	}
	in, err := c.c.People.SecondFactor(c.r.Context(), c.visit, q.Ticket, q.Code, q.Remember)
	if err != nil {
		return err
	}
	return c.entered(http.StatusOK, &in, q.Token)
}

func (c *call) reset() error {
	var q struct {
		Link     string `json:"link_token"`
		Password string `json:"password"`
		Token    bool   `json:"want_token"`
	}
	if err := c.read(&q); err != nil {
		return err
	}
	in, err := c.c.People.Reset(c.r.Context(), c.visit, q.Link, q.Password)
	if err != nil {
		return err
	}
	return c.entered(http.StatusOK, &in, q.Token)
}

func (c *call) confirmMail() error {
	var q struct {
		Link string `json:"link_token"`
	}
	if err := c.read(&q); err != nil {
		return err
	}
	a, err := c.c.People.ConfirmMail(c.r.Context(), c.visit, q.Link)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, map[string]any{"account": account.ViewAccount(&a)})
}

func (c *call) signOut() error {
	if err := c.c.People.EndSession(c.r.Context(), c.visit, c.session, c.session.ID); err != nil {
		return err
	}
	c.setCookie(c.w, cookieSession, "", time.Time{})
	return c.nothing()
}
