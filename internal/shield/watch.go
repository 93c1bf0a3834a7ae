package shield

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Watch remembers what refused requests have in common now: their countries,
// networks, addresses and user agents, and why they were refused. It is bounded: of
// each it keeps the most frequent, and of a flood it looks at a part.
type Watch struct {
	locate func(netip.Addr) (country string, asn uint32)
	now    func() time.Time

	second atomic.Int64  // that is being counted
	seen   atomic.Uint64 // in it
	share  atomic.Uint64 // one of so many is looked at

	mu     sync.Mutex // guards what is below
	halved time.Time
	all    float64
	tops   [numTops]top
}

const (
	byReason = iota
	byCountry
	byASN
	byAddress
	byAgent
	numTops
)

const (
	// perSecond is how many refusals a second are looked at, some 2 µs each.
	perSecond = 1000
	// topSize is how many of each are told apart: what is more frequent than one in so
	// many is never missed.
	topSize = 256
	// half is how long it takes until what was counts half.
	half = time.Minute
	// maxAgent is what is kept of a user agent, bytes.
	maxAgent = 100
)

// NewWatch returns a Watch. locate may be nil.
func NewWatch(locate func(netip.Addr) (country string, asn uint32), now func() time.Time) *Watch {
	if now == nil {
		now = time.Now
	}
	w := &Watch{locate: locate, now: now}
	w.share.Store(1)
	for i := range w.tops {
		w.tops[i] = top{}
	}
	return w
}

// Wants reports whether a refusal of now is to be noted. It takes nanoseconds, and
// does not allocate.
func (w *Watch) Wants(now time.Time) bool {
	if w == nil {
		return false
	}
	s := now.Unix()
	if last := w.second.Load(); last != s && w.second.CompareAndSwap(last, s) {
		n := w.seen.Swap(0)
		if s != last+1 {
			n = 0 // it was quiet meanwhile
		}
		w.share.Store(n/perSecond + 1)
	}
	n := w.seen.Add(1)
	return n%w.share.Load() == 0 && n <= 20*perSecond*w.share.Load()
}

