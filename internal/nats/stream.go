package nats

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ipwarden/ipwarden/internal/usage"
	"github.com/ipwarden/ipwarden/internal/usage/ledger"
)

// Stream is the stream of one region.
type Stream struct {
	c       *Conn
	name    string
	subject string
	made    atomic.Bool
}

var _ usage.Stream = (*Stream)(nil)

// Stream is that of a region. It is made when the first batch is appended.
func (c *Conn) Stream(region string) *Stream {
	return &Stream{c: c, name: "IPWARDEN_USAGE_" + token(region), subject: "ipwarden.usage." + token(region)}
}

func (s *Stream) make(ctx context.Context) error {
	_, err := s.c.js.CreateStream(ctx, jetstream.StreamConfig{
		Name: s.name, Subjects: []string{s.subject}, Description: "ipwarden: batches of usage",
		Storage: jetstream.FileStorage, MaxAge: s.c.c.Keep, MaxBytes: s.c.c.MaxBytes, MaxMsgSize: ledger.MaxBatch,
		// A full stream refuses: what it has may not have been read everywhere.
		Discard: jetstream.DiscardNew, Duplicates: min(2*time.Minute, s.c.c.Keep), Replicas: s.c.c.Replicas,
	})
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return nil // with other bounds: its operator's business
	}
	return err
}

// Append puts a batch into the stream.
func (s *Stream) Append(ctx context.Context, b usage.Sealed) error {
	if !s.made.Load() {
		if err := s.make(ctx); err != nil {
			return fmt.Errorf("nats: the stream %s cannot be made: %w", s.name, err)
		}
		s.made.Store(true)
	}
	_, err := s.c.js.PublishMsg(ctx, &client.Msg{Subject: s.subject, Data: b.Data},
		// The server forgets identities after a while: readers do not rely on it.
		jetstream.WithMsgID(strconv.FormatUint(b.Node, 16)+"-"+strconv.FormatUint(b.Sequence, 10)),
		jetstream.WithRetryAttempts(0))
	if err != nil {
		s.made.Store(false) // it may have been deleted
		return fmt.Errorf("nats: %w", err)
	}
	return nil
}

// How the stream is followed. A server sends what comes at once, and else a heartbeat;
// one that says nothing for longer than silence is away.
const (
	beat    = 250 * time.Millisecond
	silence = 1200 * time.Millisecond
	patient = 400 * time.Millisecond // where there is no stream yet
)

var errLost = errors.New("nats: an item was lost on the way; it is read again")

// Read follows the stream with a consumer of its own, which the server drops when
// nobody asks it any more.
func (s *Stream) Read(ctx context.Context, after uint64, take func(usage.Item) error) error {
	ask, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	stream, err := s.c.js.Stream(ask, s.name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		// No batch was appended yet. The server said so: it is in touch.
		if err := take(usage.Item{Position: after}); err != nil {
			return err
		}
		t := time.NewTimer(patient)
		defer t.Stop()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("nats: %w", err)
	}
	if after > stream.CachedInfo().State.LastSeq {
		after = 0 // it was made anew
	}
	// The server pushes. Who asks for some items, and then for more, hears of what comes in
	// between a round trip late.
	inbox := s.c.nc.NewInbox()
	sub, err := s.c.nc.SubscribeSync(inbox)
	if err != nil {
		return fmt.Errorf("nats: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }() // the server drops a consumer that nobody hears
	if _, err = stream.CreatePushConsumer(ask, jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1,
		DeliverSubject: inbox, IdleHeartbeat: beat, FlowControl: true,
		InactiveThreshold: 10 * time.Second, MemoryStorage: true, Replicas: 1,
	}); err != nil {
		return fmt.Errorf("nats: %w", err)
	}
	delivered := uint64(0)
	for ctx.Err() == nil {
		once, done := context.WithTimeout(ctx, silence)
		m, err := sub.NextMsgWithContext(once)
		done()
		if err != nil {
			return fmt.Errorf("nats: %w", err)
		}
		if m.Header.Get("Status") == "100" {
			if err := s.control(m, delivered, after, take); err != nil {
				return err
			}
			continue
		}
		meta, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("nats: %w", err)
		}
		if delivered++; meta.Sequence.Consumer != delivered {
			return errLost
		}
		if err := take(usage.Item{Position: meta.Sequence.Stream, Data: m.Data}); err != nil {
			return err
		}
		after = meta.Sequence.Stream
	}
	return ctx.Err()
}

// control heeds what the server says beside items: that nothing came, and that it sends
// more when it hears that all of them were taken.
func (s *Stream) control(m *client.Msg, delivered, after uint64, take func(usage.Item) error) error {
	onward := m.Header.Get("Nats-Consumer-Stalled")
	if onward == "" {
		onward = m.Reply
	}
	if onward != "" {
		if err := s.c.nc.Publish(onward, nil); err != nil {
			return fmt.Errorf("nats: %w", err)
		}
	}
	last, err := strconv.ParseUint(m.Header.Get("Nats-Last-Consumer"), 10, 64)
	if err != nil {
		return nil //nolint:nilerr // it is about the flow alone
	}
	if last != delivered {
		return errLost
	}
	return take(usage.Item{Position: after})
}
