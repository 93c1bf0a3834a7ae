package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/account/people"
	"github.com/ipwarden/ipwarden/internal/customer"
)

// A visit is one request, and who makes it.
type visit struct {
	*Console
	w       http.ResponseWriter
	r       *http.Request
	from    people.Visit
	in      bool
	session people.Session
}

func (k *Console) visit(w http.ResponseWriter, r *http.Request) *visit {
	v := &visit{Console: k, w: w, r: r}
	v.from = people.Visit{Address: k.c.Client(r), Agent: r.UserAgent(), Device: v.cookie(cookieDevice)}
	return v
}

// form is a field of a form, without space around it.
func (v *visit) form(name string) string { return strings.TrimSpace(v.r.PostFormValue(name)) }

// actor is who does it, for the log.
func (v *visit) actor() string { return v.session.Account.ID.String() }

// changes is the context of changes, whose entries of the log have where they came from.
func (v *visit) changes() context.Context { return account.From(v.r.Context(), v.from.Address) }

func (v *visit) account() customer.AccountID { return v.session.Account.ID }

// Names of cookies. Over TLS they begin with __Host-: then no other host of the domain
// can set them (RFC 6265bis, section 4.1.3).
const (
	cookieSession = "ipwarden-session"
	cookieTicket  = "ipwarden-ticket"
	cookieDevice  = "ipwarden-device"
)

func (k *Console) cookieName(name string) string {
	if k.secure {
		return "__Host-" + name
	}
	return name
}

// SessionCookie is the name of the cookie of who is signed in to the pages at a URL.
func SessionCookie(url string) string {
	k := Console{secure: strings.HasPrefix(strings.ToLower(url), "https://")}
	return k.cookieName(cookieSession)
}

// cookie is the value of a cookie; "" is none.
func (v *visit) cookie(name string) string {
	c, err := v.r.Cookie(v.cookieName(name))
	if err != nil {
		return ""
	}
	return c.Value
}

// setCookie keeps something in the browser: for this site alone, not for scripts, and
// not sent when another site leads here.
func (v *visit) setCookie(name, value string, expires time.Time) {
	c := &http.Cookie{
		Name: v.cookieName(name), Value: value, Path: "/", Expires: expires,
		HttpOnly: true, Secure: v.secure, SameSite: http.SameSiteStrictMode,
	}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(v.w, c)
}

// recognise finds out who is signed in.
func (k *Console) recognise(v *visit) error {
	text := v.cookie(cookieSession)
	if text == "" {
		return nil
	}
	s, err := k.c.People.Session(v.r.Context(), text)
	if errors.Is(err, &people.Error{Code: people.NoSession}) {
		v.setCookie(cookieSession, "", time.Time{})
		return nil
	}
	if err != nil {
		return err
	}
	if s.Renewed { // the browser forgets it no earlier than the server
		v.setCookie(cookieSession, text, s.Expires)
	}
	v.in, v.session = true, s
	return nil
}

// enter begins a session in the browser, and goes on to where it was wanted, or asks
// for the second factor.
func (v *visit) enter(in *people.SignedIn, next string) error {
	if in.Device != "" {
		v.setCookie(cookieDevice, in.Device, in.DeviceExpires)
	}
	if in.Ticket != "" {
		v.setCookie(cookieTicket, in.Ticket, in.Expires)
		return v.redirect("/second-factor?next=" + url.QueryEscape(next))
	}
	v.setCookie(cookieSession, in.Session, in.Expires)
	v.setCookie(cookieTicket, "", time.Time{})
	return v.redirect(next)
}

// redirect goes to a page of the console.
func (v *visit) redirect(path string) error {
	http.Redirect(v.w, v.r, Prefix+path, http.StatusSeeOther)
	return nil
}

// door leads to where one signs in, and from there back. A strict cookie does not come
// with a link of another site, such as one in a mail: then a page of this site leads to
// the same place, and the cookie comes with that.
func (k *Console) door(v *visit) {
	if v.r.Method == http.MethodGet && v.r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		v.show(http.StatusOK, "onward", &page{Title: "One moment", Onward: v.r.URL.RequestURI()})
		return
	}
	next := ""
	if v.r.Method == http.MethodGet {
		next = strings.TrimPrefix(v.r.URL.RequestURI(), Prefix)
	}
	to := "/sign-in"
	if next != "" {
		to += "?next=" + url.QueryEscape(next)
	}
	_ = v.redirect(to)
}

// next is where to go after signing in: a page of the console, and nowhere else.
func (v *visit) next() string {
	next := v.r.FormValue("next")
	if u, err := url.Parse(next); err != nil || u.Host != "" || u.Scheme != "" || next != "" && next[0] != '/' && next[0] != '?' ||
		strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n") || len(next) > 500 {
		return ""
	}
	return next
}
