package usage

import (
	"context"
	"errors"
	"maps"
)

// commit writes what is pending into the store, with how far it goes.
func (a *aggregator) commit(ctx context.Context) error {
	a.commits.Lock()
	defer a.commits.Unlock()
	a.mu.Lock()
	if len(a.pending.rows) == 0 {
		a.mu.Unlock()
		return nil
	}
	a.moving, a.pending = a.pending, a.moving
	add := a.add[:0]
	for i := range a.moving.rows {
		r := &a.moving.rows[i]
		add = append(add, Sum{Row{r.account, r.key, r.hour, r.endpoint, r.class, a.regions[r.region]}, r.n})
	}
	a.add = add
	was, marks := map[Mark]uint64{}, map[Mark]uint64{}
	move := func(m Mark, to uint64) {
		if from := a.committed[m]; from != to {
			was[m], marks[m] = from, to
		}
	}
	for id, n := range a.nodes {
		move(Mark{Node: id, Region: n.region}, n.sequence)
	}
	for i, s := range a.sources {
		position := s.position
		for _, n := range a.nodes { // what waits behind a gap is to be read again
			for _, h := range n.held {
				if h.source == i {
					position = min(position, h.position-1)
				}
			}
		}
		move(Mark{Region: s.Region}, position)
	}
	a.mu.Unlock()

	err := a.c.Store.Commit(ctx, add, was, marks)
	a.mu.Lock()
	a.stats.CommitErr = err
	a.owns = err == nil
	if err == nil {
		maps.Copy(a.committed, marks)
		a.stats.Commits++
	} else if !errors.Is(err, ErrBehind) {
		a.pending.addAll(a.moving)
	}
	if errors.Is(err, ErrBehind) {
		a.stats.Behind++
		a.stats.CommitErr = nil
	}
	a.moving.clear()
	a.mu.Unlock()
	return err
}

// follow says whether another process commits: what is pending here is its business.
func (a *aggregator) follow(yes bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.following = yes
	if yes {
		a.pending.clear()
	}
}

func (a *aggregator) follows() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.following
}

// ahead says whether batches were read that are not in the store.
func (a *aggregator) ahead(marks map[Mark]uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, n := range a.nodes {
		if n.sequence > marks[Mark{Node: id, Region: n.region}] {
			return true
		}
	}
	return false
}

// rows calls yield with sums of the store and with what is not yet in it. If there is
// something to begin with, it is done at the moment that the sums are of.
func (a *aggregator) rows(ctx context.Context, q Query, begin func(), yield func(Row, int64) bool) error {
	a.commits.Lock() // else a sum could be in both, or in neither
	defer a.commits.Unlock()
	a.mu.Lock()
	if begin != nil {
		begin()
	}
	fresh := map[Row]int64{}
	pending := a.pending.rows
	if a.following {
		pending = nil // the other has it in the store, or will have
	}
	for _, r := range pending {
		if full := (Row{r.account, r.key, r.hour, r.endpoint, r.class, a.regions[r.region]}); q.Has(full) {
			fresh[full] += r.n
		}
	}
	a.mu.Unlock()
	more := true
	err := a.c.Store.Rows(ctx, q, func(r Row, n int64) bool {
		n += fresh[r]
		delete(fresh, r)
		more = yield(r, n)
		return more
	})
	if err != nil || !more {
		return err
	}
	for r, n := range fresh {
		if !yield(r, n) {
			return nil
		}
	}
	return nil
}
