package policy

import (
	"math/bits"
	"net/netip"

	"github.com/ipwarden/ipwarden"
)

// The conditions of tiers, rules and limits are indexed by what a request must
// have for them to hold: a trait, a method, a path that begins or ends in a certain
// way, a country, an AS, a network, a user agent. A request has some ten such
// marks; one row of bits for each says which conditions are worth asking. The marks
// of paths, countries, systems, networks and user agents are hashed into few rows:
// two may share one, and then a condition is asked in vain.
//
// A condition may need two things at once (a path and a trait). It has then two
// needs, each of which the request must meet with one of its marks.

// Rows of the index.
const (
	markTrait   = 0                    // 32, one for each bit of Traits
	markMethod  = markTrait + 32       // 16
	markStart   = markMethod + 16      // 64, of a path's second and third byte
	markShort   = markStart + 64       // a path of less than three bytes
	markEnd     = markShort + 1        // 64, of a path's last two bytes
	markCountry = markEnd + 64         // 64
	markNowhere = markCountry + 64     // no country is known
	markAS      = markNowhere + 1      // 64
	markNoAS    = markAS + 64          //
	markCrawler = markNoAS + 1         // 4
	markShared  = markCrawler + 4      //
	markAccount = markShared + 1       // the application said something
	markScore   = markAccount + 1      // 16, of the score's upper bits
	markNet     = markScore + 16       // 64, of an address's first byte
	markAgent   = markNet + 64         // 64, of a user agent's first two bytes
	markNoAgent = markAgent + 64       // less than two bytes of it
	numMarks    = markNoAgent + 1      //
	maxMarks    = 32 + 11              // of one request
	scoreStep   = 8                    // scores a row
	needs       = 2                    // of one rule
	marksWords  = (numMarks + 63) / 64 //
)

// marks is a set of rows.
type marks [marksWords]uint64

func (m *marks) add(row int)     { m[row/64] |= 1 << (row % 64) }
func (m marks) has(row int) bool { return m[row/64]&(1<<(row%64)) != 0 }

func (m marks) union(o marks) marks {
	for i := range m {
		m[i] |= o[i]
	}
	return m
}

func markOf(row int) (m marks) {
	m.add(row)
	return m
}

// index says which conditions are worth asking. Row r, word w is at r*words+w.
type index struct {
	words  int             // of 64 conditions
	rows   [][needs]uint64 // which conditions' needs a mark meets
	always [][needs]uint64 // which conditions have no such need
	agents bool            // some condition needs a user agent
}

func newIndex(conditions []*Expr, sets []*Set) *index {
	words := (len(conditions) + 63) / 64
	x := &index{words: words, rows: make([][needs]uint64, numMarks*words), always: make([][needs]uint64, words)}
	for i, e := range conditions {
		w, bit := i/64, uint64(1)<<(i%64)
		has := needsOf(e, sets)
		for n := range needs {
			if n >= len(has) {
				x.always[w][n] |= bit
				continue
			}
			for row := range numMarks {
				if has[n].has(row) {
					x.rows[row*words+w][n] |= bit
					x.agents = x.agents || row >= markAgent
				}
			}
		}
	}
	return x
}

// worth returns which of the conditions of word w are worth asking for a request
// that has the given marks.
func (x *index) worth(w int, has []uint16) uint64 {
	rows, words := x.rows, x.words
	first, second := x.always[w][0], x.always[w][1]
	for _, row := range has {
		met := &rows[int(row)*words+w]
		first |= met[0]
		second |= met[1]
	}
	return first & second
}

// mark finds out what the index makes of a request, once.
func (p *Program) mark(in *Input) {
	if in.nMarks > 0 {
		return
	}
	in.nMarks = len(in.appendMarks(in.marks[:0], p.index.agents))
	in.scratch = in.scratch[:0]
	if p.index.words > 0 {
		in.worth = p.index.worth(0, in.marks[:in.nMarks])
	}
}

// worth returns which of the conditions of word w are worth asking for a request
// that is marked.
func (p *Program) worth(in *Input, w int) uint64 {
	if w == 0 {
		return in.worth
	}
	return p.index.worth(w, in.marks[:in.nMarks])
}

// within leaves of the bits of word w those of conditions from..to.
func within(left uint64, w, from, to int) uint64 {
	if first := from - w*64; first > 0 {
		left &= ^uint64(0) << first
	}
	if end := to - w*64; end < 64 {
		left &= 1<<end - 1
	}
	return left
}

