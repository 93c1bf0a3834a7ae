package console

import (
	"errors"
	"net/http"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/account/people"
)

// formPage is what most pages of forms have.
type formPage struct {
	Fields []*field
	Next   string
	Token  string
	Email  string
	Sent   bool
	// Of a second factor.
	Remember bool
	Days     int
}

func emailField(value string) *field {
	return &field{ID: "email", Label: "E-mail address", Type: "email", Value: value, Auto: "username", Required: true, Max: 254}
}

func newPasswordField() *field {
	return &field{
		ID: "password", Label: "New password", Type: "password", Auto: "new-password", Required: true, Max: people.MaxPassword,
		Min: people.MinPassword, Hint: "At least 10 characters. A few words that nobody would guess are better than one with signs in it.",
	}
}

func passwordField(label string) *field {
	return &field{ID: "password", Label: label, Type: "password", Auto: "current-password", Required: true, Max: people.MaxPassword}
}

func codeField() *field {
	return &field{ID: "code", Label: "Code", Auto: "one-time-code", Required: true, Max: 40, Hint: "Six digits of your authenticator app, or a recovery code."}
}

// inside leads who is signed in away from the door.
func (v *visit) inside() bool {
	if v.in {
		_ = v.redirect(v.next())
	}
	return v.in
}

func (k *Console) signUp(v *visit) error {
	if v.inside() {
		return nil
	}
	f := emailField("")
	f.Focus = true
	v.show(http.StatusOK, "sign-up", &page{Title: "Sign up", Body: &formPage{Fields: []*field{f}}})
	return nil
}

// signUpSend says the same whether there is an account or not.
func (k *Console) signUpSend(v *visit) error {
	f := emailField(v.form("email"))
	body := &formPage{Fields: []*field{f}, Email: f.Value}
	if err := k.c.People.SignUp(v.r.Context(), v.from, f.Value); err != nil {
		return v.refused(err, "sign-up", &page{Title: "Sign up", Body: body}, f)
	}
	body.Sent = true
	v.show(http.StatusOK, "sign-up", &page{Title: "Look into your mail", Body: body})
	return nil
}

// confirm is where the letter of signing up leads. The link is used up by the form and
// not by looking: programs look at links in mails.
func (k *Console) confirm(v *visit) error {
	token := v.r.URL.Query().Get("token")
	email, err := k.c.People.Peek(v.r.Context(), token)
	if err != nil {
		return v.lost(err, "sign-up")
	}
	f := newPasswordField()
	f.Focus = true
	v.show(http.StatusOK, "confirm", &page{Title: "Choose a password", Body: &formPage{Fields: []*field{f}, Token: token, Email: email}})
	return nil
}

func (k *Console) confirmSend(v *visit) error {
	token := v.form("token")
	f := newPasswordField()
	made, err := k.c.People.Confirm(v.r.Context(), v.from, token, v.r.PostFormValue("password"))
	if err != nil {
		if errors.Is(err, &people.Error{Code: people.BadToken}) {
			return v.lost(err, "sign-up")
		}
		return v.refused(err, "confirm", &page{Title: "Choose a password", Body: &formPage{Fields: []*field{f}, Token: token, Email: v.form("email")}}, f)
	}
	k.c.InForce(v.r.Context(), made.Key.Revision)
	v.setCookie(cookieSession, made.Session, made.Expires)
	v.in, v.session = true, people.Session{Account: made.Account}
	v.show(http.StatusOK, "key-made", &page{Title: "Your first key", Here: "keys", Body: &madePage{
		Key: account.ViewKey(&made.Key, k.c.Now()), Text: made.KeyText, First: true,
	}})
	return nil
}

// lost tells of a link that leads nowhere, and where to get another.
func (v *visit) lost(err error, again string) error {
	if !errors.Is(err, &people.Error{Code: people.BadToken}) {
		return err
	}
	v.show(http.StatusGone, "lost", &page{Title: "This link leads nowhere", Body: again})
	return nil
}

func (k *Console) signIn(v *visit) error {
	if v.inside() {
		return nil
	}
	f := emailField("")
	f.Focus = true
	v.show(http.StatusOK, "sign-in", &page{Title: "Sign in", Body: &formPage{Fields: []*field{f, passwordField("Password")}, Next: v.next()}})
	return nil
}

