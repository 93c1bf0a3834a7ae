package api

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"sync"
)

//go:embed pages
var pageFiles embed.FS

// Style is the style sheet of the pages, for other pages of the same look.
func Style() string {
	css, err := pageFiles.ReadFile("pages/style.css")
	if err != nil {
		panic(err) // it is in the program
	}
	return string(css)
}

// pages holds what people see, ready to be sent.
type pages struct {
	home *template.Template
	csp  string // Content-Security-Policy of both
	base string // of the examples
	// signUp is where who has no key gets one: empty where nobody does.
	signUp string
	// The document and its pages are made when somebody first asks: a start would
	// spend a third of its memory on them.
	openAPI func() ([]byte, error)
	docs    func() ([]byte, error)
}

// newPages makes the pages of a server that is reached at its PublicURL, or, where
// that is empty, at listen.
func newPages(c *Config, listen string) (*pages, error) {
	publicURL := c.PublicURL
	p := &pages{base: cmp.Or(publicURL, listen)}
	if c.SignUp != "" {
		p.signUp = p.base + c.SignUp
	}
	css, err := pageFiles.ReadFile("pages/style.css")
	if err != nil {
		return nil, err
	}
	// Nothing is loaded from anywhere, nothing runs, nobody frames it: the one
	// style sheet is known by its hash.
	sum := sha256.Sum256(css)
	p.csp = "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	t, err := template.New("").Funcs(template.FuncMap{
		"style":   func() template.CSS { return template.CSS(css) }, // our own file, not input
		"signIn":  func() string { return c.SignIn },
		"signUp":  func() string { return c.SignUp },
		"account": func() string { return c.Account },
	}).ParseFS(pageFiles, "pages/*.html")
	if err != nil {
		return nil, err
	}
	p.home = t.Lookup("home.html")
	p.openAPI = sync.OnceValues(func() ([]byte, error) {
		doc, err := readOpenAPI(publicURL)
		if err != nil {
			return nil, err
		}
		return doc.raw, nil
	})
	p.docs = sync.OnceValues(func() ([]byte, error) {
		doc, err := readOpenAPI(publicURL)
		if err != nil {
			return nil, err
		}
		var b bytes.Buffer
		if err := t.ExecuteTemplate(&b, "docs.html", doc.reference(p.base)); err != nil {
			return nil, err
		}
		return b.Bytes(), nil
	})
	return p, nil
}

// openAPI answers GET /openapi.json.
func (x *exchange) openAPI() *problem {
	if _, p := x.options(0); p != nil {
		return p
	}
	if _, p := x.choose(anyFormat, offerJSON); p != nil {
		return p
	}
	raw, err := x.api.pages.openAPI()
	if err != nil {
		return x.notMade(err)
	}
	x.cache = cachePolicy{maxAge: hour}
	x.out = append(x.out[:0], raw...)
	x.ok(formatJSON)
	return nil
}

// docs answers GET /docs.
func (x *exchange) docs() *problem {
	if _, p := x.choose(anyFormat, offerHTML); p != nil {
		return p
	}
	page, err := x.api.pages.docs()
	if err != nil {
		return x.notMade(err)
	}
	x.cache = cachePolicy{maxAge: hour}
	x.page, x.csp = true, x.api.pages.csp
	x.out = append(x.out[:0], page...)
	x.ok(formatHTML)
	return nil
}

// notMade is the answer when a page could not be made: it is ours to mend.
func (x *exchange) notMade(err error) *problem {
	x.api.cfg.Log.Error("the page could not be made", "error", err)
	return internalError()
}
