package peoplehttp

import (
	"net/http"
	"time"
)

// Names of cookies, which the pages have too. Over TLS they begin with __Host-: then no
// other host of the domain can set them (RFC 6265bis, section 4.1.3).
const (
	cookieSession = "ipwarden-session"
	cookieDevice  = "ipwarden-device"
)

func cookieName(name string, secure bool) string {
	if secure {
		return "__Host-" + name
	}
	return name
}

// setCookie keeps something in the browser: for this site alone, and not for scripts.
func (a *API) setCookie(w http.ResponseWriter, name, value string, expires time.Time) {
	c := &http.Cookie{
		Name: cookieName(name, a.secure), Value: value, Path: "/", Expires: expires,
		HttpOnly: true, Secure: a.secure, SameSite: http.SameSiteStrictMode,
	}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

func (a *API) cookie(r *http.Request, name string) string {
	c, err := r.Cookie(cookieName(name, a.secure))
	if err != nil {
		return ""
	}
	return c.Value
}
