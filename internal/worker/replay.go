package worker

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"time"
)

// A Replay puts the events of dead letters back.
type Replay struct {
	Back Output      // to where they came from
	Tell func(error) // takes why a letter cannot be put back
	// Returned and Kept count letters.
	Returned, Kept int
}

// replayAtOnce are put back together.
const replayAtOnce = 500

// longestLetter is how long a line of dead letters may be: an event of the largest size
// there is, in base64 or with every byte escaped.
const longestLetter = 6*(64<<20) + 4096

// Lines replays letters that stand on lines. What cannot be put back is written to
// kept as it is.
func (r *Replay) Lines(ctx context.Context, in io.Reader, kept Output) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), longestLetter)
	var letters [][]byte
	for more := true; more; {
		more = lines.Scan()
		if line := bytes.TrimSpace(lines.Bytes()); more && len(line) > 0 {
			letters = append(letters, bytes.Clone(line))
		}
		if len(letters) >= replayAtOnce || !more {
			if err := r.put(ctx, letters, kept); err != nil {
				return err
			}
			letters = letters[:0]
		}
	}
	return lines.Err()
}

// ErrComesBack says that what was put back is a dead letter once more, which would have
// no end.
var ErrComesBack = errors.New("what was put back comes again as dead letters: mend first what is wrong, or end the worker that runs")

// Queue replays letters that wait in a queue, until there are none for a while.
func (r *Replay) Queue(ctx context.Context, in Input, kept Output, idle time.Duration) error {
	last := time.Now()            // of a letter
	places := map[string]string{} // in the queue, of the first letters
	for {
		wait, cancel := context.WithDeadline(ctx, last.Add(idle))
		b, err := in.Read(wait, Bound{replayAtOnce, 8 << 20})
		cancel()
		if err != nil {
			if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
				return nil
			}
			return err
		}
		if b == nil || len(b.Messages) == 0 { // some inputs return now and then
			if time.Since(last) >= idle {
				return ctx.Err()
			}
			continue
		}
		letters := make([][]byte, len(b.Messages))
		for i := range b.Messages {
			m := &b.Messages[i]
			letters[i] = m.Value
			l, err := ReadLetter(m.Value)
			if err != nil {
				continue // put tells it
			}
			if place, ok := places[l.ID]; ok && place != m.Position {
				return ErrComesBack // what was read is not committed, and stays
			}
			if len(places) < replayAtOnce {
				places[l.ID] = m.Position
			}
		}
		if err := r.put(ctx, letters, kept); err != nil {
			return err
		}
		if err := b.Commit(ctx); err != nil && !errors.Is(err, ErrAgain) {
			return err
		}
		last = time.Now()
	}
}

// put puts letters back, or keeps them.
func (r *Replay) put(ctx context.Context, letters [][]byte, kept Output) error {
	var events, stay []Event
	for _, b := range letters {
		l, err := ReadLetter(b)
		var e Event
		if err == nil {
			e, err = l.Event()
		}
		if err != nil {
			r.Tell(err)
			stay = append(stay, Event{Value: b})
			continue
		}
		events = append(events, e)
	}
	if len(events) > 0 {
		refused, err := r.Back.Write(ctx, events)
		if err != nil {
			return err
		}
		for _, no := range refused {
			r.Tell(errors.New(events[no.Index].ID + ": " + no.Reason))
			e := refusedLetter(&events[no.Index], "input", no.Reason)
			stay = append(stay, e)
		}
		r.Returned += len(events) - len(refused)
	}
	r.Kept += len(stay)
	if len(stay) == 0 {
		return nil
	}
	_, err := kept.Write(ctx, stay)
	return err
}
