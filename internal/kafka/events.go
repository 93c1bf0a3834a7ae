package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ipwarden/ipwarden/internal/worker"
)

// IDHeader has the id of an event that a worker has written, so that one that is put
// back keeps it.
const IDHeader = "ipwarden-id"

// EventsConfig says which brokers have events, and which events are read.
type EventsConfig struct {
	URL, User, Password string // as of UsageConfig
	Topics              []string
	Group               string // that remembers how far the workers are, together
	Fetch               int    // bytes of one fetch of one broker, packed as they are; default 1 MiB
	// Session is how long a member may say nothing before others get its partitions;
	// default 15s.
	Session time.Duration
	// Instance is the name of this process among those of the group; default the
	// host's. It is of transactions alone.
	Instance string
}

func (c *EventsConfig) options() ([]kgo.Opt, error) {
	base, err := (&UsageConfig{URL: c.URL, User: c.User, Password: c.Password}).options()
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	return append(base, kgo.RetryTimeout(20*time.Second)), nil
}

// reading are the options of who reads.
func (c *EventsConfig) reading() ([]kgo.Opt, error) {
	base, err := c.options()
	if err != nil {
		return nil, err
	}
	if c.Fetch == 0 {
		c.Fetch = 1 << 20 // of what compresses well a fetch is ten times as much in memory
	}
	if c.Session == 0 {
		c.Session = 15 * time.Second
	}
	return append(base,
		kgo.ConsumerGroup(c.Group), kgo.ConsumeTopics(c.Topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxBytes(int32(c.Fetch)), kgo.FetchMaxPartitionBytes(int32(max(c.Fetch/4, 64<<10))), //nolint:gosec // bounded by the configuration
		kgo.FetchMaxWait(500*time.Millisecond), kgo.MaxConcurrentFetches(1),
		kgo.SessionTimeout(c.Session), kgo.HeartbeatInterval(min(2*time.Second, c.Session/3)), kgo.RebalanceTimeout(rebalance),
	), nil
}

// rebalance is how long who loses a partition may take to end what it has read of it.
const rebalance = 30 * time.Second

// Input reads as a member of a group.
type Input struct {
	c      EventsConfig
	client *kgo.Client
	out    worker.Outstanding
	closed context.CancelFunc // nobody works on what was read any more
}

var (
	_ worker.Input   = (*Input)(nil)
	_ worker.Lagging = (*Input)(nil)
)

// NewInput joins the group.
func NewInput(c EventsConfig) (*Input, error) {
	options, err := c.reading()
	if err != nil {
		return nil, err
	}
	in := &Input{c: c}
	open, closed := context.WithCancel(context.Background())
	in.closed = closed
	in.client, err = kgo.NewClient(append(options,
		kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		// Who gets the partition begins with what is committed: so that no event is
		// done twice, and none before one of its key, what was read is ended first.
		kgo.OnPartitionsRevoked(func(ctx context.Context, _ *kgo.Client, _ map[string][]int32) {
			ctx, cancel := context.WithTimeout(ctx, rebalance*2/3)
			defer cancel()
			defer context.AfterFunc(open, cancel)()
			_ = in.out.Wait(ctx) // else some come twice, with their ids
		}),
	)...)
	if err != nil {
		closed()
		return nil, fmt.Errorf("kafka: %w", err)
	}
	return in, nil
}

// Read waits for events.
func (in *Input) Read(ctx context.Context, most worker.Bound) (*worker.Batch, error) {
	fetches := in.client.PollRecords(ctx, most.Messages)
	defer in.client.AllowRebalance()
	b, last, err := batchOf(ctx, fetches)
	if b == nil {
		return nil, err
	}
	in.out.Add()
	b.Commit = func(ctx context.Context) error {
		err := in.client.CommitRecords(ctx, last...)
		if err != nil && kerr.IsRetriable(err) && !errors.Is(err, kerr.RebalanceInProgress) {
			return fmt.Errorf("kafka: %w", err)
		}
		if err != nil && ctx.Err() != nil {
			return ctx.Err()
		}
		in.out.Done()
		if err != nil { // somebody else has the partition, or this process again
			return fmt.Errorf("kafka: %w: %w", worker.ErrAgain, err)
		}
		return nil
	}
	return b, nil
}

// batchOf makes a batch of what was fetched, and the last record of each partition.
// What is there goes before what went wrong, which is told by the next fetch.
func batchOf(ctx context.Context, fetches kgo.Fetches) (b *worker.Batch, last []*kgo.Record, err error) {
	b = &worker.Batch{Messages: make([]worker.Message, 0, fetches.NumRecords())}
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		for _, r := range p.Records {
			b.Messages = append(b.Messages, message(r))
		}
		if n := len(p.Records); n > 0 {
			last = append(last, p.Records[n-1])
		}
	})
	if len(b.Messages) > 0 {
		return b, last, nil
	}
	for _, e := range fetches.Errors() {
		if !errors.Is(e.Err, context.Canceled) && !errors.Is(e.Err, context.DeadlineExceeded) {
			err = errors.Join(err, fmt.Errorf("kafka: %s/%d: %w", e.Topic, e.Partition, e.Err))
		}
	}
	if ctx.Err() != nil {
		return nil, nil, ctx.Err()
	}
	return nil, nil, err
}

func message(r *kgo.Record) worker.Message {
	position := make([]byte, 0, len(r.Topic)+32)
	position = append(append(append(position, "kafka:"...), r.Topic...), '/')
	position = strconv.AppendInt(append(strconv.AppendInt(position, int64(r.Partition), 10), '/'), r.Offset, 10)
	m := worker.Message{Position: string(position), Origin: r.Topic, Key: string(r.Key), Value: r.Value, Time: r.Timestamp}
	m.ID = m.Position
	for _, h := range r.Headers {
		if h.Key == IDHeader && len(h.Value) > 0 && len(h.Value) <= 256 {
			m.ID = string(h.Value)
		}
	}
	return m
}

// Lag is how many events wait for the group.
func (in *Input) Lag(ctx context.Context) (int64, error) { return lag(ctx, in.client) }

// lag asks where the partitions of this member end, and compares with what is
// committed.
func lag(ctx context.Context, client *kgo.Client) (n int64, err error) {
	committed := client.CommittedOffsets()
	ask := kmsg.NewPtrListOffsetsRequest()
	ask.ReplicaID, ask.IsolationLevel = -1, 1
	for topic, partitions := range committed {
		t := kmsg.NewListOffsetsRequestTopic()
		t.Topic = topic
		for partition := range partitions {
			p := kmsg.NewListOffsetsRequestTopicPartition()
			p.Partition, p.Timestamp = partition, -1
			t.Partitions = append(t.Partitions, p)
		}
		ask.Topics = append(ask.Topics, t)
	}
	if len(ask.Topics) == 0 {
		return 0, errors.New("kafka: no partition is this member's")
	}
	for _, shard := range client.RequestSharded(ctx, ask) {
		answer, ok := shard.Resp.(*kmsg.ListOffsetsResponse)
		if err := shard.Err; err != nil || !ok {
			return 0, fmt.Errorf("kafka: how far the topics go: %w", err)
		}
		for _, t := range answer.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return 0, fmt.Errorf("kafka: %s/%d: %w", t.Topic, p.Partition, err)
				}
				n += max(p.Offset-max(committed[t.Topic][p.Partition].Offset, 0), 0)
			}
		}
	}
	return n, nil
}

// Close leaves the group.
func (in *Input) Close() error {
	in.closed()
	in.client.CloseAllowingRebalance()
	return nil
}
