package api

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/authz"
)

// home answers GET /: the caller's own answer, or that of ?ip=. A browser gets
// the page, curl gets text, and whoever asks for JSON gets that.
//
// Where accounts are on, refused is why there may be no answer: the page says it.
func (x *exchange) home(refused *problem) *problem {
	f, p := x.choose(anyFormat, offerHome)
	if p != nil {
		return p
	}
	if f == formatHTML {
		return x.homePage(refused)
	}
	o, p := x.options(paramsAnswer | paramIP)
	if p != nil {
		return p
	}
	if o, p = x.mine(o); p != nil {
		return p
	}
	if o.format != anyFormat {
		f = o.format
	}
	addr, text := x.peer, ""
	if o.ip != "" {
		text = strings.TrimSpace(o.ip)
		var err error
		if addr, err = ipwarden.ParseAddr(text); err != nil {
			return badAddress(text, err)
		}
	}
	if !addr.IsValid() {
		return unknownCaller()
	}
	rec, p := x.ask(addr)
	if p != nil {
		return p
	}
	if x.cache = x.cacheFor(rec, o); o.ip == "" {
		x.cache = x.cache.forCaller()
	}
	return x.answer(rec, text, o, f)
}

// homePage writes the page. Links that people follow here carry all sorts of
// parameters, so only ip and explain count, and what is wrong with it the page says.
func (x *exchange) homePage(refused *problem) *problem {
	pg := &homePage{Base: x.api.pages.base, Self: true, Date: dateOnly(x.st.info.Date), In: x.signedIn()}
	for pair := range strings.SplitSeq(x.query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		switch name {
		case "ip":
			if v, ok := unescape(value, true); ok {
				pg.Asked = strings.TrimSpace(v)
			}
		case "explain":
			pg.Explain = value == "1"
		}
	}
	addr := x.peer
	if pg.Asked != "" {
		a, err := ipwarden.ParseAddr(pg.Asked)
		if err != nil {
			pg.Error = quoted(pg.Asked) + " " + err.Error() + "."
			if len(pg.Asked) > maxEcho {
				pg.Asked = ""
			}
		} else {
			addr, pg.Self = a, false
		}
	}
	if refused != nil {
		addr, pg.Error = netip.Addr{}, string(refused.refusal.AppendDetail(nil))
		pg.NeedsKey = refused.refusal.Code == authz.NoKey
		x.answered(0)
	}
	if addr.IsValid() { // else somebody on a Unix socket, who gets the search box alone
		rec, p := x.ask(addr)
		if p != nil {
			return p
		}
		pg.fill(x, rec, addr)
	}
	var b bytes.Buffer
	if err := x.api.pages.home.Execute(&b, pg); err != nil {
		return x.notMade(err)
	}
	x.out = append(x.out[:0], b.Bytes()...)
	x.page, x.csp = true, x.api.pages.csp
	x.cache = cachePolicy{}.forCaller()
	x.ok(formatHTML)
	return nil
}

// signedIn reports whether a browser has the cookie of a session.
func (x *exchange) signedIn() bool {
	if x.api.cfg.Session == "" || x.header == nil {
		return false
	}
	for _, line := range x.header.Values("Cookie") {
		for pair := range strings.SplitSeq(line, ";") {
			if name, value, _ := strings.Cut(strings.TrimSpace(pair), "="); name == x.api.cfg.Session && value != "" {
				return true
			}
		}
	}
	return false
}

type homePage struct {
	Base, Asked, Error, Date string
	Self, Explain            bool // the caller's own; the evidence is unfolded
	NeedsKey                 bool // nobody without one is answered: Error says so
	In                       bool // who asks is signed in
	IP, Path, Spelled        string
	Where, Who               string
	Chips                    []chip
	Groups                   []group
	Evidence                 []evidence
}

type chip struct{ Text, Class string }

type group struct {
	Title string
	Rows  []groupRow
}

type groupRow struct{ Label, Value string }

type evidence struct {
	Field, Value string
	Claims       []claim
}

type claim struct {
	Feed, Value, Date, Match, Licence, Note string
	Lost                                    bool
}

// traitChips says how each trait reads, and how bad it is.
var traitChips = []struct {
	trait       ipwarden.Traits
	text, class string
}{
	{ipwarden.Attacker, "Attacker", "bad"},
	{ipwarden.Abuser, "Abuser", "bad"},
	{ipwarden.Tor, "Tor exit", "warn"},
	{ipwarden.VPN, "VPN", "warn"},
	{ipwarden.Proxy, "Proxy", "warn"},
	{ipwarden.ResidentialProxy, "Residential proxy", "warn"},
	{ipwarden.Relay, "Privacy relay", "warn"},
	{ipwarden.Scanner, "Scanner", "warn"},
	{ipwarden.Crawler, "Crawler", "good"},
	{ipwarden.Hosting, "Hosting", ""},
	{ipwarden.Bogon, "Not globally reachable", ""},
	{ipwarden.Anycast, "Anycast", ""},
	{ipwarden.Satellite, "Satellite", ""},
	{ipwarden.Mobile, "Mobile", ""},
}

