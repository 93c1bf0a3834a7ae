package api

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/policy"
)

// A verdict lease is an answer of /v1/decide that may be used again for a while by
// who keeps it, such as an edge platform, and that is charged once: to limits and to
// the account that asks. See decision note 21.
const (
	// DefaultLease is how long an answer holds that no limit was charged for.
	DefaultLease = time.Minute
	// MaxLease bounds what is asked for.
	MaxLease = time.Hour

	// repeats is how long a question may be repeated that was not heard to be answered.
	repeats = 30 * time.Second
	// maxLeases and maxLeaseBytes bound what is remembered; the oldest goes first.
	maxLeases     = 16 << 10
	maxLeaseBytes = 16 << 20
	// maxLeased is the longest answer that is remembered, and leasedSize what one takes
	// besides its text, in bytes.
	maxLeased  = 8 << 10
	leasedSize = 400
	// maxLeaseID is the length of the name of one, in characters.
	maxLeaseID = 128
	// leasePatience is how long a question waits for the same that is being answered.
	leasePatience = 2 * time.Second
)

// leaseKey is the hash of what an answer is remembered under: who asked, and the name
// of the question or what the answer depends on.
type leaseKey [sha256.Size]byte

// leased is an answer that is remembered. What is behind ready is written before that
// is closed, and not after.
type leased struct {
	size  int // guarded by leases.mu: what it is taken to be, bytes
	ready chan struct{}
	answer
}

// answer is one, as it was made. The zero answer is none.
type answer struct {
	body    []byte // JSON without the lease and the last brace
	retry   int    // seconds in it, 0 for none
	made    time.Time
	program *policy.Program
	seconds int    // how long it may be used again, 0 for not at all
	stale   int    // and for how long beyond them it is better than none
	lease   []byte // the other members of the lease
}

// leases are the answers of the last while. The zero value is ready.
type leases struct {
	mu    sync.Mutex
	by    map[leaseKey]*leased // guarded by mu
	queue []leasePlace         // guarded by mu: the order in which they came
	from  int                  // guarded by mu: of queue, where it begins
	bytes int                  // guarded by mu
}

type leasePlace struct {
	key   leaseKey
	of    *leased
	until time.Time
}

