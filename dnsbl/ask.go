package dnsbl

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// fly has an address asked about, and returns the flight on which it is, nil when
// too many wait already.
func (l *List) fly(addr netip.Addr) *flight {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.flights[addr]; f != nil {
		return f
	}
	f := &flight{addr: addr, done: make(chan struct{})}
	select {
	case l.queue <- f:
		l.flights[addr] = f
		return f
	default:
		l.turnedAway.Add(1)
		return nil
	}
}

// work asks about addresses until the List is closed.
func (l *List) work() {
	for {
		select {
		case <-l.ctx.Done():
			return
		case f := <-l.queue:
			l.askAll(f.addr)
			l.mu.Lock()
			delete(l.flights, f.addr)
			l.mu.Unlock()
			close(f.done)
		}
	}
}

// askAll asks the zones that have not answered about an address, all at once.
func (l *List) askAll(addr netip.Addr) {
	ctx, cancel := context.WithTimeout(l.ctx, l.cfg.Budget)
	defer cancel()
	results, _ := l.cache.results(addr)
	now := l.cfg.Now().UnixNano()
	var wg sync.WaitGroup
	for i, z := range l.zones {
		if !z.serves(addr) || z.is() == Off {
			continue
		}
		if results != nil {
			r := &results[i]
			if now < r.retry || r.ok && r.gen == z.gen.Load() && now < r.until {
				continue
			}
		}
		wg.Go(func() {
			select {
			case <-z.ready:
			case <-ctx.Done():
				return
			}
			if z.is() == On {
				l.askZone(ctx, i, addr)
			}
		})
	}
	wg.Wait()
}

// askZone asks one zone, and keeps what it says.
func (l *List) askZone(ctx context.Context, i int, addr netip.Addr) {
	z := l.zones[i]
	gen := z.gen.Load()
	z.asked.Add(1)
	a, err := l.question(ctx, queryName(addr, z.suffix), dns.TypeA)
	if l.ctx.Err() != nil {
		return // closed meanwhile: that is nobody's fault
	}
	var r result
	if err != nil {
		z.unanswered.Add(1)
		if z.inARow.failed.Add(1) >= suspectFailed {
			l.suspect(z)
		}
	} else {
		z.inARow.failed.Store(0)
		r, err = l.read(ctx, z, addr, a)
	}
	now := l.cfg.Now()
	if err != nil {
		r = result{retry: now.Add(retryAfter).UnixNano()}
	} else {
		r.ok, r.gen = true, gen
		r.at, r.until = now.UnixNano(), now.Add(l.keep(a)).UnixNano()
	}
	l.cache.settle(addr, i, len(l.zones), r, now.UnixNano())
}

// read is what an answer says. One that no list gives turns the zone off.
func (l *List) read(ctx context.Context, z *zone, addr netip.Addr, a answer) (r result, err error) {
	listed, unknown, err := z.judge(a.addrs)
	if err != nil {
		if errors.Is(err, errRefused) {
			z.refused.Add(1)
		} else {
			z.lied.Add(1)
		}
		l.turnOff(z, err)
		return r, err
	}
	z.unknown.Add(uint64(unknown))
	if listed == 0 {
		z.notListed.Add(1)
		z.inARow.listed.Store(0)
		return r, nil
	}
	z.listed.Add(1)
	if z.inARow.listed.Add(1) >= suspectListed {
		l.suspect(z)
	}
	r.listed, r.ttl = listed, a.ttl
	if z.Text {
		if t, err := l.question(ctx, queryName(addr, z.suffix), dns.TypeTXT); err == nil {
			r.text = t.text // without it the listing is what it was
		}
	}
	return r, nil
}

// keep is how long an answer is believed.
func (l *List) keep(a answer) time.Duration {
	ttl := time.Duration(a.ttl) * time.Second
	most := l.cfg.MaxTTL
	if len(a.addrs) == 0 {
		most = l.cfg.MaxNegative
	}
	return min(max(ttl, l.cfg.MinTTL), most)
}

// Answer is what one zone says of an address.
type Answer struct {
	Zone    string
	Codes   []netip.Addr
	Unknown []netip.Addr // of Codes those that the zone's map does not have
	Means   []Code       // of the others
	TTL     time.Duration
	Text    string
	Err     error // it did not answer, or what no list answers
}

// Ask asks all zones about an address now, whether they are in use or not, and
// neither reads nor keeps what is remembered. An address that is never sent has
// no answers.
func (l *List) Ask(ctx context.Context, addr netip.Addr) []Answer {
	if !l.cfg.Public(addr) {
		return nil
	}
	addr = l.key(addr)
	var all []Answer
	var asked []*zone
	for _, z := range l.zones {
		if z.serves(addr) {
			all, asked = append(all, Answer{Zone: z.Name}), append(asked, z)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Budget)
	defer cancel()
	var wg sync.WaitGroup
	for i, z := range asked {
		wg.Go(func() { all[i].ask(ctx, l.question, z, addr) })
	}
	wg.Wait()
	return all
}

func (a *Answer) ask(ctx context.Context, ask question, z *zone, addr netip.Addr) {
	name := queryName(addr, z.suffix)
	got, err := ask(ctx, name, dns.TypeA)
	if err != nil {
		a.Err = err
		return
	}
	a.Codes, a.TTL = got.addrs, time.Duration(got.ttl)*time.Second
	if _, _, a.Err = z.judge(got.addrs); a.Err != nil {
		return
	}
	for _, code := range got.addrs {
		if c, ok := z.Codes[code]; ok {
			a.Means = append(a.Means, c)
		} else {
			a.Unknown = append(a.Unknown, code)
		}
	}
	if len(got.addrs) > 0 {
		if t, err := ask(ctx, name, dns.TypeTXT); err == nil {
			a.Text = t.text
		}
	}
}

// Check asks all control addresses now, and returns how the zones do by that.
func (l *List) Check(ctx context.Context) []Health {
	var wg sync.WaitGroup
	for _, z := range l.zones {
		wg.Go(func() { l.check(ctx, z) })
	}
	wg.Wait()
	return l.Health()
}

// Health returns how the zones do, in the order of the configuration.
func (l *List) Health() []Health {
	all := make([]Health, 0, len(l.zones))
	for _, z := range l.zones {
		all = append(all, z.health())
	}
	return all
}

// Stats are counts since the start.
type Stats struct {
	Pending    uint64 // look-ups that were answered before every zone was heard
	TurnedAway uint64 // addresses that found no room in the queue
	Waiting    int    // addresses that are asked about now, or wait for that
	Entries    int    // addresses that are remembered
	Dropped    uint64 // those that had to make room
}

// Stats returns the counts.
func (l *List) Stats() Stats {
	s := Stats{Pending: l.pending.Load(), TurnedAway: l.turnedAway.Load()}
	s.Entries, s.Dropped = l.cache.len()
	l.mu.Lock()
	s.Waiting = len(l.flights)
	l.mu.Unlock()
	return s
}
