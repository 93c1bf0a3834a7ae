package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/account/people"
)

// A page is what a template shows.
type page struct {
	Title  string
	Here   string // which entry of the menu it is
	Done   string // what was done just now
	Wrong  []string
	Onward string

	// What show fills in.
	In     bool
	Email  string
	Name   string // of the installation
	Base   string // where people reach the server
	Style  string
	Prefix string
	SignUp bool // people may sign up
	Body   any
}

// A field is one of a form.
type field struct {
	ID, Label, Type, Value, Hint, Wrong string
	Auto                                string // autocomplete
	Required, Focus                     bool
	Lines                               int // of a textarea; 0 is one line
	Max                                 int
	Min                                 int
}

// done are the words for what was done before a redirect: a closed set.
var done = map[string]string{
	"key-changed": "The key was changed.", "key-revoked": "The key was revoked. It is refused everywhere within a second.",
	"alerts": "Your choice of letters was saved.", "password": "The password was changed, and all other sessions were ended.",
	"mail-sent": "A letter is on its way to the new address. The change is made when its link is followed.",
	"mail":      "Your e-mail address was changed.", "totp-ended": "Signing in no longer asks for a code.",
	"session-ended": "The session was ended.", "others-ended": "All other sessions were ended, and remembered devices forgotten.",
	"device-forgotten": "The device is asked for a code again.", "signed-out": "You are signed out.",
	"deleted": "The account was deleted.", "totp": "Signing in now asks for a code.",
}

var menu = []struct{ Here, Path, Label string }{
	{"overview", "", "Overview"},
	{"keys", "/keys", "Keys"},
	{"usage", "/usage", "Usage"},
	{"limits", "/limits", "Limits"},
	{"security", "/security", "Security"},
	{"data", "/data", "Your data"},
}

// parse reads the templates: each page with the layout.
func (k *Console) parse() error {
	functions := template.FuncMap{
		"group": group, "when": when, "day": day, "menu": func() any { return menu }, "lower": strings.ToLower,
		"join": strings.Join, "since": func(t time.Time) string { return ago(k.c.Now(), t) }, "percent": percent,
		"agent": people.Program, "deed": deed, "particulars": particulars,
	}
	base, err := template.New("").Funcs(functions).ParseFS(files, "pages/layout.html")
	if err != nil {
		return err
	}
	names, err := fs.Glob(files, "pages/*.html")
	if err != nil {
		return err
	}
	for _, name := range names {
		if path.Base(name) == "layout.html" {
			continue
		}
		t, err := template.Must(base.Clone()).ParseFS(files, name)
		if err != nil {
			return err
		}
		k.pages[strings.TrimSuffix(path.Base(name), ".html")] = t
	}
	return nil
}

