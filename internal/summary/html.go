package summary

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden/internal/worldmap"
)

//go:embed report.html
var page string

// WriteHTML writes the Report as a page that needs nothing beside itself: no script,
// no font, no picture from elsewhere.
func (r *Report) WriteHTML(w io.Writer) error {
	t, err := template.New("report").Funcs(template.FuncMap{
		"n": group3, "pct": percent, "words": words,
	}).Parse(page)
	if err != nil {
		return err
	}
	return t.Execute(w, r.page())
}

// pageOf is what the template shows.
type pageOf struct {
	Title   string
	Lines   []string
	Notes   []string
	Made    string
	Figures []figure
	Map     []shape
	Steps   []step
	OffMap  string
	MapSize string
	Lists   []list
	Talkers []talkerList
}

// A figure is a number that stands large.
type figure struct{ Value, Name, Beside string }

// A shape is a country of the map.
type shape struct {
	worldmap.Country
	Class int
	Tip   string
}

type step struct {
	Class int
	Name  string
}

// A list has two bars a row: requests over addresses.
type list struct {
	Title, Note string
	Rows        []listRow
}

type listRow struct {
	Name, Code string
	Share
	Wide, WideAddresses string // of 100
}

type talkerList struct {
	Title string
	Rows  []talkerRow
}

type talkerRow struct {
	Name     string
	Requests uint64
	Share    float64
	Wide     string
	Who
}

// steps of the map, by the share of requests: from each one on, its colour.
var steps = []struct {
	from float64
	name string
}{{0, "under 0.1%"}, {0.001, "0.1 to 1%"}, {0.01, "1 to 5%"}, {0.05, "5 to 10%"}, {0.1, "10 to 25%"}, {0.25, "25% and more"}}

func stepOf(share float64) int {
	n := 0
	for i, s := range steps {
		if share >= s.from {
			n = i + 1
		}
	}
	return n
}

func (r *Report) page() *pageOf {
	p := &pageOf{
		Title: r.Title, Lines: r.headline()[1:], Notes: r.notes(), Made: r.Made.Format(time.DateOnly + " 15:04 UTC"),
		MapSize: fmt.Sprintf("0 %d %d %d", worldmap.Top, worldmap.Width, worldmap.Height),
	}
	if p.Title == "" {
		p.Title = "Who was here"
	}
	p.figures(r)
	p.draw(r)
	rowsOf(p, "Traits", "", r.Traits, func(t Trait) (string, string, Share) { return words(t.Name), "", t.Share })
	rowsOf(p, "Countries", more(len(r.Countries), r.Found.Countries), r.Countries, func(c Country) (string, string, Share) {
		if c.Name == "" {
			return c.Code, "", c.Share
		}
		return c.Name, c.Code, c.Share
	})
	rowsOf(p, "Autonomous systems", more(len(r.ASNs), r.Found.ASNs), r.ASNs, func(a ASN) (string, string, Share) {
		return a.Name, fmt.Sprintf("AS%d", a.Number), a.Share
	})
	rowsOf(p, "Providers", more(len(r.Providers), r.Found.Providers), r.Providers, func(v Provided) (string, string, Share) { return v.Name, v.Kind, v.Share })
	rowsOf(p, "Kinds of networks", "", r.Kinds, func(k Kind) (string, string, Share) { return k.Name, "", k.Share })
	p.talkers(r)
	return p
}

func (p *pageOf) figures(r *Report) {
	about := ""
	if r.Spread > 0 {
		about = "about "
	}
	p.Figures = []figure{
		{group3(r.All.Requests), "requests", "of " + plural(uint64(r.Rows.Read), "row")},
		{about + group3(r.All.Addresses), "addresses", perAddress(r.All)},
		{group3(uint64(r.Found.Countries)), "countries", plural(uint64(r.Found.ASNs), "autonomous system")},
	}
	for _, name := range []string{"hosting", "anonymous", "threat"} {
		s := Share{}
		for _, t := range r.Traits {
			if t.Name == name {
				s = t.Share
			}
		}
		p.Figures = append(p.Figures, figure{percent(s.Share), words(name), percent(s.AddressShare) + " of addresses"})
	}
	p.Figures = append(p.Figures, figure{percent(r.IPv6.Share), "IPv6", percent(r.IPv6.AddressShare) + " of addresses"})
}

func perAddress(s Share) string {
	if s.Addresses == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f requests each", float64(s.Requests)/float64(s.Addresses))
}

// draw colours the map.
func (p *pageOf) draw(r *Report) {
	of := map[string]Country{}
	for _, c := range r.allCountries {
		of[c.Code] = c
	}
	for c := range worldmap.Countries() {
		s := shape{Country: c}
		if n, ok := of[c.Code]; ok {
			s.Class = stepOf(n.Share.Share)
			s.Tip = fmt.Sprintf("%s: %s (%s), %s", n.label(), plural(n.Requests, "request"), percent(n.Share.Share), plural2(n.Addresses, "address", "addresses"))
		} else if c.Path == "" {
			continue // a dot for nothing
		}
		delete(of, c.Code)
		p.Map = append(p.Map, s)
	}
	var off []string
	for _, c := range r.allCountries {
		if _, ok := of[c.Code]; ok && len(off) < 10 {
			off = append(off, c.label())
		}
	}
	p.OffMap = strings.Join(off, ", ")
	for i, s := range steps {
		p.Steps = append(p.Steps, step{i + 1, s.name})
	}
}

// rowsOf adds a list to the page.
func rowsOf[T any](p *pageOf, title, note string, all []T, of func(T) (name, code string, s Share)) {
	var rows []listRow
	for _, x := range all {
		name, code, s := of(x)
		rows = append(rows, listRow{Name: name, Code: code, Share: s})
	}
	p.add(title, note, rows)
}

func (p *pageOf) add(title, note string, rows []listRow) {
	most := 0.0
	for _, r := range rows {
		most = max(most, r.Share.Share, r.AddressShare)
	}
	for i := range rows {
		rows[i].Wide, rows[i].WideAddresses = wide(rows[i].Share.Share, most), wide(rows[i].AddressShare, most)
	}
	if len(rows) > 0 {
		p.Lists = append(p.Lists, list{title, note, rows})
	}
}

// wide is how long a bar is, of 100.
func wide(share, most float64) string {
	if share == 0 || most == 0 {
		return "0"
	}
	return fmt.Sprintf("%.2f", max(0.5, 100*share/most))
}

func (p *pageOf) talkers(r *Report) {
	nets, addrs := talkerList{Title: "Networks"}, talkerList{Title: "Addresses"}
	for _, x := range r.Networks {
		nets.Rows = append(nets.Rows, talkerRow{x.Network.String(), x.Requests, x.Share, "", x.Who})
	}
	for _, x := range r.Addresses {
		addrs.Rows = append(addrs.Rows, talkerRow{x.IP.String(), x.Requests, x.Share, "", x.Who})
	}
	for _, l := range []talkerList{addrs, nets} {
		for i := range l.Rows {
			l.Rows[i].Wide = wide(l.Rows[i].Share, l.Rows[0].Share)
		}
		if len(l.Rows) > 0 {
			p.Talkers = append(p.Talkers, l)
		}
	}
}
