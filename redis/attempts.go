package redis

import (
	"context"
	_ "embed"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/ipwarden/ipwarden/limit"
)

var _ limit.Attempts = (*Limiter)(nil)

var (
	//go:embed enter.lua
	enterLua string
	//go:embed settle.lua
	settleLua string
)

const (
	// asksAtOnce bounds what is under way to the server, so that one which hangs
	// fills nothing up.
	asksAtOnce = 128
	// outcomePatience is how long the telling of an outcome may take, which somebody
	// waits for, and which does not stand in the way of a request.
	outcomePatience = 250 * time.Millisecond
	// notesAtOnce bounds the notes of one node, some 500 bytes each in the server.
	notesAtOnce = 1 << 18
	// defaultOutcomes is how long they are kept.
	defaultOutcomes = 10 * time.Minute
)

var (
	errBusy  = errors.New("redis: too much is being asked of the server")
	errLate  = errors.New("redis: the server did not answer in time")
	errNotes = errors.New("redis: too many attempts wait for their outcome; this one is known to the node that decided alone")
)

// ask lets f talk to the server, and waits for it as long as patience says. What f
// touches is its own: it may outlive the caller.
func ask[T any](ctx context.Context, l *Limiter, patience time.Duration, f func(context.Context, rueidis.Client) (T, error)) (answer T, err error) {
	return askLate(ctx, l, patience, f, func(T) {})
}

// askLate is ask; late is called with an answer that comes when the caller has gone.
func askLate[T any](ctx context.Context, l *Limiter, patience time.Duration, f func(context.Context, rueidis.Client) (T, error), late func(T)) (answer T, err error) {
	if l.Away() {
		return answer, errAway
	}
	client, err := l.store.connected()
	if err != nil {
		return answer, err
	}
	if at, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(at))
	}
	timer := time.NewTimer(max(patience, 0))
	defer timer.Stop()
	select {
	case l.asks <- struct{}{}: // also when the time is up: what is to be told is sent
	default:
		select {
		case l.asks <- struct{}{}:
		case <-timer.C:
			return answer, errBusy
		}
	}
	type told struct {
		answer T
		err    error
	}
	done := make(chan told, 1)
	var ended atomic.Bool // by an answer, or by the caller's going: whichever was first
	go func() {
		// Not the caller's: that may be memory which is used for the next request.
		ctx, cancel := context.WithTimeout(context.Background(), 2*l.store.config.DialTimeout)
		defer cancel()
		var t told
		t.answer, t.err = f(ctx, client)
		<-l.asks
		if ended.CompareAndSwap(false, true) {
			done <- t
		} else if t.err == nil {
			late(t.answer)
		}
	}()
	select {
	case t := <-done:
		return t.answer, t.err
	case <-timer.C:
		if !ended.CompareAndSwap(false, true) { // it came as the time was up
			t := <-done
			return t.answer, t.err
		}
		if patience > 0 { // else somebody else has used it up
			l.TooLate()
		}
		return answer, errLate
	}
}

// name is the name of what belongs to an attempt or a key.
func (l *Limiter) name(kind string, id [16]byte) string {
	return l.store.config.Prefix + kind + base64.RawURLEncoding.EncodeToString(id[:])
}

func (l *Limiter) placeName(k limit.Key) string {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:], k[0])
	binary.BigEndian.PutUint64(raw[8:], k[1])
	return l.name("under:", raw)
}

// Enter is limit.Attempts'. Each key is one step of its own: of two attempts each
// sees the other under at least one of the keys that they share, and under all of
// them if they come one after the other. A place is lost with the server's memory.
func (l *Limiter) Enter(ctx context.Context, attempt [16]byte, places []limit.Place) error {
	member := string(attempt[:])
	names, lives, most := make([]string, len(places)), make([]string, len(places)), make([]string, len(places))
	for i := range places {
		p := &places[i]
		names[i] = l.placeName(p.Key)
		lives[i] = strconv.FormatInt(max(p.For.Milliseconds(), 1), 10)
		most[i] = strconv.FormatUint(uint64(p.Most), 10)
	}
	counts, err := ask(ctx, l, l.store.config.Budget, func(ctx context.Context, client rueidis.Client) ([]uint32, error) {
		cmds := make(rueidis.Commands, len(names))
		for i := range names {
			cmds[i] = client.B().Eval().Script(enterLua).Numkeys(1).Key(names[i]).Arg(member, lives[i], most[i]).Build()
		}
		counts := make([]uint32, len(names))
		var errs []error
		for i, r := range client.DoMulti(ctx, cmds...) {
			n, err := r.AsInt64()
			if err == nil && (n < 1 || n > 1<<32-1) {
				err = errJunk
			}
			counts[i] = uint32(n)
			errs = append(errs, err)
		}
		return counts, errors.Join(errs...)
	})
	for i := range counts {
		places[i].Count = counts[i]
	}
	return err
}