// find returns what is remembered under a key, and waits for it if it is being made. Who
// gets mine instead makes it, and calls settle; who gets neither has waited in vain, and
// decides alone.
func (l *leases) find(ctx context.Context, k leaseKey, now time.Time, life time.Duration, good func(*answer) bool) (found *answer, mine *leased) {
	l.mu.Lock()
	for l.from < len(l.queue) && !now.Before(l.queue[l.from].until) {
		l.shift()
	}
	e := l.by[k]
	if e == nil || e.isReady() && !good(&e.answer) {
		if l.by == nil {
			l.by = make(map[leaseKey]*leased)
		}
		mine = &leased{ready: make(chan struct{}), size: leasedSize}
		l.by[k] = mine
		l.queue = append(l.queue, leasePlace{k, mine, now.Add(life)})
		l.bytes += mine.size
		l.bound()
	}
	l.mu.Unlock()
	if mine != nil {
		return nil, mine
	}
	timer := time.NewTimer(leasePatience)
	defer timer.Stop()
	select {
	case <-e.ready:
		if good(&e.answer) {
			return &e.answer, nil
		}
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil, nil
}

func (e *leased) isReady() bool {
	select {
	case <-e.ready:
		return true
	default:
		return false
	}
}

// settle says what came of a claim; nil is nothing.
func (l *leases) settle(k leaseKey, e *leased, a *answer) {
	if e == nil {
		return
	}
	l.mu.Lock()
	switch {
	case l.by[k] != e: // it had to make room meanwhile
	case a == nil || len(a.body) > maxLeased:
		delete(l.by, k)
	default:
		n := len(a.body) + len(a.lease)
		e.size += n
		l.bytes += n
	}
	if a != nil {
		e.answer = *a
	}
	l.bound()
	l.mu.Unlock()
	close(e.ready)
}

// bound forgets the oldest while there is too much. l.mu is held.
func (l *leases) bound() {
	for len(l.queue)-l.from > maxLeases || l.bytes > maxLeaseBytes {
		l.shift()
	}
}

// shift forgets the oldest. l.mu is held.
func (l *leases) shift() {
	p := &l.queue[l.from]
	if l.by[p.key] == p.of {
		delete(l.by, p.key)
	}
	l.bytes -= p.of.size
	*p = leasePlace{}
	if l.from++; l.from*2 > len(l.queue) {
		l.queue = slices.Delete(l.queue, 0, l.from)
		l.from = 0
	}
}

// appendTo appends the answer as it is now.
func (e *answer) appendTo(dst []byte, now time.Time) []byte {
	age := max(0, int(now.Sub(e.made)/time.Second))
	if e.retry > 0 && age > 0 {
		// Within a text the quotes are escaped: it is the member.
		before, after, _ := strings.Cut(alias(e.body), `,"retry_after":`+strconv.Itoa(e.retry))
		dst = append(append(dst, before...), `,"retry_after":`...)
		dst = append(strconv.AppendInt(dst, int64(max(1, e.retry-age)), 10), after...)
	} else {
		dst = append(dst, e.body...)
	}
	dst = strconv.AppendInt(append(dst, `,"lease":{"seconds":`...), int64(max(0, e.seconds-age)), 10)
	if e.stale > 0 {
		dst = strconv.AppendInt(append(dst, `,"stale":`...), int64(e.stale), 10)
	}
	return append(append(dst, e.lease...), "}}\n"...)
}

// decideLeased answers a question that has the name of a lease.
func (x *exchange) decideLeased(g *gateRoutes, q *question, a *gateAnswer) *problem {
	if p := checkLease(q.Lease); p != nil {
		return p
	}
	program := g.Gate.Program()
	life := max(repeats, g.Lease, g.LimitedLease)
	asked, use := x.leaseKeys(q, &a.request, program)
	found, mine := g.leases.find(x.ctx, asked, x.now, life, func(e *answer) bool { return e.body != nil })
	var ours *leased
	if found == nil && use != nil {
		found, ours = g.leases.find(x.ctx, *use, x.now, life, func(e *answer) bool { return e.body != nil && e.runs(program, x.now) })
	}
	if found != nil {
		g.leases.settle(asked, mine, found) // the next repeats this one
		x.answered(0)                       // it was charged when it was made
		x.out = found.appendTo(x.out[:0], x.now)
		x.answerGate(http.StatusOK)
		return nil
	}
	var made *answer
	defer func() { // also when nothing is made
		g.leases.settle(asked, mine, made)
		if made != nil && made.seconds == 0 {
			made = nil
		}
		if use != nil {
			g.leases.settle(*use, ours, made)
		}
	}()
	if p := x.admitOne(); p != nil {
		return p
	}
	d := &a.decision
	g.Gate.Decide(x.ctx, &a.request, d)
	g.Gate.Elaborate(d)
	made = &answer{made: x.now, program: program, body: d.AppendJSON(nil)}
	made.body = made.body[:len(made.body)-1]
	if !d.Passes() {
		made.retry = d.RetrySeconds()
	}
	if r, ok := g.Gate.Reuse(d); ok {
		made.describe(g, program, &r)
	}
	x.out = made.appendTo(x.out[:0], x.now)
	x.answerGate(http.StatusOK)
	return nil
}

// runs reports whether an answer may be used again now.
func (e *answer) runs(program *policy.Program, now time.Time) bool {
	return e.program == program && now.Sub(e.made) < time.Duration(e.seconds)*time.Second
}

// describe says for how long and for what else an answer holds.
func (e *answer) describe(g *gateRoutes, program *policy.Program, r *gate.Reuse) {
	life, stale := g.Lease, g.Lease
	if r.Counted {
		life, stale = g.LimitedLease, 0
	}
	if r.For > 0 {
		// Who is shut out for a time is not kept out for longer.
		life, stale = min(life, r.For), 0
	}
	if e.seconds = int(life / time.Second); e.seconds < 1 {
		e.seconds = 0
		return
	}
	e.stale = int(stale / time.Second)
	e.lease = r.Network.AppendTo(append(e.lease, `,"network":"`...))
	e.lease = append(e.lease, `","reads":[`...)
	for i, name := range readNames(program, r.Headers, r.Cookies) {
		if i > 0 {
			e.lease = append(e.lease, ',')
		}
		e.lease = ipwarden.AppendString(e.lease, name)
	}
	e.lease = append(e.lease, ']')
}

// readNames are the words for what a program reads of a request.
func readNames(p *policy.Program, headers, cookies []string) (names []string) {
	r := p.Reads()
	for _, w := range [...]struct {
		name string
		is   bool
	}{
		{"account", r.Account},
		{"host", r.Host},
		{"method", r.Method},
		{"path", r.Path},
		{"path:fold", p.Paths().FoldCase},
		{"query", r.Query},
		{"scheme", r.Scheme},
	} {
		if w.is {
			names = append(names, w.name)
		}
	}
	for _, t := range r.Paths {
		names = append(names, pathTests[t.Op]+t.Text)
	}
	for _, n := range union(r.Headers, headers) {
		names = append(names, "header:"+strings.ToLower(n))
	}
	for _, n := range union(r.Cookies, cookies) {
		names = append(names, "cookie:"+n)
	}
	return names
}

var pathTests = map[policy.Op]string{
	policy.OpEqual: "path=", policy.OpStartsWith: "path^", policy.OpEndsWith: "path$", policy.OpContains: "path*",
}

func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// leaseKeys are the keys of a question: by its name, and by what its answer depends
// on; nil where that cannot be told.
func (x *exchange) leaseKeys(q *question, req *ipwarden.Request, program *policy.Program) (asked leaseKey, use *leaseKey) {
	h := sha256.New()
	who := ""
	if x.keyed != nil && x.keyed.asked {
		who = x.keyed.call.Key
	}
	write(h, who)
	write(h, "asked")
	write(h, q.Lease)
	for _, s := range []string{q.IP, q.Method, q.Scheme, q.Host, q.Path} {
		write(h, s)
	}
	for _, name := range sortedKeys(q.Headers) {
		write(h, name)
		hashLines(h, q.Headers[name])
	}
	for _, name := range sortedKeys(q.Account) {
		write(h, name)
		write(h, q.Account[name])
	}
	h.Sum(asked[:0])

	r := program.Reads()
	if r.Unknown {
		return asked, nil
	}
	h.Reset()
	write(h, who)
	write(h, "use")
	addr, _ := ipwarden.Canonical(req.Peer)
	write(h, addr.String())
	write(h, req.Peer.String()) // as it is wrapped
	part := func(is bool, s string) {
		if is {
			write(h, s)
		}
	}
	part(r.Method, req.Method)
	part(r.Host, req.Host)
	part(r.Scheme, req.Scheme)
	part(r.Query, req.Query)
	if r.Path || !program.Paths().Plain(req.Path) {
		write(h, req.Path)
	} else {
		for _, t := range r.Paths {
			h.Write([]byte{bit(t.Holds(req.Path))})
		}
	}
	// What the gate reads of its own accord is the same for all its answers; which of
	// it is known only then, so it is always part of the key.
	for _, name := range union(r.Headers, []string{"User-Agent"}) {
		hashLines(h, req.Header.Values(name))
	}
	hashLines(h, req.Header.Values("Cookie")) // whole: few questions of one client differ in it
	for _, k := range sortedKeys(req.Account) {
		write(h, k)
		write(h, req.Account[k])
	}
	use = new(leaseKey)
	h.Sum(use[:0])
	return asked, use
}

func hashLines(h hash.Hash, values []string) {
	h.Write(binary.AppendUvarint(nil, uint64(len(values))))
	for _, v := range values {
		write(h, v)
	}
}

// write hashes a text with its length before it.
func write(h hash.Hash, s string) {
	h.Write(binary.AppendUvarint(nil, uint64(len(s))))
	h.Write([]byte(s))
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func checkLease(name string) *problem {
	ok := len(name) <= maxLeaseID
	for _, c := range []byte(name) {
		ok = ok && c > ' ' && c < 0x7f
	}
	if ok {
		return nil
	}
	return &problem{
		status: http.StatusBadRequest, slug: "bad-lease", title: "Not the name of a lease",
		detail: "The lease of a question is a name of 1 to " + strconv.Itoa(maxLeaseID) + " visible ASCII characters that nobody else gives, such as 16 random bytes in base64.", example: exampleDecide,
	}
}