func (k *Console) signInSend(v *visit) error {
	f, p := emailField(v.form("email")), passwordField("Password")
	in, err := k.c.People.SignIn(v.r.Context(), v.from, f.Value, v.r.PostFormValue("password"))
	if err != nil {
		p.Focus = true
		return v.refused(err, "sign-in", &page{Title: "Sign in", Body: &formPage{Fields: []*field{f, p}, Next: v.next()}}, f, p)
	}
	return v.enter(&in, v.next())
}

func (k *Console) factor(v *visit) error {
	if v.cookie(cookieTicket) == "" {
		return v.redirect("/sign-in")
	}
	f := codeField()
	f.Focus = true
	v.show(http.StatusOK, "second-factor", &page{Title: "Second step", Body: &formPage{Fields: []*field{f}, Next: v.next(), Days: deviceDays}})
	return nil
}

const deviceDays = int(people.DeviceLife / (24 * time.Hour))

func (k *Console) factorSend(v *visit) error {
	f := codeField()
	remember := v.form("remember") != ""
	in, err := k.c.People.SecondFactor(v.r.Context(), v.from, v.cookie(cookieTicket), v.form("code"), remember)
	if err != nil {
		if errors.Is(err, &people.Error{Code: people.BadToken}) || errors.Is(err, &people.Error{Code: people.NoSession}) {
			v.setCookie(cookieTicket, "", time.Time{})
			return v.redirect("/sign-in")
		}
		f.Focus = true
		return v.refused(err, "second-factor", &page{Title: "Second step", Body: &formPage{Fields: []*field{f}, Next: v.next(), Remember: remember, Days: deviceDays}}, f)
	}
	return v.enter(&in, v.next())
}

func (k *Console) signOut(v *visit) error {
	if err := k.c.People.EndSession(v.r.Context(), v.from, v.session, v.session.ID); err != nil {
		return err
	}
	v.setCookie(cookieSession, "", time.Time{})
	return v.redirect("/sign-in?done=signed-out")
}

func (k *Console) forgot(v *visit) error {
	f := emailField("")
	f.Focus = true
	v.show(http.StatusOK, "forgot", &page{Title: "A new password", Body: &formPage{Fields: []*field{f}}})
	return nil
}

// forgotSend says the same whether there is an account or not.
func (k *Console) forgotSend(v *visit) error {
	f := emailField(v.form("email"))
	body := &formPage{Fields: []*field{f}, Email: f.Value}
	if err := k.c.People.Forgot(v.r.Context(), v.from, f.Value); err != nil {
		return v.refused(err, "forgot", &page{Title: "A new password", Body: body}, f)
	}
	body.Sent = true
	v.show(http.StatusOK, "forgot", &page{Title: "Look into your mail", Body: body})
	return nil
}

func (k *Console) reset(v *visit) error {
	token := v.r.URL.Query().Get("token")
	email, err := k.c.People.Peek(v.r.Context(), token)
	if err != nil {
		return v.lost(err, "forgot")
	}
	f := newPasswordField()
	f.Focus = true
	v.show(http.StatusOK, "reset", &page{Title: "A new password", Body: &formPage{Fields: []*field{f}, Token: token, Email: email}})
	return nil
}

func (k *Console) resetSend(v *visit) error {
	token := v.form("token")
	f := newPasswordField()
	in, err := k.c.People.Reset(v.r.Context(), v.from, token, v.r.PostFormValue("password"))
	if err != nil {
		if errors.Is(err, &people.Error{Code: people.BadToken}) {
			return v.lost(err, "forgot")
		}
		return v.refused(err, "reset", &page{Title: "A new password", Body: &formPage{Fields: []*field{f}, Token: token, Email: v.form("email")}}, f)
	}
	return v.enter(&in, "?done=password")
}

func (k *Console) confirmMail(v *visit) error {
	token := v.r.URL.Query().Get("token")
	email, err := k.c.People.Peek(v.r.Context(), token)
	if err != nil {
		return v.lost(err, "security")
	}
	v.show(http.StatusOK, "mail", &page{Title: "Change your e-mail address", Body: &formPage{Token: token, Email: email}})
	return nil
}

func (k *Console) confirmMailSend(v *visit) error {
	if _, err := k.c.People.ConfirmMail(v.r.Context(), v.from, v.form("token")); err != nil {
		return v.lost(err, "security")
	}
	if v.in {
		return v.redirect("/security?done=mail")
	}
	return v.redirect("/sign-in?done=mail")
}