// Leave is limit.Attempts'.
func (l *Limiter) Leave(ctx context.Context, attempt [16]byte, places []limit.Place) error {
	member := string(attempt[:])
	names := make([]string, len(places))
	for i := range places {
		names[i] = l.placeName(places[i].Key)
	}
	_, err := ask(ctx, l, l.store.config.Budget, func(ctx context.Context, client rueidis.Client) (none struct{}, err error) {
		cmds := make(rueidis.Commands, len(names))
		for i, name := range names {
			cmds[i] = client.B().Zrem().Key(name).Member(member).Build()
		}
		var errs []error
		for _, r := range client.DoMulti(ctx, cmds...) {
			errs = append(errs, r.Error())
		}
		return none, errors.Join(errs...)
	})
	return err
}

// Keep is limit.Attempts'.
func (l *Limiter) Keep(ctx context.Context, attempt [16]byte, note []byte) error {
	if len(note) > limit.MaxNote {
		return errors.New("redis: a note has at most " + strconv.Itoa(limit.MaxNote) + " bytes")
	}
	life := l.store.config.Outcomes
	if !l.notes.room(time.Now(), life) {
		return errNotes
	}
	name, text := l.name("attempt:", attempt), string(note)
	_, err := ask(ctx, l, l.store.config.Budget, func(ctx context.Context, client rueidis.Client) (none struct{}, err error) {
		var errs []error
		for _, r := range client.DoMulti(ctx,
			client.B().Hset().Key(name).FieldValue().FieldValue("note", text).Build(),
			client.B().Pexpire().Key(name).Milliseconds(life.Milliseconds()).Build()) {
			errs = append(errs, r.Error())
		}
		return none, errors.Join(errs...)
	})
	return err
}

// Recall is limit.Attempts'.
func (l *Limiter) Recall(ctx context.Context, attempt [16]byte) ([]byte, error) {
	name := l.name("attempt:", attempt)
	return ask(ctx, l, max(outcomePatience, l.store.config.Budget), func(ctx context.Context, client rueidis.Client) ([]byte, error) {
		note, err := client.Do(ctx, client.B().Hget().Key(name).Field("note").Build()).AsBytes()
		if rueidis.IsRedisNil(err) {
			return nil, nil
		}
		if len(note) > limit.MaxNote {
			return nil, errJunk
		}
		return note, err
	})
}

// Settle is limit.Attempts': one step for all nodes.
func (l *Limiter) Settle(ctx context.Context, attempt [16]byte, event uint64, charges uint16) (limit.Settled, error) {
	return l.SettleLate(ctx, attempt, event, charges, func(limit.Settled) {})
}

// SettleLate is Settle for who must know what was noted also when it has given up:
// nobody else is told to charge it. late is called once with an answer that comes
// then, by another goroutine, and not at all when there is none.
func (l *Limiter) SettleLate(ctx context.Context, attempt [16]byte, event uint64, charges uint16, late func(limit.Settled)) (limit.Settled, error) {
	name := l.name("attempt:", attempt)
	field := "event " + strconv.FormatUint(event, 36)
	set := strconv.FormatUint(uint64(charges), 10)
	return askLate(ctx, l, max(outcomePatience, l.store.config.Budget), func(ctx context.Context, client rueidis.Client) (s limit.Settled, err error) {
		n, err := client.Do(ctx, client.B().Eval().Script(settleLua).Numkeys(1).Key(name).Arg(field, set).Build()).AsInt64()
		switch {
		case err != nil || n == -1:
			return s, err
		case n < 0 || n >= 1<<17:
			return s, errJunk
		}
		return limit.Settled{Known: true, First: n>>16 == 1, Due: uint16(n)}, nil
	}, late)
}

// notes bounds how many notes a node keeps.
type notes struct {
	mu    sync.Mutex // guards what is below
	since time.Time
	n     int
}

// room counts a note, if there may be one more: in the time for which one is kept,
// so many.
func (b *notes) room(now time.Time, life time.Duration) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Sub(b.since) >= life {
		b.since, b.n = now, 0
	}
	if b.n == notesAtOnce {
		return false
	}
	b.n++
	return true
}
