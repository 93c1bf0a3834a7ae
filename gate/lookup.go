package gate

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/ipwarden/ipwarden"
)

// maxAsking is how many look-ups a bounded Source has at once, those that were
// abandoned and did not come back among them; some 4 KiB each.
const maxAsking = 4096

var (
	errSourceSlow = errors.New("gate: the Source did not answer in its time")
	errSourceBusy = errors.New("gate: the Source has too many look-ups that did not come back")
)

// hasty is a Source that may wait, and does not wait for longer than it may,
// whether it minds its context or not.
type hasty struct {
	src    ipwarden.Source
	asking chan struct{}
}

type answer struct {
	rec      ipwarden.Record
	err      error
	panicked any
}

// lookup asks the Source for so long.
func (b *hasty) lookup(ctx context.Context, addr netip.Addr, left time.Duration) (ipwarden.Record, error) {
	select {
	case b.asking <- struct{}{}:
	default:
		return ipwarden.Record{}, errSourceBusy
	}
	ctx, cancel := context.WithTimeoutCause(ctx, left, errSourceSlow)
	got := make(chan answer, 1)
	go func() {
		var a answer
		defer func() {
			a.panicked = recover() // it is whoever asks that panics
			got <- a
			cancel()
			<-b.asking
		}()
		a.rec, a.err = b.src.Lookup(ctx, addr)
	}()
	var a answer
	select {
	case a = <-got:
	case <-ctx.Done():
		select {
		case a = <-got: // its own end ended the context
		default:
			return ipwarden.Record{}, context.Cause(ctx)
		}
	}
	if a.panicked != nil {
		panic(a.panicked)
	}
	return a.rec, a.err
}