// pageGroups says which fields the page shows, and how it calls them.
var pageGroups = []struct {
	title string
	rows  []pageRow
}{
	{"Location", []pageRow{
		{"Country", ipwarden.FieldCountry},
		{"Region", ipwarden.FieldRegion},
		{"City", ipwarden.FieldCity},
		{"Postal code", ipwarden.FieldPostal},
		{"Time zone", ipwarden.FieldTimeZoneID},
		{"Local time", ipwarden.FieldTimeZoneCurrentTime},
		{"Currency", ipwarden.FieldCurrencyName},
		{"Calling code", ipwarden.FieldCallingCode},
	}},
	{"Network", []pageRow{
		{"AS", ipwarden.FieldASNumber},
		{"Name", ipwarden.FieldASName},
		{"Domain", ipwarden.FieldASDomain},
		{"Kind", ipwarden.FieldASKind},
		{"Route", ipwarden.FieldASRoute},
		{"Network", ipwarden.FieldNetwork},
		{"Company", ipwarden.FieldCompanyName},
		{"Carrier", ipwarden.FieldCarrierName},
		{"Registry", ipwarden.FieldASRegistry},
	}},
	{"Security", []pageRow{
		{"VPN", ipwarden.FieldVPNName},
		{"Crawler", ipwarden.FieldCrawlerName},
		{"Purpose", ipwarden.FieldCrawlerPurpose},
		{"Cloud", ipwarden.FieldHostingName},
		{"Cloud region", ipwarden.FieldHostingRegion},
		{"Cloud service", ipwarden.FieldHostingService},
		{"Special use", ipwarden.FieldBogonName},
		{"Defined in", ipwarden.FieldBogonRFC},
		{"Listed by", ipwarden.FieldListings},
		{"Threat score", ipwarden.FieldScoreThreat},
		{"Trust score", ipwarden.FieldScoreTrust},
	}},
}

type pageRow struct {
	label string
	field ipwarden.Field
}

func (pg *homePage) fill(x *exchange, rec ipwarden.Record, asked netip.Addr) {
	pg.IP = rec.Addr().String()
	pg.Path = pg.IP
	if !pg.Self && asked.String() != pg.IP {
		pg.Spelled = asked.String()
	}
	v := ipwarden.View{Now: x.now, Scores: x.api.cfg.Scores}
	text := func(f ipwarden.Field) string {
		b, known := v.AppendText(nil, rec, f)
		if !known {
			return ""
		}
		return string(b)
	}
	loc, as := rec.Location(), rec.ASN()
	pg.Where = join(" ", loc.Flag, join(", ", loc.City, loc.Region, loc.Country))
	if as.Number != 0 {
		pg.Who = join(" · ", "AS"+strconv.FormatUint(uint64(as.Number), 10), as.Name, as.Kind)
	}
	if bogon := rec.Security().Bogon; bogon.Name != "" {
		pg.Where = bogon.Name
	}
	for _, c := range traitChips {
		if rec.Traits().Has(c.trait) {
			pg.Chips = append(pg.Chips, chip{c.text, c.class})
		}
	}
	if rec.Network().IsValid() && !rec.Traits().Has(ipwarden.Threat|ipwarden.Anonymous|ipwarden.Scanner|ipwarden.Bogon) {
		pg.Chips = append(pg.Chips, chip{"On no threat list", "good"})
	}
	for _, g := range pageGroups {
		out := group{Title: g.title}
		for _, r := range g.rows {
			value := text(r.field)
			if r.field == ipwarden.FieldTimeZoneCurrentTime && value != "" {
				t, err := time.Parse(time.RFC3339, value)
				if err != nil {
					continue
				}
				value = t.Format("Monday 15:04") + " " + text(ipwarden.FieldTimeZoneAbbr)
			}
			if r.field == ipwarden.FieldListings {
				value = strings.ReplaceAll(value, ",", ", ")
			}
			if value != "" {
				out.Rows = append(out.Rows, groupRow{r.label, value})
			}
		}
		if len(out.Rows) > 0 {
			pg.Groups = append(pg.Groups, out)
		}
	}
	if len(pg.Groups) == 0 {
		pg.Groups = []group{{Title: "Nothing is known", Rows: []groupRow{{"Address", pg.IP}}}}
	}
	for _, e := range rec.Evidence() {
		ev := evidence{Field: e.Field.String(), Value: e.Value}
		for _, c := range e.By {
			ev.Claims = append(ev.Claims, claimOf(c, e.Value, false))
		}
		for _, c := range e.Lost {
			ev.Claims = append(ev.Claims, claimOf(c, e.Value, true))
		}
		pg.Evidence = append(pg.Evidence, ev)
	}
}

// claimOf prepares a claim for the page, which repeats no value that it shows
// above already.
func claimOf(c ipwarden.Claim, answer string, lost bool) claim {
	if c.Value == answer {
		c.Value = ""
	}
	return claim{
		Feed: c.Feed, Value: c.Value, Date: dateOnly(c.Date), Match: c.Match,
		Licence: c.Licence, Note: c.Note, Lost: lost,
	}
}

// join joins the parts that are not empty.
func join(sep string, parts ...string) string {
	var kept []string
	for _, p := range parts {
		if p != "" {
			kept = append(kept, p)
		}
	}
	return strings.Join(kept, sep)
}
