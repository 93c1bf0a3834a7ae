package ledger

import "sync/atomic"

// dirt says which blocks of 256 slots changed since they were frozen, so that an idle
// ledger costs nothing however large it is. It is in the file, beside what it tells
// of, and outlives a process that dies: a block is clean only when what was counted in
// it is in a batch that is on the disk.
type dirt []atomic.Uint32

const (
	clean    = iota
	changed  // since it was read
	freezing // read, and in no batch yet
)

// newDirt are marks that begin at an offset of a file.
func newDirt(m *mapped, offset int) dirt { return part[atomic.Uint32](m, offset, blocks(m.n)) }

// blockBits: the marks of half a million slots are then in the processor's nearest cache.
const blockBits = 8

// blocks is how many there are of so many slots.
func blocks(slots int) int { return (slots + 1<<blockBits - 1) >> blockBits }

// dirtSize is that of the marks in a file, in whole cache lines.
func dirtSize(slots int) int { return (blocks(slots)*4 + 63) &^ 63 }

// mark comes after the count. Whoever begins to freeze a block before reading its
// counts sees this one, or finds the mark again the next time.
func (d dirt) mark(slot int) {
	if b := &d[slot>>blockBits]; b.Load() != changed {
		b.Store(changed)
	}
}

// block is one that is being frozen.
type block struct{ state *atomic.Uint32 }

// begin says that a block is read now, if it is not clean.
func (d dirt) begin(i int) (block, bool) {
	if d[i].Load() == clean {
		return block{}, false
	}
	d[i].Store(freezing)
	return block{&d[i]}, true
}

// done says that what was read is kept.
func (b block) done() { b.state.CompareAndSwap(freezing, clean) }
