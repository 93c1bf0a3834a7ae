package ledger

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// Freeze puts all that was counted since the last time into batches in the spool, and
// calls made with the sequence number of each. It makes none if nothing was counted.
// What was counted belongs to the hour in which the last call of Freeze was: whoever
// calls it does so at each turn of the hour too.
//
// After an error what was counted and is in no batch stays counted, and the next call
// tries again.
func (l *Ledger) Freeze(made func(sequence uint64)) error {
	l.settle()
	now := l.now()
	f := freeze{l: l, now: now, hour: customer.Hour(l.node.word(wordHour)), made: made}
	l.begun = l.begun[:0]
	err := f.all()
	if err == nil {
		for _, b := range l.begun {
			b.done()
		}
		l.node.set(wordHour, uint64(customer.HourOf(now)))
		l.turn(now)
	}
	return err
}

// freeze is one call of Freeze.
type freeze struct {
	l       *Ledger
	now     time.Time
	hour    customer.Hour
	made    func(uint64)
	open    bool
	section byte
	day     uint64
}

func (f *freeze) all() error {
	for number, t := range f.l.tables {
		if err := f.keys(uint32(number), t); err != nil {
			return err
		}
	}
	f.l.mu.Lock()
	flat := append([]*flatTable{f.l.clients.Load(), f.l.referers.Load()}, f.l.spare...)
	f.l.mu.Unlock()
	for _, t := range flat {
		if err := f.flat(t); err != nil {
			return err
		}
	}
	return f.close()
}

// entry makes ready for one entry of a section.
func (f *freeze) entry(section byte, day uint64) error {
	w := &f.l.w
	if f.open && len(w.b) > target {
		if err := f.close(); err != nil {
			return err
		}
	}
	if !f.open {
		w.begin(f.l.node.node, f.l.node.word(wordSequence)+1, f.hour, f.now, f.l.region)
		f.l.marks = f.l.marks[:0]
		f.open, f.section = true, 0
	}
	if f.section != section || f.day != day {
		w.section(section, day)
		f.section, f.day = section, day
	}
	return nil
}

// close writes the batch, and then raises what counts as frozen: the other way round a
// process that dies between the two would lose what it counted. A batch that has its
// name may be sent, so it is frozen even if the disk fails after that.
func (f *freeze) close() error {
	if !f.open {
		return nil
	}
	f.open = false
	l := f.l
	sequence := l.node.word(wordSequence) + 1
	err := l.write(sequence, l.w.end(), l.marks)
	if err != nil && !errors.Is(err, errUnsynced) {
		return err
	}
	l.each(l.marks, func(p place, m mark) { *p.sent = m.sum })
	l.node.set(wordSequence, sequence)
	if f.made != nil {
		f.made(sequence)
	}
	return err
}

func (f *freeze) keys(number uint32, t *keyTable) error {
	for b := range blocks(t.used()) {
		var changed [customer.NumClasses]customer.Class
		n := 0
		for c := range t.classes {
			if begun, ok := t.classes[c].dirty.begin(b); ok {
				f.l.begun = append(f.l.begun, begun)
				changed[n] = customer.Class(c)
				n++
			}
		}
		if n == 0 {
			continue
		}
		// How many are used is asked for after the marks are taken: whoever marked had its slot
		// before.
		for i, end := b<<blockBits, min((b+1)<<blockBits, t.used()); i < end; i++ {
			differ := uint64(0)
			for _, c := range changed[:n] {
				differ |= atomic.LoadUint64(&t.classes[c].counts[i]) ^ t.classes[c].sent[i]
			}
			if differ == 0 || t.who[i].id == 0 {
				continue
			}
			var deltas, sums classes
			for _, c := range changed[:n] {
				sums[c] = atomic.LoadUint64(&t.classes[c].counts[i])
				deltas[c] = sums[c] - t.classes[c].sent[i]
			}
			if err := f.entry(sectionKeys, 0); err != nil {
				return err
			}
			k := &t.who[i]
			f.l.w.key(k.account, k.id, k.endpoint, &deltas)
			for _, c := range changed[:n] {
				if deltas[c] != 0 {
					f.l.marks = append(f.l.marks, mark{table: number, slot: uint32(i), class: uint32(c), sum: sums[c]})
				}
			}
		}
	}
	return nil
}