// Note remembers a refusal that Wants wanted.
func (w *Watch) Note(addr netip.Addr, agent, reason string) {
	weight := float64(w.share.Load())
	country, asn := "", uint32(0)
	if w.locate != nil && addr.IsValid() {
		country, asn = w.locate(addr)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.age()
	w.all += weight
	w.tops[byReason].add(reason, weight)
	if addr.IsValid() {
		bits := 32
		if addr.Is6() {
			bits = 64
		}
		p, _ := addr.WithZone("").Prefix(bits)
		w.tops[byAddress].add(p.String(), weight)
	}
	if country != "" {
		w.tops[byCountry].add(country, weight)
	}
	if asn != 0 {
		w.tops[byASN].add(strconv.FormatUint(uint64(asn), 10), weight)
	}
	w.tops[byAgent].add(printable(agent), weight)
}

// age makes what was count less. w.mu is held.
func (w *Watch) age() {
	now := w.now()
	if w.halved.IsZero() {
		w.halved = now
	}
	for n := 0; now.Sub(w.halved) >= half; n++ {
		if n == 20 { // a million times less: nothing
			w.halved, w.all = now, 0
			for i := range w.tops {
				w.tops[i] = top{}
			}
			return
		}
		w.halved = w.halved.Add(half)
		w.all /= 2
		for i := range w.tops {
			w.tops[i].halve()
		}
	}
}

func printable(s string) string {
	b := make([]byte, 0, min(len(s), maxAgent))
	for i := 0; i < len(s) && len(b) < maxAgent; i++ {
		if s[i] >= 0x20 && s[i] < 0x7f {
			b = append(b, s[i])
		}
	}
	return string(b)
}

// top counts the most frequent texts, as Space-Saving does (Metwally, Agrawal and El
// Abbadi, 2005): what is not among them takes the place of the least, with its count.
type top struct{ counts []counted }

type counted struct {
	text string
	n    float64
}

func (t *top) add(text string, weight float64) {
	least := 0
	for i := range t.counts {
		if t.counts[i].text == text {
			t.counts[i].n += weight
			return
		}
		if t.counts[i].n < t.counts[least].n {
			least = i
		}
	}
	if len(t.counts) < topSize {
		t.counts = append(t.counts, counted{strings.Clone(text), weight})
		return
	}
	t.counts[least] = counted{strings.Clone(text), t.counts[least].n + weight}
}

func (t *top) halve() {
	for i := range t.counts {
		t.counts[i].n /= 2
	}
	t.counts = slices.DeleteFunc(t.counts, func(c counted) bool { return c.n < 0.5 })
}

// A Share is one of the most frequent.
type Share struct {
	Value string  `json:"value"`
	Share float64 `json:"share"` // of what was refused, 0 to 1
}

// A Suggestion is what may help.
type Suggestion struct {
	Why     string   `json:"why"`
	Command string   `json:"command"`
	Measure *Measure `json:"-"` // what the command does; nil when the shield cannot
}

// A Sight is what is going on.
type Sight struct {
	Refused     int64        `json:"refused"` // of late, what is older than a minute counting half
	Reasons     []Share      `json:"reasons"`
	Countries   []Share      `json:"countries"`
	ASNs        []Share      `json:"asns"`
	Addresses   []Share      `json:"addresses"`
	Agents      []Share      `json:"user_agents"`
	Suggestions []Suggestion `json:"suggestions"`
}

// Bounds from which something is suggested.
const (
	enough       = 100 // refusals of late
	manyCountry  = 0.4
	manyASN      = 0.25
	manyAddress  = 0.1
	manyUnkeyed  = 0.5
	shownOfThem  = 10
	shownAtLeast = 0.01
)

// Sight tells what is going on. inForce are measures that need not be suggested;
// keyless are the reasons of refusals for which a key would help, and addresses that
// challenged ones fail is one for which more work does.
func (w *Watch) Sight(inForce []Measure) Sight {
	if w == nil {
		return Sight{}
	}
	w.mu.Lock()
	w.age()
	s := Sight{Refused: int64(w.all + 0.5)}
	var lists [numTops][]Share
	for i := range w.tops {
		cs := slices.Clone(w.tops[i].counts)
		slices.SortFunc(cs, func(a, b counted) int {
			if a.n != b.n {
				if a.n > b.n {
					return -1
				}
				return 1
			}
			return strings.Compare(a.text, b.text)
		})
		for _, c := range cs[:min(len(cs), shownOfThem)] {
			if share := c.n / w.all; share >= shownAtLeast {
				lists[i] = append(lists[i], Share{c.text, min(share, 1)})
			}
		}
	}
	w.mu.Unlock()
	s.Reasons, s.Countries, s.ASNs, s.Addresses, s.Agents = lists[byReason], lists[byCountry], lists[byASN], lists[byAddress], lists[byAgent]
	if s.Refused >= enough {
		s.suggest(inForce)
	}
	return s
}

func (s *Sight) suggest(inForce []Measure) {
	in := map[string]bool{}
	for i := range inForce {
		in[inForce[i].Name()] = true
	}
	add := func(m Measure, command, why string, args ...any) {
		if !in[m.Name()] {
			s.Suggestions = append(s.Suggestions, Suggestion{Why: fmt.Sprintf(why, args...), Command: command, Measure: &m})
		}
	}
	percent := func(share float64) int { return int(share*100 + 0.5) }
	for _, a := range s.Addresses {
		if a.Share >= manyAddress {
			s.Suggestions = append(s.Suggestions, Suggestion{
				Why:     fmt.Sprintf("%d %% of what is refused comes from %s", percent(a.Share), a.Value),
				Command: "ipwarden ban " + strings.TrimSuffix(strings.TrimSuffix(a.Value, "/32"), "/128") + " --for 1h",
			})
		}
	}
	narrow := false
	for _, a := range s.ASNs {
		if a.Share >= manyASN {
			narrow = true
			add(Measure{Kind: ASN, Value: a.Value, Action: Block}, "ipwarden shield asns "+a.Value, "%d %% of what is refused comes from AS%s", percent(a.Share), a.Value)
		}
	}
	for _, c := range s.Countries {
		if c.Share >= manyCountry && !narrow { // the smaller measure comes first
			add(Measure{Kind: Country, Value: c.Value, Action: Challenge}, "ipwarden shield countries "+c.Value+" --action challenge", "%d %% of what is refused comes from the country %s", percent(c.Share), c.Value)
		}
	}
	unkeyed, challenged := 0.0, 0.0
	for _, r := range s.Reasons {
		switch r.Value {
		case "anonymous-over-quota", "anonymous-too-fast":
			unkeyed += r.Share
		case "challenge", "threshold", "tier":
			challenged += r.Share
		}
	}
	if unkeyed >= manyUnkeyed {
		add(Measure{Kind: RequireKeys}, "ipwarden shield require-keys", "%d %% of what is refused are calls without a key over their limit", percent(unkeyed))
	}
	if challenged >= manyUnkeyed {
		add(Measure{Kind: Work, Bits: 2, From: NoScore}, "ipwarden shield pow --bits 2", "%d %% of what is refused is because of its risk; a harder proof of work makes trying again dear", percent(challenged))
	}
}