// show writes a page.
func (v *visit) show(status int, name string, p *page) {
	p.In, p.Base, p.Style, p.Prefix = v.in, v.c.URL, v.styleAt, Prefix
	p.Name, p.SignUp = v.c.People.Name(), v.c.People.SignUpOpen()
	if v.in {
		p.Email = v.session.Account.Email
	}
	if word := done[v.r.URL.Query().Get("done")]; word != "" && p.Done == "" && v.r.Method == http.MethodGet {
		p.Done = word
	}
	var b bytes.Buffer
	if err := v.pages[name].ExecuteTemplate(&b, "layout", p); err != nil {
		v.c.Log.Error("a page cannot be made", "page", name, "error", err)
		http.Error(v.w, "This page cannot be shown.", http.StatusInternalServerError)
		return
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.WriteHeader(status)
	_, _ = v.w.Write(b.Bytes()) // the client went away: nobody to tell
}

// What a page can be instead.
var (
	errNotHere   = errors.New("there is no such page")
	errElsewhere = errors.New("another site has sent the form")
	errForm      = errors.New("the form was too large, or is none")
	errInternal  = errors.New("something went wrong here")
)

// fail shows what went wrong, where there is no form to show it at.
func (k *Console) fail(v *visit, err error) {
	p := &page{Title: "That did not work"}
	status := http.StatusInternalServerError
	var said *people.Error
	switch {
	case errors.Is(err, errNotHere), errors.Is(err, account.ErrNotFound):
		status, p.Title, p.Wrong = http.StatusNotFound, "Not found", []string{"There is nothing here. It may have been, or the link is not whole."}
	case errors.Is(err, errElsewhere):
		status, p.Wrong = http.StatusForbidden, []string{"Your browser says that another site has sent this form. Nothing was done. If it was you, open the page here and send it again."}
	case errors.Is(err, errForm):
		status, p.Wrong = http.StatusBadRequest, []string{"What the form has sent cannot be read, or is too much."}
	case errors.Is(err, account.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		status, p.Wrong = http.StatusServiceUnavailable, []string{"The accounts cannot be read or changed at this moment. Keys go on working. Try again in a minute."}
		v.w.Header().Set("Retry-After", "60")
	case errors.As(err, &said):
		status, p.Wrong = statusOf(said), []string{said.Message}
		v.after(said)
	case wrongs(err) != nil:
		status, p.Wrong = http.StatusBadRequest, wrongs(err)
	case v.r.Context().Err() != nil:
		return // nobody waits
	default:
		p.Wrong = []string{"Something went wrong here, not with what you did. It was logged."}
		k.c.Log.Error("a page failed", "path", v.r.URL.Path, "error", err)
	}
	v.show(status, "failed", p)
}

func statusOf(e *people.Error) int {
	switch e.Code {
	case people.NoSession:
		return http.StatusUnauthorized
	case people.TooMany:
		return http.StatusTooManyRequests
	case people.Busy:
		return http.StatusServiceUnavailable
	case people.Closed:
		return http.StatusForbidden
	case people.NotNow:
		return http.StatusConflict
	}
	return http.StatusUnprocessableEntity
}

// after says when to come back.
func (v *visit) after(e *people.Error) {
	if e.After > 0 {
		v.w.Header().Set("Retry-After", strconv.Itoa(int(max(1, e.After.Seconds()))))
	}
}

// wrongs are what was wrong with a wish, for people; nil is no such thing.
func wrongs(err error) []string {
	var invalid account.Invalid
	var conflict *account.Conflict
	var said *people.Error
	switch {
	case errors.As(err, &invalid):
		var all []string
		for _, m := range invalid {
			all = append(all, m.Message)
		}
		return all
	case errors.As(err, &conflict):
		return []string{conflict.Message}
	case errors.As(err, &said):
		return []string{said.Message}
	}
	return nil
}

// refused shows a form again with what was wrong, if that is what err is; else it is
// for fail.
func (v *visit) refused(err error, name string, p *page, fields ...*field) error {
	all := wrongs(err)
	if all == nil {
		return err
	}
	status := http.StatusUnprocessableEntity
	var said *people.Error
	if errors.As(err, &said) {
		status = statusOf(said)
		v.after(said)
	}
	var invalid account.Invalid
	if errors.As(err, &invalid) {
		all = nil
		for _, m := range invalid {
			text := sentence(m.Message)
			if i := slices.IndexFunc(fields, func(f *field) bool { return f.ID == m.Field }); i >= 0 {
				fields[i].Wrong = strings.TrimSpace(fields[i].Wrong + " " + text)
				all = append(all, fields[i].Label+": "+text)
				continue
			}
			all = append(all, text)
		}
	}
	for i := range all {
		all[i] = sentence(all[i])
	}
	p.Wrong = all
	v.show(status, name, p)
	return nil
}

// sentence begins with a capital letter and ends with a full stop.
func sentence(s string) string {
	if s == "" {
		return s
	}
	if c := s[0]; 'a' <= c && c <= 'z' {
		s = string(c-'a'+'A') + s[1:]
	}
	if !strings.ContainsRune(".!?", rune(s[len(s)-1])) {
		s += "."
	}
	return s
}

// group writes a number for people: 1,500.
func group(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2 Jan 2006, 15:04 UTC")
}

func day(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2 Jan 2006")
}

// ago says how long something is past, roughly.
func ago(now, t time.Time) string {
	d := now.Sub(t)
	n, unit := int(d.Minutes()), "minute"
	switch {
	case d < time.Minute:
		return "just now"
	case d >= 48*time.Hour:
		n, unit = int(d.Hours()/24), "day"
	case d >= 2*time.Hour:
		n, unit = int(d.Hours()), "hour"
	}
	if n != 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s ago", n, unit)
}

// percent is used of limit, 0 to 100.
func percent(used, limit int64) int64 {
	if limit <= 0 {
		return 0
	}
	return min(100, max(0, int64(float64(used)/float64(limit)*100)))
}
