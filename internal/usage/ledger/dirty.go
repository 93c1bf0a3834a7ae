package ledger

import "sync/atomic"

// dirt says which blocks of 64 slots changed since they were frozen, so that an idle
// ledger costs nothing however large it is. It is in the file, beside what it tells of.
type dirt []atomic.Uint32

func newDirt(m *mapped) dirt { return part[atomic.Uint32](m, 0, (m.n+63)/64) }

// dirtSize is that of the marks in a file, in whole cache lines.
func dirtSize(slots int) int { return ((slots+63)/64*4 + 63) &^ 63 }

// mark comes after the count: whoever takes the mark away before reading the counts
// sees it, or finds the mark again the next time.
func (d dirt) mark(slot int) {
	if b := &d[slot>>6]; b.Load() == 0 {
		b.Store(1)
	}
}
