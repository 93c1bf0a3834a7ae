package kafka

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
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
	_ worker.Output  = (*Output)(nil)
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

// mostRecord is the size of a record that brokers take unless they are told otherwise,
// less what is round it.
const mostRecord = 1_000_000 - 1000

// Output writes events to a topic, those of a key into one partition.
type Output struct {
	client *kgo.Client
	topic  string // "": where an event came from
	close  bool   // the client is its own
	most   int
	// failed is set instead of returning an error, where a transaction must not be
	// gone on with; nil: there is none.
	failed *atomic.Bool
	told   func(error) // takes what it was
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

// Write produces events in their order.
func (o *Output) Write(ctx context.Context, events []worker.Event) (refused []worker.Refusal, err error) {
	records := make([]kgo.Record, len(events))
	results := make(chan error, len(events))
	sent := 0
	for i := range events {
		e, r := &events[i], &records[i]
		if n := len(e.Value) + len(e.Key) + len(e.ID); n > o.most {
			refused = append(refused, worker.Refusal{Index: i, Reason: fmt.Sprintf("%d bytes are more than the topic takes, %d", n, o.most)})
			continue
		}
		r.Topic, r.Value, r.Headers = o.topic, e.Value, []kgo.RecordHeader{{Key: IDHeader, Value: []byte(e.ID)}}
		if o.topic == "" {
			r.Topic = e.Origin
		}
		if e.Key != "" {
			r.Key = []byte(e.Key)
		}
		sent++
		o.client.Produce(ctx, r, func(_ *kgo.Record, err error) { results <- err })
	}
	for range sent {
		if failed := <-results; failed != nil {
			err = failed
		}
	}
	if err == nil {
		return refused, nil
	}
	if errors.Is(err, kerr.MessageTooLarge) {
		err = fmt.Errorf("%w: set max_bytes to what the topic takes", err)
	}
	if o.failed != nil && ctx.Err() == nil {
		if o.failed.CompareAndSwap(false, true) {
			o.told(fmt.Errorf("kafka: %s: %w", o.topic, err))
		}
		return refused, nil
	}
	return nil, fmt.Errorf("kafka: %w", err)
}

// Close ends the connections.
func (o *Output) Close() error {
	if o.close {
		o.client.Close()
	}
	return nil
}

// A Session reads, writes and commits in transactions: what comes out is there once,
// for readers that read what is committed. Its Input and its Outputs belong together.
type Session struct {
	c       EventsConfig
	session *kgo.GroupTransactSession
	failed  atomic.Bool
	told    func(error)
	ended   int // transactions in a row that came to nothing
}

// NewSession joins the group. tell takes what ended a transaction.
func NewSession(c EventsConfig, most int, tell func(error)) (*Session, error) {
	options, err := c.reading()
	if err != nil {
		return nil, err
	}
	if c.Instance == "" {
		if c.Instance, err = os.Hostname(); err != nil {
			return nil, err
		}
	}
	s := &Session{c: c, told: tell}
	options = append(append(options, writing(most)...),
		kgo.TransactionalID("ipwarden-"+c.Group+"-"+c.Instance), kgo.TransactionTimeout(time.Minute))
	if s.session, err = kgo.NewGroupTransactSession(options...); err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	return s, nil
}

// Serial says that a transaction ends before the next begins.
func (s *Session) Serial() bool { return true }

// mostPause is how long Read waits after transactions that came to nothing, at most.
const mostPause = 5 * time.Second

// Read waits for events and begins a transaction.
func (s *Session) Read(ctx context.Context, most worker.Bound) (*worker.Batch, error) {
	if s.ended > 0 { // what keeps one from ending keeps the next
		pause := time.NewTimer(min(100*time.Millisecond<<min(s.ended-1, 10), mostPause))
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	b, _, err := batchOf(ctx, s.session.PollRecords(ctx, most.Messages))
	if b == nil {
		return nil, err
	}
	s.failed.Store(false)
	begun := s.session.Begin()
	if begun != nil {
		s.failed.Store(true)
		s.told(fmt.Errorf("kafka: a transaction cannot begin: %w", begun))
	}
	b.Commit = func(ctx context.Context) error {
		how := kgo.TryCommit
		if s.failed.Load() {
			how = kgo.TryAbort
		}
		done, err := s.session.End(ctx, how)
		if done && err == nil {
			s.ended = 0
			return nil
		}
		s.ended++
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			s.told(fmt.Errorf("kafka: a transaction did not end: %w", err))
		}
		return fmt.Errorf("kafka: %w", worker.ErrAgain)
	}
	return b, nil
}

// Output writes to a topic in the session's transactions.
func (s *Session) Output(topic string, most int) *Output {
	return &Output{client: s.session.Client(), topic: topic, most: most, failed: &s.failed, told: s.told}
}

// Lag is how many events wait for the group.
func (s *Session) Lag(ctx context.Context) (int64, error) {
	return lag(ctx, s.session.Client())
}

// Close leaves the group. What was not committed is not there.
func (s *Session) Close() error {
	s.session.Close()
	return nil
}
