// Package worker answers about events of a queue: it takes them from an [Input],
// enriches them, and puts them into one or more [Output]s.
//
// The call most people want:
//
//	w, err := worker.New(worker.Config{Input: in, Outputs: outs, To: []string{"enriched"}, Dead: dead, Source: ds})
//	err = w.Run(ctx)
//
// Run promises: an event is committed at its source after every output has
// acknowledged what came of it, so that it comes out at least once; what comes out has
// an id that is the same however often it is made; events come out in the order in
// which the source gave them, of each key at least; an output that is away stops the
// source and not the memory; and what is no event goes to Dead with its reason, and
// stops nothing. It refuses to run without a destination for dead letters.
package worker

import (
	"context"
	"fmt"
	"time"
)

// A Message is an event as its source has it.
type Message struct {
	// ID is the same whenever the message is delivered, and no other's: where it is
	// in its source, or what its producer called it.
	ID string
	// Position is where it is in its source, for people: "logins/3/1042".
	Position string
	// Origin is the part of the source that it goes back to after it was a dead letter:
	// a subject, a topic; "" when there is one only.
	Origin string
	// Key is what the source keeps in order; "" is nothing.
	Key string
	// Value is the event. It is not changed, and not used after Commit.
	Value []byte
	// Time is when the source took it; zero when it does not say.
	Time time.Time
}

// A Bound is how much a Read returns at most: the first message of more than Bytes is
// returned alone.
type Bound struct{ Messages, Bytes int }

// A Batch is what one Read has returned.
type Batch struct {
	Messages []Message
	// Commit tells the source that nobody needs the messages any more. It is called
	// when all that came of them was acknowledged, and in the order of the Reads. After
	// an error it is called again. [ErrAgain] says that the source will deliver the
	// messages again, so that nothing is to be done. It may be called during a Read.
	Commit func(ctx context.Context) error
	// Extend, when it is there, is called every few seconds while the batch is being
	// worked on, for sources that otherwise deliver again.
	Extend func()
}

// An Input is where events come from. Read waits until there are some, is called by
// one goroutine, and not by another after Close. It returns at once what is there, and
// waits a little only where that makes batches larger. An error is told, and Read is
// called again after a pause. A message that is not committed is delivered again, at the
// latest to the next process.
type Input interface {
	Read(ctx context.Context, most Bound) (*Batch, error)
	Close() error
}

// A Serial input has one batch at a time: it is not read again before the commit.
type Serial interface{ Serial() bool }

// A Lagging input knows how many messages wait.
type Lagging interface {
	Lag(ctx context.Context) (int64, error)
}

// An Event is what comes out.
type Event struct {
	ID    string // of the message; the same whenever it is made
	Key   string
	Value []byte // JSON; valid until Write has returned
	Time  time.Time
	// Origin is that of a message that is put back.
	Origin string
	// Type is that of an event which a rule made, "" of one that passes through.
	Type string
}

// A Refusal is an event that an Output will never take.
type Refusal struct {
	Index  int // of the events
	Reason string
}

// An Output takes events. Write returns when all are acknowledged or refused, or with
// an error; then it is called with the same events again, of which some may be there
// already: their IDs are the same. It is called by one goroutine at a time, and keeps
// the order of the events of a key.
type Output interface {
	Write(ctx context.Context, events []Event) ([]Refusal, error)
	Close() error
}

// ErrAgain is what a Commit says whose messages will be delivered again.
var ErrAgain = fmt.Errorf("the source delivers these messages again")
