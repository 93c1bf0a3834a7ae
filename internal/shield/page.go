package shield

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

//go:embed page.html
var pageText string

// Page is the operator's page at /shield: what is in force, what is going on, and a
// button for each measure; and /shield/status.json, the same for programs. It works
// without JavaScript. It belongs on a listener that only operators reach.
//
// A page of another site cannot press its buttons: requests that a browser says come
// from elsewhere are refused, and so are those for a name that is not this machine's,
// which another site may have pointed here.
func Page(g *Guard, w *Watch, style string, now func() time.Time) (http.Handler, error) {
	style += ownStyle
	t, err := template.New("page").Funcs(template.FuncMap{
		"style":   func() template.CSS { return template.CSS(style) }, //nolint:gosec // our own file, not input
		"list":    func(v ...any) []any { return v },
		"percent": func(share float64) string { return fmt.Sprintf("%.0f %%", share*100) },
	}).Parse(pageText)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(style))
	p := &page{guard: g, watch: w, now: now, page: t, csp: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /shield", p.show)
	mux.HandleFunc("GET /shield/status.json", p.status)
	mux.HandleFunc("POST /shield/set", p.act((*page).set))
	mux.HandleFunc("POST /shield/end", p.act((*page).end))
	mux.HandleFunc("POST /shield/undo", p.act((*page).undo))
	return http.NewCrossOriginProtection().Handler(ownName(mux)), nil
}

// ownStyle is what the forms of this page add to the style sheet.
const ownStyle = `
input,select{font:inherit;padding:.35rem .6rem;border:1px solid var(--line);border-radius:.5rem;background:var(--bg);color:var(--ink);max-width:100%}
button{font:inherit;font-weight:600;padding:.4rem .95rem;border:0;border-radius:.6rem;background:var(--accent);color:#fff;cursor:pointer}
button:hover{filter:brightness(1.08)}td form{margin:0}.hero>form{margin-top:1rem}
@media (prefers-color-scheme:dark){button{color:#0b1220}}
`

type page struct {
	guard *Guard
	watch *Watch
	now   func() time.Time
	page  *template.Template
	csp   string
}

// ownName refuses requests for names: an address cannot be pointed elsewhere.
func ownName(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		_, err := netip.ParseAddr(strings.Trim(host, "[]"))
		if err != nil && host != "localhost" {
			http.Error(w, "This page is at an address of this machine, such as http://127.0.0.1:9090/shield, and under no name but localhost.", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (p *page) show(w http.ResponseWriter, r *http.Request) { p.write(w, http.StatusOK, nil) }

func (p *page) write(w http.ResponseWriter, status int, err error) {
	active := p.guard.Active()
	data := struct {
		Error  string
		Active []Measure
		Sight  Sight
	}{Active: active, Sight: p.watch.Sight(active)}
	if err != nil {
		data.Error = err.Error()
	}
	var b bytes.Buffer
	if err := p.page.Execute(&b, data); err != nil {
		p.guard.cfg.Log.Error("the shield's page could not be made", "error", err)
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", p.csp)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the client went away: nobody to tell
}

// Status is what status.json has.
type Status struct {
	Active []Measure `json:"active"`
	Sight
}

func (p *page) status(w http.ResponseWriter, _ *http.Request) {
	s := Status{Active: p.guard.Active()}
	s.Sight = p.watch.Sight(s.Active)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(s) // the client went away: nobody to tell
}

// act does what a form wants, and shows the page again.
func (p *page) act(f func(*page, *State, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
		err := r.ParseForm()
		if err == nil {
			err = p.guard.Change(func(s *State) error { return f(p, s, r) })
		}
		if err != nil {
			p.write(w, http.StatusBadRequest, err)
			return
		}
		http.Redirect(w, r, "/shield", http.StatusSeeOther)
	}
}

func (p *page) set(s *State, r *http.Request) error {
	now := p.now()
	m := Measure{Kind: Kind(r.PostForm.Get("kind")), Action: Action(r.PostForm.Get("action")), Since: now, By: "operator's page", Reason: oneLine(r.PostForm.Get("reason"))}
	var err error
	if m.Value, err = Parse(m.Kind, r.PostForm.Get("value")); err != nil {
		return err
	}
	life, err := time.ParseDuration(cmp.Or(r.PostForm.Get("for"), "1h"))
	if err != nil || life < Shortest || life > Longest {
		return fmt.Errorf("%.20q is no time for a measure, such as 30m or 24h", r.PostForm.Get("for"))
	}
	m.Until = now.Add(life)
	if m.Kind == Work {
		m.From = NoScore
		for name, to := range map[string]*int{"bits": &m.Bits, "from": &m.From} {
			if text := r.PostForm.Get(name); text != "" {
				if *to, err = strconv.Atoi(text); err != nil {
					return fmt.Errorf("%.20q is no number", text)
				}
			}
		}
	}
	return s.Set(now, m)
}

func (p *page) end(s *State, r *http.Request) error {
	now := p.now()
	return s.Expire(now, now, r.PostForm.Get("name"))
}

func (p *page) undo(s *State, _ *http.Request) error {
	_, err := s.Undo(p.now())
	return err
}
