package challenge

import (
	"bytes"
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed page.html
var pageSource string

//go:embed page.css
var pageStyle string

// pageTemplate is made once; it is never changed.
var pageTemplate = template.Must(template.New("page").Parse(pageSource))

// page is what the template reads.
type page struct {
	T       *Texts
	Nonce   string
	Style   template.CSS
	Refresh string // of browsers without script: seconds and where
	Now     bool   // the refresh is for all browsers
	Problem string // instead of a challenge
	Notes   []string
	Action  string
	Ticket  string
	To      string
	Kind    string
	Widget  template.HTML
	Script  template.JS
	Load    []string
	Start   bool // the script waits for a button
	Waiting string
	Instead string // where the wait is
	NoText  string
}

// show writes the page of the visit's ticket: the challenge, or the wait.
func (v *visit) show(status int, wait bool) Answer {
	c, t := v.c, v.ticket
	p := page{T: v.texts, Action: c.cfg.Path, Ticket: t.Text, To: v.to}
	kind, other := c.kindFor(t), c.cfg.WithoutScript
	if wait && c.withoutScript(t) {
		kind = other
	}
	without := kind.Name() == other.Name()
	var sources []string
	if rest := v.rest(); without && rest > 0 {
		p.Refresh, p.Now = v.waitURL(rest), true
		p.Waiting = seconds(v.texts.Waiting, rest)
	} else {
		w := kind.Widget(t, v.texts)
		p.Kind, p.Widget, p.Script, p.Load = kind.Name(), template.HTML(w.HTML), template.JS(w.Script), w.Load //nolint:gosec // the kind's own text
		p.Start = w.Automatic && t.Again
		sources = w.Sources
		if !without && c.withoutScript(t) {
			rest = max(rest, time.Second)
			p.Refresh, p.NoText = v.waitURL(rest), seconds(v.texts.NoScript, rest)
			p.Instead = v.waitLink()
		}
	}
	if t.Again {
		p.Notes = append(p.Notes, v.texts.Again)
	}
	if t.Fallback {
		p.Notes = append(p.Notes, v.texts.Fallback)
	}
	return v.write(status, &p, sources)
}

// rest is how long the visit's ticket has to wait yet, in whole seconds upward.
func (v *visit) rest() time.Duration {
	w, ok := v.c.cfg.WithoutScript.(interface{ For(uint8) time.Duration })
	if !ok {
		return 0
	}
	d := w.For(v.ticket.Score) - v.now.Sub(v.ticket.Issued)
	return max((d + time.Second - 1).Truncate(time.Second), 0)
}

func (v *visit) waitLink() string {
	link := append([]byte(v.c.cfg.Path), "?t="...)
	link = append(append(link, v.ticket.Text...), "&to="...)
	return string(append(appendQuery(link, []byte(v.to)), "&wait=1"...))
}

// waitURL is the value of a refresh.
func (v *visit) waitURL(rest time.Duration) string {
	return strconv.Itoa(int(rest/time.Second)) + ";url=" + v.waitLink()
}

func seconds(text string, d time.Duration) string {
	return strings.Replace(text, "%d", strconv.Itoa(int(d/time.Second)), 1)
}

// problem writes a page that says what is wrong, with a link that leads back.
func (v *visit) problem(status int, what string) Answer {
	return v.write(status, &page{T: v.texts, Problem: what, To: v.to}, nil)
}

func (v *visit) write(status int, p *page, sources []string) Answer {
	p.Nonce, p.Style = nonce(), template.CSS(pageStyle) //nolint:gosec // its own text
	if p.To == "" {
		p.To = "/"
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, p); err != nil { // its own template and strings
		b.Reset()
		b.WriteString("this page could not be written\n")
		status = http.StatusInternalServerError
	}
	h := http.Header{
		"Content-Type":            {"text/html; charset=utf-8"},
		"Content-Security-Policy": {contentPolicy(p.Nonce, sources)},
		"Cache-Control":           {"no-store"},
		"X-Content-Type-Options":  {"nosniff"},
		"X-Robots-Tag":            {"noindex"},
		"Referrer-Policy":         {"no-referrer"},
		"Vary":                    {"Accept-Language"},
	}
	return Answer{Status: status, Header: h, Body: b.Bytes()}
}

// contentPolicy lets the page run its own script and style, and what a kind
// loads, and nothing else (CSP Level 3).
func contentPolicy(nonce string, sources []string) string {
	more := ""
	if len(sources) > 0 {
		sources = slices.Clone(sources)
		slices.Sort(sources)
		more = " " + strings.Join(slices.Compact(sources), " ")
	}
	csp := "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; script-src 'nonce-" + nonce + "'" + more +
		"; style-src 'nonce-" + nonce + "'" + more
	if more != "" {
		csp += "; frame-src" + more + "; connect-src" + more + "; img-src" + more
	}
	return csp
}

func nonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}