// appendMarks appends the marks of a request, of which there are never none.
func (in *Input) appendMarks(to []uint16, agents bool) []uint16 {
	for t := uint32(in.traits); t != 0; t &= t - 1 {
		to = append(to, uint16(markTrait+bits.TrailingZeros32(t)))
	}
	q := in.Request
	to = append(to, uint16(markMethod+methodNumber(q.Method)), uint16(startMark(q.Path)), uint16(endMark(q.Path)))
	to = append(to, uint16(countryMark(in.country)), uint16(asMark(in.asn)))
	// One that is Unanswered is to all conditions as one that claims nothing.
	to = append(to, markCrawler+uint16(in.Crawler&3), uint16(scoreMark(int64(in.score))))
	if in.Shared {
		to = append(to, markShared)
	}
	if len(q.Account) > 0 {
		to = append(to, markAccount)
	}
	if in.addr.IsValid() {
		to = append(to, uint16(netMark(firstByte(in.addr))))
	}
	if agents {
		to = append(to, uint16(agentMark(in.Header(userAgent))))
	}
	return to
}

// firstByte is that of a valid address.
func firstByte(a netip.Addr) byte {
	if a.Is4() {
		return a.As4()[0]
	}
	return a.As16()[0]
}

// methodNumber numbers the methods that people write rules about; 0 is any other.
func methodNumber(m string) int {
	switch m {
	case "GET":
		return 1
	case "HEAD":
		return 2
	case "POST":
		return 3
	case "PUT":
		return 4
	case "PATCH":
		return 5
	case "DELETE":
		return 6
	case "OPTIONS":
		return 7
	case "CONNECT":
		return 8
	case "TRACE":
		return 9
	}
	return 0
}

// startMark is of the two bytes after a path's slash, and the same for all that
// begins with the same three bytes.
func startMark(path string) int {
	if len(path) < 3 {
		return markShort
	}
	return markStart + int((path[1]*11+path[2])&63)
}

// endMark is of the last two bytes. What is shorter is under markShort already.
func endMark(path string) int {
	n := len(path)
	if n < 2 {
		return markShort
	}
	return markEnd + int((path[n-2]*11+path[n-1])&63)
}

func countryMark(code string) int {
	n := countryNumber(code)
	if n < 0 {
		return markNowhere
	}
	return markCountry + n&63
}

func asMark(n uint32) int {
	if n == 0 {
		return markNoAS
	}
	return markAS + int(n*0x9e3779b1>>26)
}

func netMark(first byte) int { return markNet + int(first&63) }

// netMarks are those of the addresses in some networks.
func netMarks(networks []netip.Prefix) (m marks) {
	for _, p := range networks {
		first := int(firstByte(p.Masked().Addr()))
		for b := range 1 << max(0, 8-p.Bits()) {
			m.add(netMark(byte(first + b)))
		}
	}
	return m
}

// userAgent is the field that most policies ask for.
const userAgent = "User-Agent"

// agentMark is of the first two bytes, and the same for all that begins with them.
func agentMark(agent string) int {
	if len(agent) < 2 {
		return markNoAgent
	}
	return markAgent + int((agent[0]*11+agent[1])&63)
}

func (e *Expr) isAgent() bool { return e.Op == OpHeader && e.Text == userAgent }

func scoreMark(score int64) int { return markScore + int(min(max(score, 0), 127)/scoreStep) }

// needsOf returns at most two sets of marks. A request that has no mark of one of
// them does not meet the condition, and asking it would do nothing else: what
// runs elsewhere, or may meet a text that is too long for it, is not before them.
func needsOf(e *Expr, sets []*Set) []marks {
	switch e.Op {
	case OpAnd:
		var all []marks
		for i := range e.Args {
			for _, m := range needsOf(&e.Args[i], sets) {
				if len(all) < needs {
					all = append(all, m)
				}
			}
			if !e.Args[i].quiet() {
				break
			}
		}
		return all
	case OpOr:
		var any marks
		for i := range e.Args {
			has := needsOf(&e.Args[i], sets)
			if len(has) == 0 {
				return nil
			}
			any = any.union(has[0])
		}
		if len(e.Args) == 0 {
			return nil
		}
		return []marks{any}
	case OpField:
		if t := e.Field.Traits(); e.Type == Bool && t != 0 {
			return []marks{{uint64(t) << markTrait}}
		}
	case OpShared:
		return []marks{markOf(markShared)}
	case OpCrawlerVerified:
		return []marks{markOf(markCrawler + int(Verified))}
	case OpCrawlerPending:
		return []marks{markOf(markCrawler + int(Pending))}
	case OpCrawlerFailed:
		return []marks{markOf(markCrawler + int(Failed))}
	case OpHasAccount:
		return []marks{markOf(markAccount)}
	case OpInList:
		if len(e.Args) == 0 && e.Int >= 0 && e.Int < int64(len(sets)) {
			return sets[e.Int].needs()
		}
	case OpWithin:
		return []marks{netMarks(e.Prefixes)}
	case OpStartsWith:
		c := constOf(e)
		switch {
		case c == nil:
		case e.Args[0].Op == OpPath && len(c.Text) >= 3:
			return []marks{markOf(startMark(c.Text))}
		case e.Args[0].isAgent() && len(c.Text) >= 2:
			return []marks{markOf(agentMark(c.Text))}
		}
	case OpEndsWith:
		if c := constOf(e); c != nil && e.Args[0].Op == OpPath && len(c.Text) >= 2 {
			return []marks{markOf(endMark(c.Text))}
		}
	case OpEqual, OpNotEqual, OpGreaterEqual, OpGreater:
		return comparisonNeeds(e)
	case OpOneOf:
		if len(e.Args) == 1 && len(e.Texts)+len(e.Ints) > 0 {
			return oneOfNeeds(e)
		}
	}
	return nil
}

