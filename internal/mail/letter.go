package mail

import (
	"bytes"
	htmltemplate "html/template"
	"strings"
	"sync"
	texttemplate "text/template"
	"time"
)

// A Letter is what a mail says. Its texts are plain: they are put into the HTML part as
// text, whatever is in them.
type Letter struct {
	Kind    string // a word for lists and metrics, of a closed set: "confirm"
	Subject string
	Before  []string // paragraphs
	Facts   []Fact   // a table
	Link    Link     // what to do about it; the zero Link is nothing
	After   []string // paragraphs behind the link
	// Once names the letter where it may be written again, after a process has died: in
	// the outbox it is there once, and who gets it twice can tell by its Message-ID. 1 to
	// 40 small letters and digits; "" is a letter that is like no other.
	Once string
	// Expires is when the letter is of no use any more: then it is not sent. Zero is
	// never.
	Expires time.Time
}

// A Fact is a line of a table: "Address", "192.0.2.1".
type Fact struct{ Name, Value string }

// A Link is where a letter leads.
type Link struct{ Label, URL string }

// parts are the templates of all letters, parsed when the first is written.
var parts = sync.OnceValue(func() (p struct {
	text *texttemplate.Template
	html *htmltemplate.Template
},
) {
	p.text = texttemplate.Must(texttemplate.New("text").Parse(letterText))
	p.html = htmltemplate.Must(htmltemplate.New("html").Parse(letterHTML))
	return p
})

const letterText = `{{range .Before}}{{.}}

{{end}}{{range .Facts}}  {{.Name}}: {{.Value}}
{{end}}{{if .Facts}}
{{end}}{{if .Link.URL}}{{.Link.Label}}:
{{.Link.URL}}

{{end}}{{range .After}}{{.}}

{{end}}-- 
{{.Sign}}
`

// letterHTML loads nothing from anywhere, and styles each element itself: readers of
// mail drop style sheets.
const letterHTML = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{.Subject}}</title></head>
<body style="margin:0;padding:24px;font:16px/1.5 system-ui,sans-serif;color:#1b1f24;background:#fff">
<div style="max-width:560px;margin:0 auto">
{{range .Before}}<p>{{.}}</p>
{{end}}{{if .Facts}}<table style="border-collapse:collapse;margin:16px 0">
{{range .Facts}}<tr><th style="text-align:left;font-weight:600;padding:2px 16px 2px 0;vertical-align:top">{{.Name}}</th><td style="padding:2px 0">{{.Value}}</td></tr>
{{end}}</table>
{{end}}{{if .Link.URL}}<p style="margin:24px 0"><a href="{{.Link.URL}}" style="display:inline-block;padding:10px 18px;border-radius:6px;background:#0b5fff;color:#fff;text-decoration:none">{{.Link.Label}}</a></p>
<p style="font-size:14px;color:#57606a;word-break:break-all">{{.Link.URL}}</p>
{{end}}{{range .After}}<p>{{.}}</p>
{{end}}<p style="margin-top:32px;font-size:14px;color:#57606a">{{.Sign}}</p>
</div></body></html>
`

// render writes the letter as text and as HTML. sign is the last line: who wrote it.
func (l *Letter) render(sign string) (text, html string, err error) {
	data := struct {
		*Letter
		Sign string
	}{l, sign}
	var t, h bytes.Buffer
	if err := parts().text.Execute(&t, data); err != nil {
		return "", "", err
	}
	if err := parts().html.Execute(&h, data); err != nil {
		return "", "", err
	}
	return t.String(), h.String(), nil
}

// line is text for one line of a header.
func line(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == ' ' }), " ")
}