func (f *freeze) flat(t *flatTable) error {
	section, number := byte(sectionClts), t.number()
	if t.names != nil {
		section = sectionRefs
	}
	for b := range t.dirty {
		begun, ok := t.dirty.begin(b)
		if !ok {
			continue
		}
		f.l.begun = append(f.l.begun, begun)
		for i, end := b<<blockBits, min((b+1)<<blockBits, t.n); i < end; i++ {
			sum := atomic.LoadUint64(&t.slots[i].count)
			if sum == t.sent[i] {
				continue // as nearly always: the key is not looked at
			}
			key := atomic.LoadUint64(&t.slots[i].key) // there was one before anything was counted
			if key == 0 {
				continue
			}
			if err := f.entry(section, t.day()); err != nil {
				return err
			}
			switch {
			case section == sectionClts:
				f.l.w.client(key, sum-t.sent[i])
			case key == Other:
				f.l.w.referer("", sum-t.sent[i])
			default:
				f.l.w.referer(t.name(i), sum-t.sent[i])
			}
			f.l.marks = append(f.l.marks, mark{table: number, slot: uint32(i), sum: sum})
		}
	}
	return nil
}

// Numbers of tables in marks: those of keys from 0, the others with their day.
const (
	tableClients  = 1 << 30
	tableReferers = 1 << 31
)

// place is where a mark points.
type place struct {
	sent, count *uint64
}

// each calls f with the places of marks, as far as their tables are still there.
func (l *Ledger) each(marks []mark, f func(place, mark)) {
	l.mu.Lock()
	flat := append([]*flatTable{l.clients.Load(), l.referers.Load()}, l.spare...)
	l.mu.Unlock()
	var t *flatTable
	last := uint32(0)
	for _, m := range marks {
		i := int(m.slot)
		if m.table < tableClients {
			if m.table >= maxTables || m.class >= uint32(customer.NumClasses) {
				continue
			}
			if t := l.keys[m.table].Load(); t != nil && i < t.n {
				f(place{&t.classes[m.class].sent[i], &t.classes[m.class].counts[i]}, m)
			}
			continue
		}
		if m.table != last {
			t, last = nil, m.table
			for _, candidate := range flat {
				if candidate.number() == m.table {
					t = candidate
				}
			}
		}
		if t != nil && i < t.n {
			f(place{&t.sent[i], &t.slots[i].count}, m)
		}
	}
}

// number is what marks call the table.
func (t *flatTable) number() uint32 {
	if t.names != nil {
		return tableReferers | uint32(t.day())
	}
	return tableClients | uint32(t.day())
}

// recover raises what counts as frozen to what the batches of the spool say.
func (l *Ledger) recover() error {
	waiting, err := l.Waiting()
	if err != nil {
		return err
	}
	for _, sequence := range waiting {
		data, written, err := l.spooled(sequence)
		var marks []mark
		if err == nil {
			if marks, err = parseMarks(written); err != nil {
				err = fmt.Errorf("%s: %w", l.spoolName(sequence), err)
			}
		}
		if err != nil {
			return fmt.Errorf("%w; it was renamed into place whole, so the disk changed it: move it away to go on without the calls it counted", err)
		}
		b, err := ParseBatch(data)
		if err != nil || b.Node != l.node.node || b.Sequence != sequence {
			return fmt.Errorf("%s: it is not batch %d of node %016x; move it away to go on without it", l.spoolName(sequence), sequence, l.node.node)
		}
		l.each(marks, func(p place, m mark) {
			*p.sent = max(*p.sent, m.sum)
			*p.count = max(*p.count, m.sum) // after a loss of power the table may be older than the batch
		})
		l.node.set(wordSequence, max(l.node.word(wordSequence), sequence))
	}
	return nil
}

// turn begins the tables of a new day. The ones before stay as they are for an hour,
// so that all that is counted in them is frozen, and are then emptied.
func (l *Ledger) turn(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	today := dayOf(now)
	for i, spare := range l.spare {
		current := &l.clients
		if spare.names != nil {
			current = &l.referers
		}
		if spare.day() != 0 && now.Sub(spare.since) >= time.Hour {
			spare.empty()
		}
		if current.Load().day() < today && spare.day() == 0 {
			spare.set(wordDay, today)
			l.spare[i] = current.Swap(spare)
			l.spare[i].since = now
		}
	}
}
