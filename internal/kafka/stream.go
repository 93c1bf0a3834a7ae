package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ipwarden/ipwarden/internal/usage"
)

// Stream is the stream of one region: a topic.
type Stream struct {
	c     *UsageConn
	topic string
	made  atomic.Bool
}

var _ usage.Stream = (*Stream)(nil)

// Stream is that of a region. Its topic is made when the first batch is appended.
func (c *UsageConn) Stream(region string) *Stream {
	return &Stream{c: c, topic: "ipwarden.usage." + name(region)}
}

// Append puts a batch into the topic.
func (s *Stream) Append(ctx context.Context, b usage.Sealed) error {
	if !s.made.Load() {
		if err := s.c.makeTopic(ctx, s.topic, s.c.c.Keep); err != nil {
			return fmt.Errorf("kafka: %w", err)
		}
		s.made.Store(true)
	}
	err := s.c.client.ProduceSync(ctx, &kgo.Record{
		Topic: s.topic, Context: ctx, Value: b.Data,
		Key: []byte(strconv.FormatUint(b.Node, 16) + "-" + strconv.FormatUint(b.Sequence, 10)), // for who looks into the topic
	}).FirstErr()
	if err != nil {
		s.made.Store(false) // it may have been deleted
		return fmt.Errorf("kafka: %w", err)
	}
	return nil
}

// patient is how long a reader waits before it asks whether the brokers are there.
const patient = 300 * time.Millisecond

// Read follows the topic. The position of a batch is its offset and one: 0 is before
// the first.
func (s *Stream) Read(ctx context.Context, after uint64, take func(usage.Item) error) error {
	first, end, err := s.span(ctx, s.c.client)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		// No batch was appended yet. The brokers said so: they are in touch.
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
		return fmt.Errorf("kafka: %w", err)
	}
	next := int64(after) //nolint:gosec // compared below
	if next < first || next > end {
		next = first // it was made anew, or has let go of what was there
	}
	client, err := kgo.NewClient(append(s.c.options[:len(s.c.options):len(s.c.options)],
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{s.topic: {0: kgo.NewOffset().At(next)}}),
		kgo.FetchMaxWait(patient), kgo.FetchMaxBytes(8<<20), kgo.FetchMaxPartitionBytes(8<<20),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
	)...)
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	defer client.CloseAllowingRebalance()
	for {
		poll, cancel := context.WithTimeout(ctx, patient)
		fetches := client.PollFetches(poll)
		waited := poll.Err() != nil
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, e := range fetches.Errors() {
			if !errors.Is(e.Err, context.DeadlineExceeded) {
				return fmt.Errorf("kafka: %w", e.Err)
			}
		}
		if err := each(fetches, func(r *kgo.Record) error {
			next = r.Offset + 1
			return take(usage.Item{Position: uint64(next), Data: r.Value})
		}); err != nil {
			return err
		}
		if !waited {
			continue
		}
		// Nothing came: because nothing is there, or because nobody is?
		_, end, err := s.span(ctx, client)
		if err != nil {
			return fmt.Errorf("kafka: %w", err)
		}
		if end < next {
			return errors.New("kafka: the topic was made anew; it is read from its beginning")
		}
		if end == next {
			if err := take(usage.Item{Position: uint64(next)}); err != nil {
				return err
			}
		}
	}
}

func each(fetches kgo.Fetches, f func(*kgo.Record) error) error {
	for it := fetches.RecordIter(); !it.Done(); {
		if err := f(it.Next()); err != nil {
			return err
		}
	}
	return nil
}

// span is that of the topic, asked for in a bounded time.
func (s *Stream) span(ctx context.Context, client *kgo.Client) (first, end int64, err error) {
	ask, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return s.c.span(ask, client, s.topic)
}
