package provider

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/yamldoc"
)

// maxMap bounds the file of a map.
const maxMap = 256 << 10

var mapKeys = []string{"name", "url", "keyed_url", "headers", "licence", "fields", "network", "refused", "remaining_header", "reset_header"}

// ReadMap reads a map. The error is every mistake, with its line and an excerpt.
func ReadMap(r io.Reader, file string) (*Map, error) {
	doc, body := yamldoc.Parse(r, file, maxMap)
	d := &mapFile{doc}
	m := &Map{headers: http.Header{}}
	pairs, _ := d.Mapping(body, "a map")
	has := map[string]bool{}
	for _, p := range pairs {
		has[p.Key] = true
		switch p.Key {
		case "name":
			m.name = d.text(p)
		case "url":
			m.url = d.template(p)
		case "keyed_url":
			if m.keyedURL = d.template(p); m.keyedURL != "" && !strings.Contains(m.keyedURL, "{key}") {
				d.At(p.Value.GetToken(), "keyed_url is for a provider with a key, and has no {key} in it; url does without")
			}
		case "licence":
			m.licence = d.text(p)
		case "headers":
			d.headers(m, p)
		case "fields":
			d.fields(m, p)
		case "network":
			m.network = d.path(p.Value, p.Key)
		case "refused":
			for _, item := range d.Sequence(p.Value, p.Key) {
				d.refusal(m, item)
			}
		case "remaining_header":
			m.remains = d.text(p)
		case "reset_header":
			m.resets = d.text(p)
		default:
			d.UnknownKey(p, "a map", mapKeys)
		}
	}
	for _, k := range []string{"name", "url", "licence", "fields"} {
		if !has[k] {
			d.Whole("a map needs " + k)
		}
	}
	if m.keyedURL != "" && strings.Contains(m.url, "{key}") {
		d.Whole("url is asked without a key where there is a keyed_url; take {key} out of it")
	}
	if err := d.Err(); err != nil {
		return nil, err
	}
	return m, nil
}

type mapFile struct{ *yamldoc.Document }

func (d *mapFile) text(p yamldoc.Pair) string {
	s, ok := d.Text(p.Value, p.Key)
	if ok && (strings.TrimSpace(s) == "" || len(s) > maxText) {
		d.At(p.Token, fmt.Sprintf("%s must have from 1 to %d bytes", p.Key, maxText))
	}
	return strings.TrimSpace(s)
}

// template reads a URL with {ip}, and perhaps {key}, in it.
func (d *mapFile) template(p yamldoc.Pair) string {
	s, ok := d.Text(p.Value, p.Key)
	if !ok {
		return ""
	}
	s = strings.TrimSpace(s)
	if strings.Count(s, "{key}") > 1 {
		d.At(p.Value.GetToken(), p.Key+": {key} may be there once")
	} else if err := checkTemplate(strings.Replace(s, "{key}", "key", 1)); err != nil {
		d.At(p.Value.GetToken(), p.Key+": "+err.Error())
	}
	return s
}

var token = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$") // RFC 9110 section 5.6.2

func (d *mapFile) headers(m *Map, p yamldoc.Pair) {
	pairs, _ := d.Mapping(p.Value, p.Key)
	for _, h := range pairs {
		value, ok := d.Text(h.Value, h.Key)
		switch {
		case !ok:
		case !token.MatchString(h.Key) || strings.EqualFold(h.Key, "Host"):
			d.At(h.Token, fmt.Sprintf("%q is no header that can be sent", yamldoc.Clip(h.Key, 64)))
		case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r >= 0x7f }) || strings.Contains(value, "{ip}"):
			d.At(h.Value.GetToken(), "the value of a header is plain text without {ip}, such as application/json")
		default:
			m.headers.Set(h.Key, value)
		}
	}
}

// path reads a dotted path.
func (d *mapFile) path(n ast.Node, what string) mapPath {
	s, ok := d.Text(n, what)
	if !ok {
		return nil
	}
	var p mapPath
	for name := range strings.SplitSeq(s, ".") {
		if name == "" || len(name) > 64 {
			d.At(n.GetToken(), fmt.Sprintf("%s %q is no path; write names with dots between them, such as location.country.code", what, yamldoc.Clip(s, 64)))
			return nil
		}
		p = append(p, name)
	}
	return p
}

// settable reports whether a map may give a field.
func settable(f ipwarden.Field) bool {
	switch f {
	case ipwarden.FieldIsEU, ipwarden.FieldAccuracyKM, ipwarden.FieldASNumber, ipwarden.FieldASRoute, ipwarden.FieldTimeZoneID,
		ipwarden.FieldLanguages, ipwarden.FieldLatitude, ipwarden.FieldLongitude:
		return true
	}
	var a answer
	return f.Traits() != 0 || a.texts(f) != nil
}