// constOf returns the second of two arguments if it is a text that is given.
func constOf(e *Expr) *Expr {
	if len(e.Args) != 2 || e.Args[1].Op != OpConst || e.Args[1].Type != String {
		return nil
	}
	return &e.Args[1]
}

func comparisonNeeds(e *Expr) []marks {
	if len(e.Args) != 2 || e.Args[1].Op != OpConst {
		return nil
	}
	x, c := &e.Args[0], &e.Args[1]
	switch {
	case e.Op == OpEqual && c.Type == String && x.Op == OpPath:
		return []marks{markOf(startMark(c.Text)), markOf(endMark(c.Text))}
	case e.Op == OpEqual && c.Type == String:
		if m, ok := textMark(x, c.Text); ok {
			return []marks{m}
		}
	case e.Op == OpNotEqual && c.Type == String && x.Op == OpAccount && c.Text == "":
		return []marks{markOf(markAccount)}
	case e.Op == OpEqual && c.Type == Int:
		if x.Op == OpField && x.Field == ipwarden.FieldASNumber && c.Int > 0 && c.Int < 1<<32 {
			return []marks{markOf(asMark(uint32(c.Int)))}
		}
	case x.Op == OpScore && c.Type == Int && (e.Op == OpGreaterEqual || e.Op == OpGreater):
		var m marks
		for row := scoreMark(c.Int); row < markScore+16; row++ {
			m.add(row)
		}
		return []marks{m}
	}
	return nil
}

// oneOfNeeds is of a text or number that is one of several.
func oneOfNeeds(e *Expr) []marks {
	var any marks
	a := &e.Args[0]
	if a.Type == Int {
		if a.Op != OpField || a.Field != ipwarden.FieldASNumber {
			return nil
		}
		for _, n := range e.Ints {
			if n > 0 && n < 1<<32 {
				any.add(asMark(uint32(n)))
			} else {
				any.add(markNoAS)
			}
		}
		return []marks{any}
	}
	for _, text := range e.Texts {
		m, ok := textMark(a, text)
		if !ok {
			return nil
		}
		any = any.union(m)
	}
	return []marks{any}
}

// textMark is the mark of a request of which x is equal to text.
func textMark(x *Expr, text string) (m marks, ok bool) {
	switch {
	case x.Op == OpPath:
		return markOf(startMark(text)), true
	case x.Op == OpMethod:
		return markOf(markMethod + methodNumber(text)), true
	case x.isAgent():
		return markOf(agentMark(text)), true
	case x.Op == OpField && x.Field == ipwarden.FieldCountryCode:
		return markOf(countryMark(text)), true
	case x.Op == OpAccount && text != "":
		return markOf(markAccount), true
	}
	return m, false
}

// needs are those of a list that holds networks, countries and systems alone,
// those that end by themselves among them.
func (s *Set) needs() []marks {
	if s.crawlers != nil {
		return nil
	}
	any := s.nets
	for i, word := range s.countries {
		for ; word != 0; word &= word - 1 {
			any.add(markCountry + (i*64+bits.TrailingZeros64(word))&63)
		}
	}
	for n := range s.asns {
		any.add(asMark(n))
	}
	if s.timed != nil {
		for n := range s.timed.asns {
			any.add(asMark(n))
		}
		for code := range s.timed.countries {
			any.add(countryMark(code))
		}
	}
	return []marks{any}
}

// quiet reports whether asking e has no other effect than its answer.
func (e *Expr) quiet() bool {
	quiet := true
	e.Walk(func(n *Expr) { quiet = quiet && n.Op != OpForeign && n.Op != OpMatches })
	return quiet
}
