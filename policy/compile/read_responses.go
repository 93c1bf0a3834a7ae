package compile

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/ipwarden/ipwarden/internal/yamldoc"
	"github.com/ipwarden/ipwarden/policy"
)

func (f *file) readResponses(n ast.Node) {
	pairs, _ := f.Mapping(n, "responses")
	for _, at := range pairs {
		r := policy.Response{Name: at.Key, Line: at.Token.Position.Line}
		if !isName(r.Name) {
			f.At(at.Token, fmt.Sprintf("the response %q must be called by letters, digits, _, - and spaces", yamldoc.Clip(r.Name, 64)))
		}
		_, has, ok := f.each(at.Value, "a response", []key{
			{"status", func(p yamldoc.Pair) {
				if v, ok := f.Integer(p.Value, "status", 200, 599); ok {
					r.Status = int(v)
				}
			}},
			{"title", func(p yamldoc.Pair) { r.Title = f.sentence(p.Value, "title") }},
			{"detail", func(p yamldoc.Pair) { r.Detail = f.sentence(p.Value, "detail") }},
			{"html", func(p yamldoc.Pair) { r.HTML, _ = f.Text(p.Value, "html") }},
			{"html_file", func(p yamldoc.Pair) { r.HTML = f.page(p.Value) }},
			{"redirect", func(p yamldoc.Pair) { r.Redirect = f.template(p.Value) }},
		})
		if !ok {
			continue
		}
		switch redirects := r.Status >= 300 && r.Status < 400; {
		case has["html"] && has["html_file"]:
			f.At(at.Token, "a page is given once: html or html_file")
		case has["redirect"] && (has["html"] || has["html_file"] || has["title"] || has["detail"]):
			f.At(at.Token, "a redirect has no page and no title")
		case has["redirect"] && r.Status != 0 && !redirects:
			f.At(at.Token, "the status of a redirect is 301, 302, 303, 307 or 308")
		case !has["redirect"] && redirects:
			f.At(at.Token, fmt.Sprintf("status %d needs a redirect, such as redirect: https://example.com{request.path}", r.Status))
		case len(has) == 0:
			f.At(at.Token, "the response is empty; give status, title, detail, html or redirect")
		}
		f.cfg.Responses = append(f.cfg.Responses, r)
	}
}

// sentence reads a text for people, of one line.
func (f *file) sentence(n ast.Node, what string) string {
	s, ok := f.Text(n, what)
	if ok && (len(s) > 1024 || strings.ContainsAny(s, "\r\n\x00")) {
		f.At(n.GetToken(), what+" is one line of at most 1024 bytes")
	}
	return s
}

// maxPage bounds a page, in bytes.
const maxPage = 256 << 10

func (f *file) page(n ast.Node) string {
	name, ok := f.Text(n, "html_file")
	if !ok {
		return ""
	}
	data, err := f.opts.ReadFile(name)
	switch {
	case err != nil:
		f.At(n.GetToken(), fmt.Sprintf("the file cannot be read: %v", err))
	case len(data) > maxPage:
		f.At(n.GetToken(), fmt.Sprintf("the file is larger than %d KiB", maxPage>>10))
	}
	return string(data)
}

// template reads an address in which {…} holds expressions.
func (f *file) template(n ast.Node) []policy.Expr {
	s, ok := f.Text(n, "redirect")
	if !ok {
		return nil
	}
	var parts []policy.Expr
	literal := func(text string) {
		if text != "" {
			parts = append(parts, policy.Expr{Op: policy.OpConst, Type: policy.String, Text: text})
		}
	}
	rest, at := s, 0
	for {
		before, inner, found := strings.Cut(rest, "{")
		literal(before)
		if !found {
			break
		}
		text, after, closed := strings.Cut(inner, "}")
		if !closed {
			f.Inside(n, s, at+len(before), "redirect: this { has no }")
			return nil
		}
		from := at + len(before) + 1
		x, problems := f.conds.compile(text, policy.String, false)
		for _, p := range problems {
			f.Inside(n, s, from+p.at, "redirect: "+p.what)
		}
		if x.Op == policy.OpConst {
			x.Op, x.Args = policy.OpConcat, []policy.Expr{x} // to be escaped like the others
		}
		parts = append(parts, x)
		at, rest = from+len(text)+1, after
	}
	if head := s[:strings.IndexByte(s+"{", '{')]; !strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "{request.path}") {
		u, err := url.Parse(head)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" {
			f.At(n.GetToken(), "a redirect begins with https://, http:// or a slash, such as https://example.com{request.path}")
		}
	}
	bad := func(p policy.Expr) bool { // what is put together is encoded when it is
		return p.Op == policy.OpConst && strings.ContainsFunc(p.Text, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune("\"<>\\^`|", r) })
	}
	if slices.ContainsFunc(parts, bad) {
		f.At(n.GetToken(), "an address has no spaces, quotes and backslashes in it; they are percent-encoded")
	}
	return parts
}
