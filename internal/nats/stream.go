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

// How the stream is followed. A server that says nothing for two heartbeats is away.
const (
	beat    = 150 * time.Millisecond
	patient = 400 * time.Millisecond
	many    = 256
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
	consumer, err := stream.CreateConsumer(ask, jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1,
		InactiveThreshold: 10 * time.Second, MemoryStorage: true, Replicas: 1, MaxWaiting: 8,
	})
	if err != nil {
		return fmt.Errorf("nats: %w", err)
	}
	defer func() {
		gone, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = stream.DeleteConsumer(gone, consumer.CachedInfo().Name)
	}()
	delivered := uint64(0)
	for ctx.Err() == nil {
		batch, err := consumer.Fetch(many, jetstream.FetchMaxWait(patient), jetstream.FetchHeartbeat(beat))
		if err != nil {
			return fmt.Errorf("nats: %w", err)
		}
		n := 0
		for m := range batch.Messages() {
			meta, err := m.Metadata()
			if err != nil {
				return fmt.Errorf("nats: %w", err)
			}
			if delivered++; meta.Sequence.Consumer != delivered {
				return errLost
			}
			if err := take(usage.Item{Position: meta.Sequence.Stream, Data: m.Data()}); err != nil {
				return err
			}
			after = meta.Sequence.Stream
			n++
		}
		if err := batch.Error(); err != nil {
			return fmt.Errorf("nats: %w", err)
		}
		if n < many {
			if err := take(usage.Item{Position: after}); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}