func (d *mapFile) fields(m *Map, p yamldoc.Pair) {
	pairs, _ := d.Mapping(p.Value, p.Key)
	var coordinates int
	for _, fp := range pairs {
		f, ok := ipwarden.FieldNamed(fp.Key)
		if !ok {
			msg := fmt.Sprintf("unknown field %q", yamldoc.Clip(fp.Key, 64))
			if near := yamldoc.Nearest(fp.Key, fieldNames()); near != "" {
				msg += fmt.Sprintf(", did you mean %q?", near)
			}
			d.At(fp.Token, msg)
			continue
		}
		if !settable(f) {
			d.At(fp.Token, fp.Key+" cannot be taken from an answer: it follows from the address, from other fields or from the time")
			continue
		}
		if f == ipwarden.FieldLatitude || f == ipwarden.FieldLongitude {
			coordinates++
		}
		m.fields = append(m.fields, d.field(f, fp))
	}
	if len(pairs) == 0 {
		d.At(p.Token, "fields is empty; an answer would say nothing")
	}
	if coordinates == 1 {
		d.At(p.Token, "location.latitude and location.longitude go together; give both or neither")
	}
}

func fieldNames() []string {
	var names []string
	for f := range ipwarden.AllFields() {
		names = append(names, f.String())
	}
	return names
}

// field reads where one field is: a path, or a mapping that says more.
func (d *mapFile) field(f ipwarden.Field, p yamldoc.Pair) mapField {
	out := mapField{field: f}
	if _, more := p.Value.(ast.MapNode); !more {
		out.paths = d.paths(p.Value, p.Key)
		return out
	}
	pairs, _ := d.Mapping(p.Value, p.Key)
	for _, q := range pairs {
		switch q.Key {
		case "path":
			out.paths = d.paths(q.Value, q.Key)
		case "take":
			out.take, _ = d.Text(q.Value, q.Key)
			if known := []string{takeNumber, takeASName, takeLatitude, takeLongitude}; !slices.Contains(known, out.take) {
				d.At(q.Value.GetToken(), "take must be one of "+strings.Join(known, ", "))
			}
		case "values":
			words, _ := d.Mapping(q.Value, q.Key)
			out.values = map[string]node{}
			for _, word := range words {
				if v, ok := d.Text(word.Value, q.Key); ok {
					out.values[strings.ToLower(word.Key)] = node{v}
				}
			}
		case "else":
			if v, ok := d.Text(q.Value, q.Key); ok {
				out.other = &node{v}
			}
		default:
			d.UnknownKey(q, p.Key, []string{"path", "take", "values", "else"})
		}
	}
	switch {
	case out.paths == nil:
		d.At(p.Token, p.Key+" needs a path")
	case out.other != nil && out.values == nil:
		d.At(p.Token, p.Key+" has else without values")
	}
	return out
}

// paths reads one path, or a list of which the first that has something counts.
func (d *mapFile) paths(n ast.Node, what string) (all []mapPath) {
	items := []ast.Node{n}
	if seq, ok := n.(*ast.SequenceNode); ok {
		items = seq.Values
	}
	for _, item := range items {
		if p := d.path(item, what); p != nil {
			all = append(all, p)
		}
	}
	return all
}

func (d *mapFile) refusal(m *Map, item ast.Node) {
	pairs, ok := d.Mapping(item, "an item of refused")
	if !ok || len(pairs) == 0 {
		return
	}
	var r refusal
	said := false
	for _, p := range pairs {
		switch p.Key {
		case "status":
			n, _ := d.Integer(p.Value, p.Key, 200, 599)
			r.status = int(n)
		case "path":
			r.path = d.path(p.Value, p.Key)
		case "is":
			nodes := []ast.Node{p.Value}
			if seq, isList := p.Value.(*ast.SequenceNode); isList {
				nodes = seq.Values
			}
			for _, n := range nodes {
				if s, isText := d.Text(n, p.Key); isText {
					r.is = append(r.is, s)
				}
			}
		case "message":
			r.message = d.path(p.Value, p.Key)
		case "means":
			s, _ := d.Text(p.Value, p.Key)
			if r.means, said = meanings[s]; !said {
				d.At(p.Value.GetToken(), "means must be one of unknown, quota, auth, invalid, server")
				said = true
			}
		default:
			d.UnknownKey(p, "an item of refused", []string{"status", "path", "is", "message", "means"})
		}
	}
	switch {
	case !said:
		d.At(pairs[0].Token, "an item of refused needs means: unknown, quota, auth, invalid or server")
	case r.status == 0 && r.path == nil:
		d.At(pairs[0].Token, "an item of refused needs a status, a path, or both; it would refuse everything")
	}
	m.refusals = append(m.refusals, r)
}
