package gate

import (
	"time"

	"github.com/ipwarden/ipwarden/limit"
)

// A lease is a place under a key that an attempt holds for a time. at is where it
// is in its part's heap, -1 when it has ended.
type lease struct {
	key  limit.Key
	ends time.Time
	at   int
}

// leases are a heap: the one that ends first is the first. Limits may hold for
// different times, so it is no queue; and what is given back leaves it at once, so
// it is no longer than there are attempts on their way.
type leases []*lease

func (h leases) set(i int, l *lease) {
	h[i] = l
	l.at = i
}

func (h *leases) push(l *lease) {
	*h = append(*h, l)
	h.up(len(*h)-1, l)
}

func (h *leases) remove(l *lease) {
	i, last := l.at, len(*h)-1
	moved := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	l.at = -1
	if i < last {
		h.down(i, moved)
		h.up(moved.at, moved)
	}
}

// up puts l where it belongs between i and the first.
func (h leases) up(i int, l *lease) {
	for i > 0 {
		parent := (i - 1) / 2
		if !l.ends.Before(h[parent].ends) {
			break
		}
		h.set(i, h[parent])
		i = parent
	}
	h.set(i, l)
}

// down puts l where it belongs between i and the last.
func (h leases) down(i int, l *lease) {
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if child+1 < len(h) && h[child+1].ends.Before(h[child].ends) {
			child++
		}
		if !h[child].ends.Before(l.ends) {
			break
		}
		h.set(i, h[child])
		i = child
	}
	h.set(i, l)
}
