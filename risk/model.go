package risk

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/ipwarden/ipwarden"
)

// Config is what a Model weighs with. The zero Config is the default.
type Config struct {
	// Points of each signal, -100 to 100; of those that are not in it the default
	// ([DefaultPoints]). 0 leaves a signal out.
	Points map[Signal]int
	// HalfLives is the age at which the feed behind a signal weighs half; of
	// those that are not in it the default ([DefaultHalfLives]). 0: it does not
	// fade.
	HalfLives map[Signal]time.Duration
	// Floor is the percentage that the oldest feed still weighs. Default 10.
	Floor int
}

// A Model weighs signals. It is immutable and safe for concurrent use.
type Model struct {
	points   [numSignals]int16
	halfLife [numSignals]time.Duration
	floor    int
}

// NewModel checks the weights; the error joins all mistakes.
func NewModel(cfg Config) (*Model, error) {
	m := &Model{floor: cfg.Floor}
	var errs []error
	if m.floor == 0 {
		m.floor = 10
	}
	if m.floor < 0 || m.floor > 100 {
		errs = append(errs, errors.New("risk: the floor is "+strconv.Itoa(cfg.Floor)+", and a percentage is 1 to 100, such as 10"))
	}
	points, lives := DefaultPoints(), DefaultHalfLives()
	maps.Copy(points, cfg.Points)
	maps.Copy(lives, cfg.HalfLives)
	for _, s := range slices.Sorted(maps.Keys(points)) {
		n := points[s]
		switch {
		case s == NoSignal || s >= numSignals:
			errs = append(errs, errors.New("risk: there is no signal "+strconv.Itoa(int(s))))
		case n < -100 || n > 100:
			errs = append(errs, errors.New("risk: "+s.String()+" has "+strconv.Itoa(n)+" points, and may have -100 to 100, such as "+strconv.Itoa(DefaultPoints()[s])))
		default:
			m.points[s] = int16(n)
		}
	}
	for _, s := range slices.Sorted(maps.Keys(lives)) {
		d := lives[s]
		switch {
		case s == NoSignal || s >= numSignals:
			errs = append(errs, errors.New("risk: there is no signal "+strconv.Itoa(int(s))+" that could have a half-life"))
		case d < 0:
			errs = append(errs, errors.New("risk: the half-life of "+s.String()+" is "+d.String()+", and may be 0 (does not fade) or more, such as 2160h"))
		default:
			m.halfLife[s] = d
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return m, nil
}

// DefaultModel weighs as docs/risk.md says.
func DefaultModel() *Model {
	m, err := NewModel(Config{})
	if err != nil {
		panic(err) // its own defaults
	}
	return m
}

// Points returns the weight of a signal.
func (m *Model) Points(s Signal) int {
	if s >= numSignals {
		return 0
	}
	return int(m.points[s])
}

// HalfLife returns the age at which a feed behind the signal weighs half, 0 when
// it does not fade.
func (m *Model) HalfLife(s Signal) time.Duration {
	if s >= numSignals {
		return 0
	}
	return m.halfLife[s]
}

// Floor returns the percentage that the oldest feed still weighs.
func (m *Model) Floor() int { return m.floor }

// A Situation is what the application and the gate know beside the address. The
// zero Situation says nothing.
type Situation struct {
	// BillingCountry and LastCountry are ISO 3166-1 codes: of the bill, and of
	// the visit before. "" when the application does not know.
	BillingCountry, LastCountry string
	// ClaimsCrawler: the user agent names a crawler, and nothing has confirmed it.
	ClaimsCrawler bool
	// SharedNetwork: the operator knows that many people share the address, such
	// as an office or a café.
	SharedNetwork bool
}

// An Assessment is a score and what it is the sum of. Reuse one: Assess
// overwrites it. It has about 1 KiB.
type Assessment struct {
	// Score is Sum, but 0 to 100.
	Score uint8
	// Shared: many people are behind the address. Its reputation is also that of
	// others, so it alone is no reason to block, and limits should be higher.
	Shared bool
	// Sharing says by what: "cgnat", "campus", "mobile", "relay", "satellite",
	// "operator", or "" when it is not shared.
	Sharing string
	// Sum of the points of all contributions.
	Sum int

	n   int
	all [numSignals]Contribution
}

// Contributions are what the score is the sum of, in the order of the signals.
// They hold until the next Assess. One that another outweighs has no points and
// a note that says which.
func (a *Assessment) Contributions() []Contribution { return a.all[:a.n] }

// A Contribution is one signal's part of a score.
type Contribution struct {
	Signal Signal
	// Points of the signal, after its age. Weight is what they are of a feed of
	// today, Freshness the percentage that its age leaves.
	Points, Weight int16
	Freshness      uint8
	// Feed behind it and as of when, where an answer can tell without its
	// evidence; see [ipwarden.Record.Asserted]. The zero Date does not fade.
	Feed string
	Date time.Time
	Note string // why it has no points, or what was added up; "" otherwise
}

// Assess computes the score of an address in a situation. It does not allocate.
func (m *Model) Assess(r ipwarden.Record, s Situation, now time.Time, a *Assessment) {
	a.n, a.Sum, a.Sharing = 0, 0, ""
	t := r.Traits()
	kind := r.ASKind()
	if t.Has(ipwarden.Anonymous | ipwarden.Hosting) {
		m.hidden(r, t, now, a)
	}
	if t.Has(ipwarden.Threat | ipwarden.Scanner) {
		m.deeds(r, t, now, a)
	}
	if s.ClaimsCrawler && !t.Has(ipwarden.Crawler) {
		m.add(a, SignalCrawlerClaim, "", time.Time{}, now)
	}
	if s.BillingCountry != "" || s.LastCountry != "" {
		m.places(r.CountryCode(), s, now, a)
	}
	if t.Has(ipwarden.Crawler) {
		m.addTrait(a, SignalCrawler, r, now)
	}
	if kind == "isp" && !t.Has(ipwarden.Hosting) {
		m.add(a, SignalResidential, "", time.Time{}, now)
	}
	if t.Has(ipwarden.Mobile) {
		m.addTrait(a, SignalMobile, r, now)
	}
	for i := range a.all[:a.n] {
		a.Sum += int(a.all[i].Points)
	}
	a.Score = clamp(a.Sum)
	a.Sharing = sharing(r, t, kind, s)
	a.Shared = a.Sharing != ""
}

// add appends the signal with the points that its date leaves it.
func (m *Model) add(a *Assessment, s Signal, feed string, seen, now time.Time) *Contribution {
	c := &a.all[a.n]
	a.n++
	c.Signal, c.Weight, c.Freshness = s, m.points[s], 100
	c.Feed, c.Date, c.Note = feed, seen, ""
	if !seen.IsZero() {
		c.Freshness = uint8(freshness(seen, now, m.halfLife[s], m.floor))
	}
	c.Points = int16(int(c.Weight) * int(c.Freshness) / 100)
	return c
}

func (m *Model) addTrait(a *Assessment, s Signal, r ipwarden.Record, now time.Time) {
	feed, seen := r.Asserted(signalTraits[s])
	m.add(a, s, feed, seen, now)
}

// outweigh leaves of the group from on the strongest its points.
func (a *Assessment) outweigh(from int) {
	group := a.all[from:a.n]
	best := 0
	for i := range group {
		if group[i].Points > group[best].Points {
			best = i
		}
	}
	for i := range group {
		if i != best {
			group[i].Points, group[i].Note = 0, countedAs[group[best].Signal]
		}
	}
}

// hidden adds who hides behind the address.
func (m *Model) hidden(r ipwarden.Record, t ipwarden.Traits, now time.Time, a *Assessment) {
	from := a.n
	for s := SignalTor; s <= SignalRelay; s++ {
		switch {
		case !t.Has(signalTraits[s]):
		case s == SignalProxy:
			feed, seen := listed(r, true)
			if feed == "" {
				feed, seen = r.Asserted(ipwarden.Proxy)
			}
			m.add(a, s, feed, seen, now)
		default:
			m.addTrait(a, s, r, now)
		}
	}
	// Relays and crawlers are in data centres by their nature, and somebody
	// vouches for them: that explains the data centre.
	explained := NoSignal
	switch {
	case t.Has(ipwarden.Anonymous &^ ipwarden.Relay):
	case t.Has(ipwarden.Relay):
		explained = SignalRelay
	case t.Has(ipwarden.Crawler):
		explained = SignalCrawler
	}
	if t.Has(ipwarden.Hosting) && explained == NoSignal {
		m.addTrait(a, SignalHosting, r, now)
	}
	a.outweigh(from)
	if t.Has(ipwarden.Hosting) && explained != NoSignal {
		m.addTrait(a, SignalHosting, r, now)
		c := &a.all[a.n-1]
		c.Points, c.Note = 0, countedAs[explained]
	}
}

// deeds adds what the address has done. A blocklist has its own date; a trait of
// a whole AS, or of an overlay, that of whoever asserts it.
func (m *Model) deeds(r ipwarden.Record, t ipwarden.Traits, now time.Time, a *Assessment) {
	from := a.n
	feed, seen := listed(r, false)
	for s := SignalAttacker; s <= SignalScanner; s++ {
		switch {
		case !t.Has(signalTraits[s]):
		case feed != "":
			m.add(a, s, feed, seen, now)
		default:
			m.addTrait(a, s, r, now)
		}
	}
	a.outweigh(from)
	if feed != "" {
		m.further(r, feed, now, a)
	}
}

// further adds the blocklists beside the freshest.
func (m *Model) further(r ipwarden.Record, freshest string, now time.Time, a *Assessment) {
	lists := r.Security().Listings
	sum, n, feed, seen := 0, 0, "", time.Time{}
	passed := false
	for i := range lists {
		l := &lists[i]
		if l.Type == proxyList {
			continue
		}
		if l.Name == freshest && !passed {
			passed = true
			continue
		}
		n++
		sum += int(m.points[SignalListings]) * freshness(l.Date, now, m.halfLife[SignalListings], m.floor) / 100
		if fresher(l, feed, seen) {
			feed, seen = l.Name, l.Date
		}
	}
	if n == 0 {
		return
	}
	c := m.add(a, SignalListings, feed, seen, now)
	c.Points = int16(min(max(sum, -1000), 1000))
	if n > 1 {
		c.Note = "of several blocklists, the freshest named"
	}
}

// proxyList is the type of listings that say what an address is and not what it
// has done.
const proxyList = "proxy"

// listed returns the freshest blocklist that names the address, of those of
// proxies or of the others. Of two of a date it is the first by name, so that the
// order in which they are kept says nothing.
func listed(r ipwarden.Record, proxies bool) (feed string, seen time.Time) {
	lists := r.Security().Listings
	for i := range lists {
		if l := &lists[i]; (l.Type == proxyList) == proxies && fresher(l, feed, seen) {
			feed, seen = l.Name, l.Date
		}
	}
	return feed, seen
}

// fresher takes a list without a date for one of today, as nothing says otherwise.
func fresher(l *ipwarden.Listing, feed string, seen time.Time) bool {
	switch {
	case feed == "":
		return true
	case l.Date.Equal(seen):
		return l.Name < feed
	}
	return !seen.IsZero() && (l.Date.IsZero() || l.Date.After(seen))
}

// places compares where the address is with where the visitor should be. One
// that is abroad is so by both counts.
func (m *Model) places(country string, s Situation, now time.Time, a *Assessment) {
	from := a.n
	if differs(country, s.BillingCountry) {
		m.add(a, SignalBillingCountry, "", time.Time{}, now)
	}
	if differs(country, s.LastCountry) {
		m.add(a, SignalLastCountry, "", time.Time{}, now)
	}
	a.outweigh(from)
}

// differs reports whether two countries are known and not the same.
func differs(a, b string) bool {
	if len(a) != 2 || len(b) != 2 {
		return false
	}
	return (a[0]^b[0])&^0x20 != 0 || (a[1]^b[1])&^0x20 != 0
}

// sharing says by what many people share the address.
func sharing(r ipwarden.Record, t ipwarden.Traits, kind string, s Situation) string {
	switch {
	case s.SharedNetwork:
		return "operator"
	case t.Has(ipwarden.Relay):
		return "relay"
	case t.Has(ipwarden.Mobile):
		return "mobile"
	case t.Has(ipwarden.Satellite):
		return "satellite" // its operators put customers behind CGNAT
	case kind == "education":
		return "campus"
	}
	if a := r.Addr(); a.Is4() {
		if b := a.As4(); b[0] == 100 && b[1]&0xc0 == 64 { // 100.64.0.0/10, RFC 6598 section 7
			return "cgnat"
		}
	}
	return ""
}
