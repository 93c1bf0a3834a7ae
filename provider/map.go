package provider

import (
	"embed"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden"
)

// A Map describes a vendor without code: how it is asked, where in its answer
// each field is, and what its refusals mean. It is read from YAML by [ReadMap];
// those that ship ([MapNames]) are examples of the format. It is immutable.
type Map struct {
	name     string
	url      string // with {ip}, perhaps with {key}
	keyedURL string // instead of url where there is a key
	headers  http.Header
	licence  string
	fields   []mapField
	network  mapPath
	refusals []refusal
	remains  string // headers
	resets   string
}

// mapField says where one field is.
type mapField struct {
	field  ipwarden.Field
	paths  []mapPath
	take   string          // a part of the text: as_number, as_name, latitude, longitude
	values map[string]node // what a vendor's words are in ours
	other  *node           // what any other word is
}

// mapPath is a dotted path; the name {ip} in it stands for the address.
type mapPath []string

func (p mapPath) in(d node, addr string) node {
	for _, name := range p {
		if name == "{ip}" {
			name = addr
		}
		d = d.at(name)
	}
	return d
}

// refusal says what an answer means that is none.
type refusal struct {
	status  int      // 0: any
	path    mapPath  // none: the status alone decides
	is      []string // texts at path, case aside; none: any
	message mapPath
	means   meaning
}

func (r *refusal) applies(status int, d node) bool {
	if r.status != 0 && r.status != status {
		return false
	}
	if r.path == nil {
		return true
	}
	text := r.path.in(d, "").text()
	if len(r.is) == 0 {
		return text != ""
	}
	return slices.ContainsFunc(r.is, func(s string) bool { return strings.EqualFold(s, text) })
}

// Parts of a text that a map can take.
const (
	takeNumber    = "as_number"
	takeASName    = "as_name"
	takeLatitude  = "latitude"
	takeLongitude = "longitude"
)

//go:embed maps/*.yaml
var maps embed.FS

// MapNames lists the maps that ship.
func MapNames() []string {
	entries, _ := maps.ReadDir("maps") // it is in the program
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return names
}

// ShippedMap returns a map that ships, such as "ip-api".
func ShippedMap(name string) (*Map, error) {
	if !slices.Contains(MapNames(), name) {
		return nil, fmt.Errorf("there is no map called %.40q; there are %s", name, strings.Join(MapNames(), ", "))
	}
	f, err := maps.Open("maps/" + name + ".yaml")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadMap(f, name+".yaml")
}

// MapText returns the text of a map that ships, to begin one's own with.
func MapText(name string) ([]byte, error) {
	if _, err := ShippedMap(name); err != nil {
		return nil, err
	}
	return maps.ReadFile("maps/" + name + ".yaml")
}

// Name returns the vendor's name.
func (m *Map) Name() string { return m.name }

// vendor is the vendor that the map describes.
func (m *Map) vendor() *vendor {
	v := &vendor{base: m.url, terms: m.licence, extra: m.headers, read: m.read, refused: m.refused}
	if m.takesKey() {
		v.keyIn, v.needsKey = []string{""}, m.keyedURL == "" // the template says where it goes
	}
	if m.remains != "" || m.resets != "" {
		v.left = m.left
	}
	return v
}

func (m *Map) takesKey() bool {
	if strings.Contains(m.url+m.keyedURL, "{key}") {
		return true
	}
	for _, values := range m.headers {
		if strings.Contains(strings.Join(values, ""), "{key}") {
			return true
		}
	}
	return false
}

// target is the template with the key in it.
func (m *Map) target(cfg *Config) (string, error) {
	text := m.url
	if cfg.Key != "" && m.keyedURL != "" {
		text = m.keyedURL
	}
	if base := cfg.BaseURL; strings.Contains(base, "{ip}") {
		text = base
	} else if base != "" && base != m.url {
		_, rest, _ := strings.Cut(text, "://")
		at := strings.IndexAny(rest+"/", "/?")
		text = strings.TrimRight(base, "/") + rest[at:]
	}
	before, after, _ := strings.Cut(text, "?")
	text = strings.ReplaceAll(before, "{key}", url.PathEscape(cfg.Key))
	if after != "" {
		text += "?" + strings.ReplaceAll(after, "{key}", url.QueryEscape(cfg.Key))
	}
	return text, checkTemplate(text)
}

func (m *Map) refused(status int, d node) (meaning, string) {
	for i := range m.refusals {
		if r := &m.refusals[i]; r.applies(status, d) {
			message := d.first("message", "error")
			if r.message != nil {
				message = r.message.in(d, "")
			}
			return r.means, message.text()
		}
	}
	return meansFine, ""
}

func (m *Map) left(h http.Header, _ node, now time.Time) Quota {
	q := commonQuota(h, now)
	if n, ok := parseCount(h.Get(m.remains)); ok {
		q.Remaining = n
	}
	if t := parseReset(h.Get(m.resets), now); !t.IsZero() {
		q.Reset = t
	}
	return q
}

func (m *Map) read(a *answer, d node) {
	var lat, lon node
	for i := range m.fields {
		f := &m.fields[i]
		n := f.value(d, a.addr.String())
		switch {
		case n.v == nil:
		case f.field == ipwarden.FieldLatitude:
			lat = n
		case f.field == ipwarden.FieldLongitude:
			lon = n
		default:
			a.set(f.field, n)
		}
	}
	a.place(lat, lon)
	if m.network != nil {
		a.network(m.network.in(d, a.addr.String()))
	}
}

// value is what the answer says of the field, the zero node for nothing.
func (f *mapField) value(d node, addr string) (n node) {
	for _, p := range f.paths {
		if n = p.in(d, addr); n.v != nil && n.v != "" {
			break
		}
	}
	if n.v == nil || n.v == "" {
		return node{}
	}
	if f.values != nil {
		ours, ok := f.values[strings.ToLower(n.text())]
		switch {
		case ok:
			n = ours
		case f.other != nil:
			n = *f.other
		default:
			return node{}
		}
	}
	switch f.take {
	case takeNumber:
		n.v, _ = splitAS(n.text())
	case takeASName:
		_, n.v = splitAS(n.text())
	case takeLatitude, takeLongitude:
		first, second, ok := strings.Cut(n.text(), ",")
		if !ok {
			return node{}
		}
		if n.v = strings.TrimSpace(first); f.take == takeLongitude {
			n.v = strings.TrimSpace(second)
		}
	}
	return n
}
