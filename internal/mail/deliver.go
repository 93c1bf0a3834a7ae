package mail

import (
	"context"
	"errors"
	"strings"
	"time"
)

// delivery is what the one who delivers remembers. It belongs to Run, or to who calls
// Deliver.
type delivery struct {
	next   map[string]time.Time // of letters that were looked at: not before; zero is never
	down   int                  // how often the server was not reached, in a row
	notTil time.Time            // while it is down
	pruned time.Time
}

// atOnce is how many letters go over one connection.
const atOnce = 100

// looks is how often the directory is looked at for letters of other processes.
const looks = 10 * time.Second

// wait is how long to wait after so many attempts, the first being 1.
func wait(attempts int, most time.Duration) time.Duration {
	return min(30*time.Second<<min(max(attempts, 1)-1, 12), most)
}

// Run delivers until ctx ends.
func (b *Outbox) Run(ctx context.Context) {
	for {
		next := b.Deliver(ctx)
		t := time.NewTimer(min(max(next.Sub(b.c.Now()), 10*time.Millisecond), looks))
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-b.wake:
		case <-t.C:
		}
		t.Stop()
	}
}

// Deliver delivers what is due, once, and returns when there is something to do again.
// It must not run twice at once.
func (b *Outbox) Deliver(ctx context.Context) (next time.Time) {
	now := b.c.Now()
	d := &b.delivery
	if now.Sub(d.pruned) >= time.Hour {
		d.pruned = now
		b.prune(now)
	}
	next = now.Add(looks)
	if !b.Sends() {
		return next
	}
	if now.Before(d.notTil) {
		return d.notTil
	}
	due, err := b.due(now)
	if err != nil {
		b.c.Log.Error("the outbox cannot be read", "error", err)
		return next
	}
	if len(due) == 0 {
		return b.earliest(next)
	}
	c, err := b.c.Server.dial(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return next
		}
		d.down++
		d.notTil = now.Add(wait(d.down, 10*time.Minute))
		b.c.Log.Warn("the SMTP server was not reached; letters wait", "server", b.c.Server.String(), "error", err, "letters", len(due), "again", d.notTil)
		for _, m := range due {
			if b.overdue(m, now) {
				b.settle(m, true, err, now)
			}
		}
		return d.notTil
	}
	d.down = 0
	defer c.close()
	for _, m := range due {
		if ctx.Err() != nil {
			return next
		}
		if !m.Expires.IsZero() && !now.Before(m.Expires) {
			b.settle(m, true, errors.New("it was of no use any more"), now)
			continue
		}
		final, err := c.send(m, b.c.From)
		if err == nil {
			delete(d.next, m.ID)
			if err := b.Remove(m.ID); err != nil && !errors.Is(err, ErrNotFound) {
				b.c.Log.Error("a delivered mail cannot be removed from the outbox, and would be sent again", "error", err)
				d.next[m.ID] = time.Time{}
			}
			continue
		}
		b.settle(m, final, err, now)
		if !final { // the connection may be of no use any more
			return b.earliest(now.Add(time.Second))
		}
	}
	if len(due) == atOnce {
		return now
	}
	return b.earliest(next)
}

func (b *Outbox) overdue(m *Mail, now time.Time) bool { return now.Sub(m.Created) > TriedFor }

// settle notes that a letter was not taken.
func (b *Outbox) settle(m *Mail, final bool, why error, now time.Time) {
	m.Attempts++
	m.Problem = line(strings.ReplaceAll(why.Error(), m.To, "the recipient"))
	if len(m.Problem) > 500 {
		m.Problem = m.Problem[:500]
	}
	if final || b.overdue(m, now) {
		m.Failed = now.UTC()
		b.delivery.next[m.ID] = time.Time{}
		b.c.Log.Error("a mail was not delivered, and is not tried again", "mail", m.ID, "kind", m.Kind, "attempts", m.Attempts, "error", m.Problem)
	} else {
		m.Next = now.Add(wait(m.Attempts, 2*time.Hour)).UTC()
		b.delivery.next[m.ID] = m.Next
		b.c.Log.Warn("a mail was not taken; it is tried again", "mail", m.ID, "kind", m.Kind, "attempts", m.Attempts, "error", m.Problem, "again", m.Next)
	}
	if err := b.put(m); err != nil {
		b.c.Log.Error("the outbox cannot be written", "error", err)
	}
}

// due returns at most atOnce letters that are due, the oldest first.
func (b *Outbox) due(now time.Time) (all []*Mail, err error) {
	ids, err := b.ids()
	if err != nil {
		return nil, err
	}
	d := &b.delivery
	known := d.next
	d.next = make(map[string]time.Time, len(ids)) // without those that are gone
	b.mu.Lock()
	b.waiting = len(ids)
	b.mu.Unlock()
	for _, id := range ids {
		next, seen := known[id]
		if seen {
			d.next[id] = next
			if next.IsZero() || next.After(now) {
				continue
			}
		}
		if len(all) == atOnce {
			continue
		}
		m, err := b.Get(id)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			b.c.Log.Error("a file of the outbox is left alone", "error", err)
			d.next[id] = time.Time{}
			continue
		}
		switch {
		case !m.Failed.IsZero():
			d.next[id] = time.Time{}
		case m.Next.After(now):
			d.next[id] = m.Next
		default:
			d.next[id] = now
			all = append(all, m)
		}
	}
	return all, nil
}

// earliest is when the next letter is due, or latest.
func (b *Outbox) earliest(latest time.Time) time.Time {
	for _, t := range b.delivery.next {
		if !t.IsZero() && t.Before(latest) {
			latest = t
		}
	}
	return latest
}

// prune deletes letters that were kept long enough.
func (b *Outbox) prune(now time.Time) {
	ids, err := b.ids()
	if err != nil {
		return
	}
	for _, id := range ids {
		m, err := b.Get(id)
		if err != nil || now.Sub(m.Created) <= KeptFor {
			continue
		}
		if err := b.Remove(id); err == nil {
			b.c.Log.Info("an old mail was removed from the outbox", "mail", id, "kind", m.Kind)
		}
	}
}
