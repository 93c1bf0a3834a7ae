// Package usagetest has the suites of [usage.Stream] and [usage.Store].
package usagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/usage"
)

// wait is how long the suite waits for what must come: long, for a busy machine.
const wait = 30 * time.Second

var errEnough = errors.New("enough")

// TestStream checks that a stream keeps its promises. stream opens it; opened again it
// has what it had.
func TestStream(t *testing.T, stream func(t *testing.T) usage.Stream) {
	s := stream(t)
	ctx, cancel := context.WithTimeout(t.Context(), 4*wait)
	defer cancel()
	data := func(i int) []byte { return fmt.Appendf(nil, "batch %d", i) }
	appendAll := func(s usage.Stream, from, to int) {
		t.Helper()
		for i := from; i < to; i++ {
			for s.Append(ctx, usage.Sealed{Node: 7, Sequence: uint64(i), Data: data(i)}) != nil {
				if ctx.Err() != nil {
					t.Fatal("batches are not taken")
				}
			}
		}
	}
	// read returns the distinct items after a position, until one is of batch last, and
	// the position of each.
	read := func(s usage.Stream, after uint64, last int) (got [][]byte, positions []uint64) {
		t.Helper()
		for {
			err := s.Read(ctx, after, func(i usage.Item) error {
				if i.Data == nil {
					return nil
				}
				if i.Position <= after && len(positions) > 0 {
					t.Errorf("position %d after %d", i.Position, after)
				}
				after = i.Position
				got = append(got, bytes.Clone(i.Data))
				positions = append(positions, i.Position)
				if bytes.Equal(i.Data, data(last)) {
					return errEnough
				}
				return nil
			})
			if errors.Is(err, errEnough) {
				return got, positions
			}
			if ctx.Err() != nil {
				t.Fatalf("batch %d did not come; %d others did", last, len(got))
			}
		}
	}
	appendAll(s, 1, 21)
	all, positions := read(s, 0, 20)
	for i := 1; i <= 20; i++ {
		if !bytes.Equal(all[i-1], data(i)) {
			t.Fatalf("item %d is %q, want them in their order", i, all[i-1])
		}
	}
	if rest, _ := read(s, positions[14], 20); len(rest) != 5 || !bytes.Equal(rest[0], data(16)) {
		t.Errorf("after the 15th there are %d, the first %q", len(rest), rest[0])
	}
	// It may drop what it has already.
	appendAll(s, 20, 21)
	appendAll(s, 21, 22)
	if rest, _ := read(s, positions[19], 21); len(rest) > 2 {
		t.Errorf("%d items after two appends", len(rest))
	}
	// A reader is told of what comes while it reads, and that nothing comes.
	quiet := make(chan struct{}, 1)
	got := make(chan []byte, 1)
	go func() {
		after := positions[19]
		for ctx.Err() == nil {
			err := s.Read(ctx, after, func(i usage.Item) error {
				after = i.Position
				switch {
				case i.Data == nil:
					select {
					case quiet <- struct{}{}:
					default:
					}
				case bytes.Equal(i.Data, data(22)):
					got <- bytes.Clone(i.Data)
					return errEnough
				}
				return nil
			})
			if errors.Is(err, errEnough) {
				return
			}
		}
	}()
	select {
	case <-quiet:
	case <-ctx.Done():
		t.Fatal("a reader is not told that nothing comes")
	}
	appendAll(s, 22, 23)
	select {
	case <-got:
	case <-ctx.Done():
		t.Fatal("a reader is not told of what comes")
	}
	// A position that it does not have is its beginning.
	if all, _ := read(s, 1<<40, 22); !bytes.Equal(all[0], data(1)) {
		t.Errorf("from a position it does not have it begins with %q", all[0])
	}
	// It keeps what it has when it is opened again.
	if all, _ := read(stream(t), 0, 22); !bytes.Equal(all[0], data(1)) {
		t.Errorf("opened again it begins with %q", all[0])
	}
	// Who reads and wants no more is let go.
	stop, halt := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.Read(stop, 0, func(usage.Item) error { return nil }) }()
	halt()
	select {
	case <-ended:
	case <-ctx.Done():
		t.Error("a reader does not end with its context")
	}
}
