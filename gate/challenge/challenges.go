package challenge

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/limit"
	"github.com/ipwarden/ipwarden/policy"
)

// Config of Challenges. The zero Config is a good one for a single node.
type Config struct {
	// Key signs tickets and clearances; at least 32 bytes, the same on all nodes.
	// Default: random, so that clearances end with the process.
	Key []byte
	// Path of the page. Default "/.ipwarden/challenge".
	Path string
	// Cookie is the name of the clearance. Default "ipwarden_clearance".
	Cookie string
	// Secure marks the cookie so that browsers send it over HTTPS alone. It is
	// marked anyway when the page was asked for over HTTPS; set it where something
	// in front takes TLS off. Default: false.
	Secure bool
	// Kinds are the challenges, each from a score on; the last whose From the
	// score has reached is taken. Default: a proof of work for all.
	Kinds []Choice
	// WithoutScript is for browsers that run none. Default Wait{}.
	WithoutScript Kind
	// WithoutScriptUpTo is the highest score of whom it is offered to. Default 100,
	// everybody; negative: nobody.
	WithoutScriptUpTo int
	// WithoutScriptLimit is how many clearances a minute a network gets without
	// script (of IPv6 a /64, and eight times as many a /48). Default 6.
	WithoutScriptLimit uint32
	// Fallback is for when a kind is unavailable, in the fail mode safe. Default:
	// a proof of work of four times the usual.
	Fallback Kind
	// FailMode says what a route does when a kind or the Spender is unavailable; to is the path
	// that the client wants. Default: policy.FailSafe, the Fallback. FailOpen
	// clears for ShortLife, FailClosed refuses.
	FailMode func(to string) policy.FailMode
	// Life is how long a clearance holds, and ShortLife one that was got without
	// script or by a fail mode. Default 1 h and 10 min.
	Life, ShortLife time.Duration
	// Margin is by how many points the score may rise under a clearance. Default 10.
	Margin uint8
	// TicketLife is how long a page may be open. Default 10 min.
	TicketLife time.Duration
	// Solved is how many solved challenges are remembered, some 100 bytes each.
	// Default 65536.
	Solved int
	// Spender shares them between nodes; that of package redis is one. When it is
	// away, FailMode decides: FailSafe clears for ShortLife and FailOpen for Life,
	// after a solution that is new to this node, and FailClosed refuses. Default:
	// none; a solution then counts once on each node.
	Spender Spender
	// Texts by language, laid over DefaultTexts.
	Texts map[string]Texts
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// A Choice is a kind for scores of From and above.
type Choice struct {
	From uint8
	Kind Kind
}

// Challenges sends clients to prove themselves, serves the page where they do,
// and knows who has. It is safe for concurrent use.
type Challenges struct {
	cfg     Config
	seal    *sealer
	spent   *spent
	waits   limit.Limiter
	hasher  limit.Hasher
	salts   [2]limit.Salt
	rate    limit.Rate
	texts   map[string]*Texts
	counted map[string]*[len(resultNames)]atomic.Uint64 // by kind; immutable map
	stats   counts
}

type counts struct {
	sent, shown, replayed, limited, forged, old, open, closed, fellBack, shareErrors atomic.Uint64
}

// New checks the config; the error joins all mistakes.
func New(cfg Config) (*Challenges, error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(cfg.Key) == 0 {
		cfg.Key = make([]byte, 32)
		_, _ = rand.Read(cfg.Key) // never fails
	}
	if len(cfg.Key) < 32 {
		bad("Key has %d bytes, and needs 32; make one with: openssl rand 32", len(cfg.Key))
	}
	set(&cfg.Path, "/.ipwarden/challenge")
	if len(cfg.Path) < 2 || safeTo(cfg.Path, "") != cfg.Path || strings.ContainsAny(cfg.Path, "?#%\"'<>;") {
		bad("Path %q is no path, such as /.ipwarden/challenge", cfg.Path)
	}
	set(&cfg.Cookie, "ipwarden_clearance")
	if strings.ContainsFunc(cfg.Cookie, func(r rune) bool { return r >= 0x7f || !plain(byte(r)) }) {
		bad("Cookie %q is no name of a cookie, such as ipwarden_clearance", cfg.Cookie)
	}
	if len(cfg.Kinds) == 0 {
		cfg.Kinds = []Choice{{0, ProofOfWork{}}}
	}
	cfg.Kinds = append([]Choice(nil), cfg.Kinds...)
	if cfg.WithoutScript == nil {
		cfg.WithoutScript = Wait{}
	}
	if cfg.Fallback == nil {
		cfg.Fallback = ProofOfWork{Bits: 17}
	}
	names := map[string]bool{}
	for i, k := range cfg.Kinds {
		switch {
		case k.Kind == nil:
			bad("choice %d has no Kind, such as ProofOfWork{}", i)
			continue
		case i == 0 && k.From != 0:
			bad("the first choice is from a score of %d; what are those below to do? Begin with 0", k.From)
		case i > 0 && k.From <= cfg.Kinds[i-1].From:
			bad("choice %d is from a score of %d, and the one before from %d: they rise", i, k.From, cfg.Kinds[i-1].From)
		}
		names[k.Kind.Name()] = true
	}
	names[cfg.WithoutScript.Name()], names[cfg.Fallback.Name()] = true, true
	if cfg.WithoutScriptUpTo == 0 {
		cfg.WithoutScriptUpTo = 100
	}
	if cfg.WithoutScriptLimit == 0 {
		cfg.WithoutScriptLimit = 6
	}
	if cfg.Margin == 0 {
		cfg.Margin = 10
	}
	if cfg.Solved == 0 {
		cfg.Solved = 65536
	}
	if cfg.Solved < 0 {
		bad("Solved is %d, and should be more than 0, such as 65536", cfg.Solved)
	}
	for _, d := range []struct {
		name string
		v    *time.Duration
		def  time.Duration
	}{{"Life", &cfg.Life, time.Hour}, {"ShortLife", &cfg.ShortLife, 10 * time.Minute}, {"TicketLife", &cfg.TicketLife, 10 * time.Minute}} {
		if *d.v == 0 {
			*d.v = d.def
		}
		if *d.v < time.Second {
			bad("%s is %v, and should be a second or more, such as %v", d.name, *d.v, d.def)
		}
	}
	if cfg.FailMode == nil {
		cfg.FailMode = func(string) policy.FailMode { return policy.FailSafe }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	waits, err := limit.NewMemory(limit.MemoryConfig{Entries: 1 << 16, Now: cfg.Now})
	if err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("challenge: %w", errors.Join(errs...))
	}
	c := &Challenges{cfg: cfg, seal: newSealer(cfg.Key), spent: newSpent(cfg.Solved, cfg.TicketLife), waits: waits}
	c.rate = limit.Rate{Name: "without-script", Limit: cfg.WithoutScriptLimit, Window: time.Minute}
	var seed [16]byte
	_, _ = rand.Read(seed[:])
	c.hasher = limit.NewHasher(seed)
	c.salts = [2]limit.Salt{c.hasher.Salt([]byte("64")), c.hasher.Salt([]byte("48"))}
	c.texts = map[string]*Texts{}
	for _, set := range []map[string]Texts{DefaultTexts(), cfg.Texts} {
		for lang, t := range set {
			c.texts[strings.ToLower(lang)] = &t
		}
	}
	c.counted = map[string]*[len(resultNames)]atomic.Uint64{}
	for name := range names {
		c.counted[name] = new([len(resultNames)]atomic.Uint64)
	}
	return c, nil
}

// Path returns where the page is.
func (c *Challenges) Path() string { return c.cfg.Path }

// Cleared reports whether a request brings a clearance that holds for the
// client's network and this score. It does not allocate.
func (c *Challenges) Cleared(req *ipwarden.Request, client netip.Addr, score uint8, now time.Time) bool {
	if req == nil {
		return false
	}
	net, cleared := networkOf(client), false
	c.seal.clearances(req.Header, c.cfg.Cookie, func(k clearance) bool {
		cleared = k.holds(net, score, now)
		return !cleared
	})
	return cleared
}

// AppendLocation appends where to send the client: the page, a ticket of its
// own, and where it wanted to go.
func (c *Challenges) AppendLocation(dst []byte, req *ipwarden.Request, client netip.Addr, score uint8, now time.Time) []byte {
	again := false
	to := []byte("/")
	if req != nil {
		// Who was cleared just now and is challenged again would otherwise go round
		// and round: its network changes, or its score does.
		c.seal.clearances(req.Header, c.cfg.Cookie, func(k clearance) bool {
			again = again || now.Unix()-k.issued < 60
			return !again
		})
		to = appendPath(to[:0], req.Path)
		if req.Query != "" {
			to = appendRawQuery(append(to, '?'), req.Query)
		}
	}
	t := c.seal.newTicket(networkOf(client), score, again, false, now)
	c.stats.sent.Add(1)
	dst = append(append(append(dst, c.cfg.Path...), "?t="...), t.Text...)
	dst = append(dst, "&to="...)
	from := len(dst)
	if dst = appendQuery(dst, []byte(safeTo(string(to), c.cfg.Path))); len(dst)-from > maxTo {
		dst = append(dst[:from], '/') // as it is written in the link
	}
	return dst
}

// kindFor returns the kind for a ticket.
func (c *Challenges) kindFor(t *Ticket) Kind {
	if t.Fallback {
		return c.cfg.Fallback
	}
	k := c.cfg.Kinds[0].Kind
	for _, choice := range c.cfg.Kinds[1:] {
		if t.Score >= choice.From {
			k = choice.Kind
		}
	}
	return k
}

// withoutScript reports whether a ticket may go the way without script.
func (c *Challenges) withoutScript(t *Ticket) bool { return int(t.Score) <= c.cfg.WithoutScriptUpTo }

// Stats counts what happened since the start.
type Stats struct {
	Sent     uint64 // to the page, by the gate
	Shown    uint64 // pages
	Replayed uint64 // solutions of a challenge that was solved before
	Limited  uint64 // clearances without script that were too many
	Forged   uint64 // tickets that nobody here signed
	Old      uint64 // tickets that came too late
	// What became of those for whom a kind was unavailable.
	FailedOpen, FailedClosed, FellBack uint64
	ShareErrors                        uint64 // of the Spender
	Forgotten                          uint64 // times that solved challenges were forgotten too soon
	// Attempts by the name of the kind and the word of the result.
	Attempts map[string]map[string]uint64
}

// Stats returns the counts.
func (c *Challenges) Stats() Stats {
	n := &c.stats
	s := Stats{
		Sent: n.sent.Load(), Shown: n.shown.Load(), Replayed: n.replayed.Load(), Limited: n.limited.Load(), Forged: n.forged.Load(),
		Old: n.old.Load(), FailedOpen: n.open.Load(), FailedClosed: n.closed.Load(), FellBack: n.fellBack.Load(),
		ShareErrors: n.shareErrors.Load(), Forgotten: c.spent.forgotten.Load(), Attempts: map[string]map[string]uint64{},
	}
	for kind, results := range c.counted {
		s.Attempts[kind] = map[string]uint64{}
		for r := range results {
			s.Attempts[kind][Result(r).String()] = results[r].Load()
		}
	}
	return s
}

// CookieName is the name of the cookie in which clearances come.
func (c *Challenges) CookieName() string { return c.cfg.Cookie }
