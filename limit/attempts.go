package limit

import (
	"context"
	"time"
)

// Attempts is what nodes tell each other of requests that were let in and whose
// outcome is not known, for limits that count outcomes. Package redis has one. It
// may be called by many goroutines, keeps no argument, and waits for nothing beyond
// ctx's Deadline, whether or not ctx is done by then. An error means that what was
// asked may have been done, or not.
//
// An attempt is named by 16 bytes that no other has. What is told of it is
// forgotten in the end, at the latest when nobody would ask any more.
type Attempts interface {
	// Enter gives the attempt a place under each key, and fills in the Counts.
	Enter(ctx context.Context, attempt [16]byte, places []Place) error
	// Leave takes the attempt's places back. Those that it has not are no error.
	Leave(ctx context.Context, attempt [16]byte, places []Place) error
	// Keep keeps a note about the attempt, at most [MaxNote] bytes, for whoever hears
	// of its outcome. It may be refused when there are too many.
	Keep(ctx context.Context, attempt [16]byte, note []byte) error
	// Recall returns the note; nil when there is none.
	Recall(ctx context.Context, attempt [16]byte) (note []byte, err error)
	// Settle notes that an event was told of the attempt, which charges the limits of
	// a set, and says what of that nobody has told before.
	Settle(ctx context.Context, attempt [16]byte, event uint64, charges uint16) (Settled, error)
}

// A Place is one that an attempt holds under a key.
type Place struct {
	Key Key
	// For is how long, at most.
	For time.Duration
	// Most is how many there are: when all are held, the attempt gets none.
	Most uint32
	// Count is the answer: how many attempts hold one, this one included; above Most
	// when there was none for it.
	Count uint32
}

// Settled is what an outcome changed.
type Settled struct {
	// Known is false when there is no note of the attempt; nothing was noted then.
	Known bool
	// First says that nobody has told the event before.
	First bool
	// Due are those of the charges that nobody has made before, which are for the
	// caller to make.
	Due uint16
}

// MaxNote bounds a note, in bytes, and MaxEvents how many events of one attempt are
// told apart; those beyond are taken as told.
const (
	MaxNote   = 512
	MaxEvents = 8
)
