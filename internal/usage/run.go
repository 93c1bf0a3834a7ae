package usage

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"time"
)

// freeze puts what was counted into batches, again and again, and at each full hour.
func (m *Meter) freeze(ctx context.Context) {
	flushed := m.c.Now()
	batches, took := 0, time.Duration(0)
	for {
		now := m.c.Now()
		wait := min(interval(m.c.Freeze, batches, took), now.Truncate(time.Hour).Add(time.Hour).Sub(now))
		if !pause(ctx, wait) {
			return
		}
		began := time.Now()
		batches = 0
		err := m.ledger.Freeze(func(uint64) {
			batches++
			select {
			case m.frozen <- struct{}{}:
			default:
			}
		})
		m.freezes(err)
		if err != nil {
			pause(ctx, time.Second)
		}
		m.agg.tick(ctx)
		if now.Sub(flushed) > 10*time.Second {
			flushed = now
			if err := m.ledger.Flush(); err != nil {
				m.c.Logger.Error("usage: the ledger cannot be written", "error", err)
			}
		}
		took = time.Since(began)
	}
}

// interval is how long to wait until what is counted is frozen, where it filled so many
// batches the last time, and took so long. Those who call often are in each of them, so
// that of many calls fewer batches are less work, and of few none is. What it took is in
// the interval, but some of it is left to others.
func interval(freeze time.Duration, batches int, took time.Duration) time.Duration {
	if batches > 1 {
		freeze = freeze * 5 / 3
	}
	return max(freeze/3, freeze-took)
}

// freezes notes how the last attempt to freeze ended.
func (m *Meter) freezes(err error) {
	m.agg.mu.Lock()
	defer m.agg.mu.Unlock()
	switch was := m.agg.stats.FreezeErr; {
	case err != nil && was == nil:
		m.c.Logger.Error("usage: what was counted cannot be put into batches; it stays in the ledger", "error", err)
	case err == nil && was != nil:
		m.c.Logger.Info("usage: what was counted is put into batches again")
	}
	m.agg.stats.FreezeErr = err
}

// ship appends batches to the stream, in their order, those of processes before first.
func (m *Meter) ship(ctx context.Context) {
	next := uint64(0)
	backoff := 20 * time.Millisecond
	for ctx.Err() == nil {
		sequence, ok := m.waiting(next)
		if !ok {
			m.shipped(nil)
			select {
			case <-ctx.Done():
				return
			case <-m.frozen:
			case <-time.After(500 * time.Millisecond):
			}
			continue
		}
		data, err := m.ledger.Frozen(sequence)
		if errors.Is(err, os.ErrNotExist) {
			next = sequence + 1
			continue
		}
		if err == nil {
			once, cancel := context.WithTimeout(ctx, 2*time.Second)
			err = m.c.Stream.Append(once, Sealed{m.ledger.Node(), sequence, data})
			cancel()
		}
		if err != nil {
			m.shipped(err)
			// All nodes of a region see their stream stop at once: they do not all come back
			// at once.
			pause(ctx, backoff+rand.N(backoff))
			backoff = min(2*backoff, time.Second)
			continue
		}
		backoff = 20 * time.Millisecond
		m.shipped(nil)
		m.ledger.Sent(sequence)
		next = sequence + 1
	}
}

// waiting is the first batch of the spool from a number on.
func (m *Meter) waiting(next uint64) (uint64, bool) {
	if next > m.ledger.Sequence() {
		return 0, false
	}
	if next > 0 {
		return next, true
	}
	all, err := m.ledger.Waiting()
	if err != nil || len(all) == 0 {
		return 0, false
	}
	return all[0], true
}

func (m *Meter) shipped(err error) {
	m.agg.mu.Lock()
	defer m.agg.mu.Unlock()
	if err == nil {
		if m.agg.stats.ShipErr != nil {
			m.c.Logger.Info("usage: the stream takes batches again")
		}
		m.agg.stuck = time.Time{}
	} else if m.agg.stats.ShipErr == nil {
		m.agg.stuck = m.c.Now()
		m.c.Logger.Warn("usage: the stream takes no batches; they wait in the spool", "error", err)
	}
	m.agg.stats.ShipErr = err
}

// read follows the stream of a region.
func (m *Meter) read(ctx context.Context, source int) {
	s := m.agg.sources[source]
	backoff := 50 * time.Millisecond
	for ctx.Err() == nil {
		m.agg.mu.Lock()
		after, again := s.position, m.agg.reloads
		m.agg.mu.Unlock()
		err := s.Stream.Read(ctx, after, func(i Item) error {
			backoff = 50 * time.Millisecond
			return m.agg.take(source, i, again)
		})
		if ctx.Err() != nil {
			return
		}
		if err != nil && !errors.Is(err, errReloaded) {
			m.c.Logger.Debug("usage: a region's stream cannot be read", "region", s.Region, "error", err)
			pause(ctx, backoff+rand.N(backoff))
			backoff = min(2*backoff, time.Second)
		}
	}
}

// books commits, and tells of alerts. Committing takes a twentieth of the time, unless
// that would be less than once in 20 s: with many sums it is done less often, and what
// is not yet in the store is in memory.
//
// Of several processes with one store the first to commit goes on. The others find that
// the store has moved, and only look whether it still does; when it stands still while
// batches come in, one of them reads it anew, goes back in the streams to where it
// stands, and commits from there.
func (m *Meter) books(ctx context.Context) {
	wait := m.c.Commit
	var seen map[Mark]uint64 // of the store; nil while this process commits
	failing := false
	for pause(ctx, wait) {
		began := time.Now()
		once, cancel := context.WithTimeout(ctx, time.Minute)
		var err error
		if seen == nil {
			if err = m.agg.commit(once); errors.Is(err, ErrBehind) {
				seen, err = map[Mark]uint64{}, nil
				m.agg.follow(true)
			}
		} else {
			var marks map[Mark]uint64
			if marks, err = m.c.Store.Marks(once); err == nil {
				if maps.Equal(marks, seen) && m.agg.ahead(marks) {
					if err = m.agg.load(once); err == nil {
						seen = nil
						m.agg.follow(false)
					}
				} else {
					seen = marks
					m.agg.follow(true)
				}
			}
		}
		switch {
		case ctx.Err() != nil:
		case err != nil && !failing:
			m.c.Logger.Warn("usage: sums cannot be written; they stay in memory and in the streams", "error", err)
		case err == nil && failing:
			m.c.Logger.Info("usage: sums can be written again")
		}
		failing = err != nil
		m.agg.raise(once)
		cancel()
		wait = max(m.c.Commit, min(20*time.Since(began), 20*m.c.Commit))
		if seen != nil {
			wait = 5*m.c.Commit + rand.N(5*m.c.Commit)
		}
	}
}

// renew keeps leases.
func (m *Meter) renew(ctx context.Context) {
	for pause(ctx, m.c.LeasePause/2) {
		m.agg.mu.Lock()
		all := m.agg.reports(m.c.Now())
		m.agg.mu.Unlock()
		for region, reports := range all {
			if region == m.c.Region && m.c.GivesLeases {
				m.agg.granted(reports, m.Grant(m.ledger.Node(), reports))
				continue
			}
			m.done.Go(func() {
				once, cancel := context.WithTimeout(ctx, 2*time.Second)
				defer cancel()
				grants, err := m.c.Lessor(once, region, m.ledger.Node(), reports)
				if err != nil {
					pause(ctx, 100*time.Millisecond)
				}
				m.agg.granted(reports, grants)
			})
		}
	}
}

// pause waits, and says whether to go on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
