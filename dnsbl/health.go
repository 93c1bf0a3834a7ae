package dnsbl

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// How soon a zone is checked again.
const (
	firstRetry = 30 * time.Second // after a failure; then twice as long each time
	leastSpace = 10 * time.Second // between two checks that answers asked for
)

// Answers in a row after which a zone is checked at once.
const (
	suspectListed = 16 // it may list everything by now
	suspectFailed = 5
)

// Control is what a zone answered about one of its control addresses.
type Control struct {
	Addr  netip.Addr
	Want  bool         // the zone must list it; else it must not
	Codes []netip.Addr // what it answered; none: it does not list it
	TTL   time.Duration
	Err   error // what is wrong with that; nil: it is right
}

// watch asks the control addresses of a zone for as long as the List is open.
func (l *List) watch(z *zone) {
	l.check(l.ctx, z)
	close(z.ready)
	for {
		for waiting := true; waiting; {
			z.mu.Lock()
			wait := z.next.Sub(l.cfg.Now())
			z.mu.Unlock()
			timer := time.NewTimer(wait)
			select {
			case <-l.ctx.Done():
				timer.Stop()
				return
			case <-z.kick:
				timer.Stop()
			case <-timer.C:
				waiting = false
			}
		}
		l.check(l.ctx, z)
	}
}

// check asks a zone's control addresses, and turns it on or off by that.
func (l *List) check(ctx context.Context, z *zone) {
	controls := l.control(ctx, z)
	if ctx.Err() != nil {
		return
	}
	var wrong error
	for _, c := range controls {
		if c.Err != nil && (wrong == nil || errors.Is(c.Err, errLies)) {
			wrong = fmt.Errorf("its control address %s: %w", c.Addr, c.Err)
		}
	}
	z.inARow.listed.Store(0)
	z.inARow.failed.Store(0)
	now := l.cfg.Now()
	z.mu.Lock()
	z.checked, z.controls = now, controls
	z.mu.Unlock()
	if wrong != nil {
		l.turnOff(z, wrong)
		return
	}
	z.mu.Lock()
	was := z.is()
	if was == On {
		z.strikes = 0
	} else {
		z.reason, z.since = nil, now
		z.state.Store(uint32(On))
		l.epoch.Add(1)
	}
	z.next = now.Add(jitter(max(l.cfg.CheckEvery, 0)))
	z.mu.Unlock()
	if was == Off {
		l.cfg.Log.Info("a block list is asked again: its control addresses are right", "zone", z.Name)
	}
}

// control asks the control addresses.
func (l *List) control(ctx context.Context, z *zone) []Control {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Budget)
	defer cancel()
	var all []Control
	if !z.NoIPv4 {
		all = append(all, Control{Addr: mustList4, Want: true}, Control{Addr: mustNotList4})
	}
	if z.IPv6 {
		all = append(all, Control{Addr: mustList6, Want: true}, Control{Addr: mustNotList6})
	}
	var wg sync.WaitGroup
	for i := range all {
		c := &all[i]
		wg.Go(func() {
			a, err := l.question(ctx, queryName(c.Addr, z.suffix), dns.TypeA)
			if err != nil {
				c.Err = err
				return
			}
			c.Codes, c.TTL = a.addrs, time.Duration(a.ttl)*time.Second
			_, _, err = z.judge(a.addrs)
			switch {
			case err != nil:
				c.Err = err
			case c.Want && len(a.addrs) == 0:
				c.Err = errors.New("it is not listed, as it must be: the list is empty, or gone")
			case !c.Want && len(a.addrs) > 0:
				c.Err = fmt.Errorf("%w: it lists this one, and so perhaps everything", errLies)
			}
		})
	}
	wg.Wait()
	return all
}

// turnOff takes a zone out of use until a check finds it right. What a zone has
// said that lies does not count any more; of one that is silent it does until
// its time is over.
func (l *List) turnOff(z *zone, why error) {
	now := l.cfg.Now()
	z.mu.Lock()
	was := z.is()
	z.reason = why
	if was != Off {
		z.since = now
		z.state.Store(uint32(Off))
	}
	if errors.Is(why, errLies) || errors.Is(why, errRefused) {
		z.gen.Add(1)
	}
	l.epoch.Add(1)
	wait := firstRetry << min(z.strikes, 10)
	if l.cfg.CheckEvery > 0 {
		wait = min(wait, l.cfg.CheckEvery)
	}
	z.strikes++
	z.next = now.Add(jitter(wait))
	z.mu.Unlock()
	z.wake()
	if was != Off {
		l.cfg.Log.Warn("a block list is not asked any more until its control addresses are right", "zone", z.Name, "reason", why)
	}
}

// suspect has a zone checked soon.
func (l *List) suspect(z *zone) {
	now := l.cfg.Now()
	z.mu.Lock()
	soon := now
	if t := z.checked.Add(leastSpace); t.After(soon) {
		soon = t
	}
	earlier := z.is() == On && soon.Before(z.next)
	if earlier {
		z.next = soon
	}
	z.mu.Unlock()
	if earlier {
		z.wake()
	}
}

func (z *zone) wake() {
	select {
	case z.kick <- struct{}{}:
	default:
	}
}

// jitter is a fifth more or less, so that nodes do not ask together.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return d*4/5 + rand.N(d*2/5+1)
}
