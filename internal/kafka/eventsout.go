package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ipwarden/ipwarden/internal/worker"
)

var _ worker.Output = (*Output)(nil)

// mostRecord is the size of a record that brokers take unless they are told otherwise,
// less what is round it.
const mostRecord = 1_000_000 - 1000

// Output writes events to a topic, those of a key into one partition.
type Output struct {
	client *kgo.Client
	topic  string // "": where an event came from
	close  bool   // the client is its own
	most   int
	// in is the transactions that it writes in; nil: in none.
	in *Session
	// The rest is of transactions alone. Since the commit so many, events go one at a
	// time if single, and events of those ids are too large for the topic.
	since  int64
	single bool
	large  map[string]int // the bytes of each
}

// NewOutput writes to a topic; with none, each event to the one that it came from.
func NewOutput(c EventsConfig, topic string, most int) (*Output, error) {
	base, err := c.options()
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(base, writing(most)...)...)
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	return &Output{client: client, topic: topic, close: true, most: most}, nil
}

// writing are the options of who writes. Records are idempotent: an attempt that is
// repeated puts nothing in twice.
func writing(most int) []kgo.Opt {
	return []kgo.Opt{
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0), kgo.ProducerBatchMaxBytes(int32(most + 1000)), //nolint:gosec // bounded by the configuration
		kgo.MaxBufferedRecords(100_000), kgo.RecordDeliveryTimeout(30 * time.Second), kgo.UnknownTopicRetries(1),
		kgo.ProducerBatchCompression(kgo.Lz4Compression(), kgo.NoCompression()),
	}
}

// Write produces events in their order. Brokers judge batches: one that is larger than
// the topic takes is sent again in parts, and what is too large by itself is refused.
// What came behind in its partition comes once more, with its id, so that the last of
// each key is the last.
func (o *Output) Write(ctx context.Context, events []worker.Event) (refused []worker.Refusal, err error) {
	if o.in != nil && o.in.commits.Load() != o.since {
		o.since, o.single = o.in.commits.Load(), false
		clear(o.large)
	}
	at := make([]int, 0, len(events)) // the places of those that are sent
	for i := range events {
		e := &events[i]
		switch n := len(e.Value) + len(e.Key) + len(e.ID); {
		case n > o.most:
			refused = append(refused, worker.Refusal{Index: i, Reason: fmt.Sprintf("%d bytes are more than the topic takes, %d", n, o.most)})
		case o.large[e.ID] > 0 && n >= o.large[e.ID]:
			refused = append(refused, worker.Refusal{Index: i, Reason: tooLarge})
		default:
			at = append(at, i)
		}
	}
	if o.in != nil {
		return refused, o.inTransaction(ctx, events, at)
	}
	large, err := o.divide(ctx, events, at)
	if err != nil {
		return nil, o.wrapped(err)
	}
	for _, i := range large {
		refused = append(refused, worker.Refusal{Index: i, Reason: tooLarge})
	}
	return refused, nil
}

// divide sends those of the places; where some together are too large, the first half
// of them and then the second. It returns those that are too large by themselves.
func (o *Output) divide(ctx context.Context, events []worker.Event, at []int) (large []int, err error) {
	results, partitions := o.produce(ctx, events, at)
	if !slices.ContainsFunc(results, isTooLarge) {
		return nil, first(results)
	}
	if len(at) == 1 {
		return at, nil
	}
	failed := map[int32]bool{}
	var rest []int
	for n, i := range at {
		if results[n] != nil {
			failed[partitions[n]] = true
		}
		if failed[partitions[n]] { // what came behind comes behind again, with its id
			rest = append(rest, i)
		}
	}
	for _, half := range [][]int{rest[:len(rest)/2], rest[len(rest)/2:]} {
		if len(half) == 0 {
			continue
		}
		more, err := o.divide(ctx, events, half)
		if err != nil {
			return nil, err
		}
		large = append(large, more...)
	}
	return large, nil
}

const tooLarge = "it is larger than the topic takes (max.message.bytes); set max_bytes to that"

func isTooLarge(err error) bool { return errors.Is(err, kerr.MessageTooLarge) }

func (o *Output) wrapped(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("kafka: %s: %w", o.topic, err)
}

// mostLarge bounds the ids that an Output remembers until a transaction has gone well.
const mostLarge = 10_000

// inTransaction writes those of the places. What fails ends the transaction, and its
// events come again: after one that was too large, one at a time; and what was too
// large then is known by its id.
func (o *Output) inTransaction(ctx context.Context, events []worker.Event, at []int) error {
	var results []error
	if o.single {
		for _, i := range at {
			results = append(results, o.alone(ctx, events, i))
		}
	} else {
		results, _ = o.produce(ctx, events, at)
	}
	err := first(results)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return o.wrapped(err)
	}
	for n, i := range at {
		if o.single && isTooLarge(results[n]) && len(o.large) < mostLarge {
			e := &events[i]
			o.large[e.ID] = len(e.Value) + len(e.Key) + len(e.ID)
			o.in.learned.Store(true)
		}
	}
	if !o.single && slices.ContainsFunc(results, isTooLarge) {
		o.single = true
		o.in.learned.Store(true)
	}
	o.in.fail(o.wrapped(err))
	return nil
}

// first is the first error; the others mostly follow from it.
func first(results []error) error {
	for _, err := range results {
		if err != nil {
			return err
		}
	}
	return nil
}

// record is an event as it is sent.
func (o *Output) record(e *worker.Event) *kgo.Record {
	r := &kgo.Record{Topic: o.topic, Value: e.Value, Headers: []kgo.RecordHeader{{Key: IDHeader, Value: []byte(e.ID)}}}
	if o.topic == "" {
		r.Topic = e.Origin
	}
	if e.Key != "" {
		r.Key = []byte(e.Key)
	}
	return r
}

// produce sends events together, and says what became of each, and in which partition.
func (o *Output) produce(ctx context.Context, events []worker.Event, at []int) ([]error, []int32) {
	results, partitions := make([]error, len(at)), make([]int32, len(at))
	var sent sync.WaitGroup
	sent.Add(len(at))
	for n, i := range at {
		o.client.Produce(ctx, o.record(&events[i]), func(r *kgo.Record, err error) {
			results[n], partitions[n] = err, r.Partition
			sent.Done()
		})
	}
	sent.Wait()
	return results, partitions
}

// alone sends one event in a batch of its own.
func (o *Output) alone(ctx context.Context, events []worker.Event, i int) error {
	return o.client.ProduceSync(ctx, o.record(&events[i])).FirstErr()
}

// Close ends the connections.
func (o *Output) Close() error {
	if o.close {
		o.client.Close()
	}
	return nil
}
