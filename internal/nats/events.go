package nats

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ipwarden/ipwarden/internal/worker"
)

// IDHeader has the id of an event that a worker has written, so that one that is put
// back keeps it.
const IDHeader = "Ipwarden-Id"

// InputConfig says which events are read.
type InputConfig struct {
	Stream  string
	Subject string // of the stream's; default all
	// Consumer is the durable name that remembers how far this is. It is made when it
	// is not there, and begins with the oldest event.
	Consumer string
	// Shared lets several processes read with one consumer. Then events that were
	// read by one that died come later, out of order.
	Shared bool
}

// Input reads events of a stream. Unless it is Shared it reads them in their order,
// whatever happens: it goes back to the first that is not committed when it begins and
// when something was lost on the way.
type Input struct {
	c        *Conn
	cfg      InputConfig
	out      worker.Outstanding
	again    atomic.Bool // go back
	each     bool        // messages are acknowledged one by one
	messages chan item
	pulling  jetstream.MessagesContext // nil: not yet
	ended    chan struct{}             // of the goroutine that pulls
	last     uint64                    // sequence of the consumer that was read
	consumer atomic.Pointer[jetstream.Consumer]
}

type item struct {
	m   jetstream.Msg
	err error
}

var (
	_ worker.Input   = (*Input)(nil)
	_ worker.Lagging = (*Input)(nil)
	_ worker.Output  = (*Output)(nil)
)

// Input reads what cfg says. The connection is closed with it.
func (c *Conn) Input(cfg InputConfig) *Input { return &Input{c: c, cfg: cfg} }

// How long a question to the server may take, how long it keeps a message of a shared
// consumer for who has it, and how long Read waits for one more message.
const (
	askFor   = 5 * time.Second
	ackWait  = 30 * time.Second
	linger   = 2 * time.Millisecond
	ackNever = 24 * time.Hour // who reads alone goes back by itself
)

// begin makes the consumer, and goes back to what is not committed.
func (in *Input) begin(ctx context.Context, most worker.Bound) error {
	in.end()
	if err := in.out.Wait(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	config := jetstream.ConsumerConfig{
		Durable: in.cfg.Consumer, AckPolicy: jetstream.AckAllPolicy, AckWait: ackNever, FilterSubject: in.cfg.Subject,
		MaxAckPending: -1, Description: "ipwarden: a worker",
	}
	if in.cfg.Shared {
		config.AckPolicy, config.AckWait, config.MaxAckPending = jetstream.AckExplicitPolicy, ackWait, max(8*most.Messages, 20_000)
	}
	if in.cfg.Stream == "" {
		name, err := in.c.js.StreamNameBySubject(ctx, in.cfg.Subject)
		if err != nil {
			return fmt.Errorf("nats: no stream has the subject %s: %w", in.cfg.Subject, err)
		}
		in.cfg.Stream = name
	}
	if !in.cfg.Shared {
		stream, err := in.c.js.Stream(ctx, in.cfg.Stream)
		if err == nil && stream.CachedInfo().Config.Retention == jetstream.WorkQueuePolicy {
			in.each, config.AckPolicy = true, jetstream.AckExplicitPolicy // a work queue takes no other
		}
	}
	consumer, err := in.c.js.CreateOrUpdateConsumer(ctx, in.cfg.Stream, config)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("nats: there is no stream %s; 'nats stream add' makes one", in.cfg.Stream)
	}
	if err != nil {
		return fmt.Errorf("nats: the consumer %s of the stream %s: %w", in.cfg.Consumer, in.cfg.Stream, err)
	}
	if info := consumer.CachedInfo(); !in.cfg.Shared && info.NumAckPending > 0 {
		if _, err := in.c.js.ResetConsumer(ctx, in.cfg.Stream, in.cfg.Consumer); err != nil {
			return fmt.Errorf("nats: the consumer %s cannot go back to what was not committed (it takes a server of 2.14 or newer; 'shared' does without): %w", in.cfg.Consumer, err)
		}
	}
	in.pulling, err = consumer.Messages(jetstream.PullMaxMessagesWithBytesLimit(most.Messages, max(most.Bytes, int(in.c.nc.MaxPayload())+64<<10)), jetstream.PullHeartbeat(time.Second))
	if err != nil {
		return fmt.Errorf("nats: %w", err)
	}
	in.consumer.Store(&consumer)
	in.last = 0
	in.messages, in.ended = make(chan item, 64), make(chan struct{})
	go func(pulling jetstream.MessagesContext, messages chan<- item, ended chan<- struct{}) {
		defer close(ended)
		for {
			m, err := pulling.Next()
			messages <- item{m, err}
			if err != nil {
				close(messages)
				return
			}
		}
	}(in.pulling, in.messages, in.ended)
	return nil
}

// end ends the pulling.
func (in *Input) end() {
	if in.pulling == nil {
		return
	}
	in.pulling.Stop()
	for range in.messages { // what was pulled and not read comes again
	}
	<-in.ended
	in.pulling = nil
}

// Read waits for events.
func (in *Input) Read(ctx context.Context, most worker.Bound) (*worker.Batch, error) {
	if in.again.Swap(false) || in.pulling == nil {
		if err := in.begin(ctx, most); err != nil {
			in.again.Store(true)
			return nil, err
		}
	}
	var taken []jetstream.Msg
	b := &worker.Batch{}
	bytes := 0
	var wait *time.Timer
	for len(taken) < most.Messages && bytes < most.Bytes {
		var next item
		select {
		case next = <-in.messages:
		default:
			if len(taken) == 0 {
				select {
				case next = <-in.messages:
				case <-ctx.Done():
					return nil, ctx.Err()
				}
				break
			}
			if wait == nil {
				wait = time.NewTimer(linger)
				defer wait.Stop()
			}
			select {
			case next = <-in.messages:
			case <-wait.C:
				return in.batch(b, taken), nil
			case <-ctx.Done():
				return in.batch(b, taken), nil
			}
		}
		if next.err != nil {
			in.again.Store(true)
			if len(taken) == 0 {
				return nil, fmt.Errorf("nats: the stream %s: %w", in.cfg.Stream, next.err)
			}
			break
		}
		meta, err := next.m.Metadata()
		if err != nil {
			return nil, fmt.Errorf("nats: %w", err)
		}
		if !in.cfg.Shared && in.last != 0 && meta.Sequence.Consumer != in.last+1 {
			in.again.Store(true) // one was lost on the way, with the connection
			break
		}
		in.last = meta.Sequence.Consumer
		m := worker.Message{ID: next.m.Headers().Get(IDHeader), Key: next.m.Subject(), Origin: next.m.Subject(), Value: next.m.Data(), Time: meta.Timestamp}
		m.Position = fmt.Sprintf("nats:%s/%d", in.cfg.Stream, meta.Sequence.Stream)
		if m.ID == "" || len(m.ID) > 256 {
			m.ID = m.Position
		}
		bytes += len(m.Value)
		taken, b.Messages = append(taken, next.m), append(b.Messages, m)
	}
	if len(taken) == 0 {
		return nil, nil
	}
	return in.batch(b, taken), nil
}

// batch says how the messages are committed.
func (in *Input) batch(b *worker.Batch, taken []jetstream.Msg) *worker.Batch {
	in.out.Add()
	b.Commit = func(ctx context.Context) error {
		defer in.out.Done()
		var err error
		first := taken[:len(taken)-1]
		if in.cfg.Shared {
			first = taken
		}
		if in.cfg.Shared || in.each {
			for _, m := range first {
				err = errors.Join(err, m.Ack())
			}
		}
		if !in.cfg.Shared && err == nil { // the last one stands for all before it
			ctx, cancel := context.WithTimeout(ctx, askFor)
			defer cancel()
			err = taken[len(taken)-1].DoubleAck(ctx)
		}
		if err != nil {
			// Whether the server knows cannot be told. It is asked from where it is.
			in.again.Store(true)
			return fmt.Errorf("nats: %w: %w", worker.ErrAgain, err)
		}
		return nil
	}
	if in.cfg.Shared {
		b.Extend = func() {
			for _, m := range taken {
				_ = m.InProgress() // or it comes again
			}
		}
	}
	return b
}

// Lag is how many events wait.
func (in *Input) Lag(ctx context.Context) (int64, error) {
	c := in.consumer.Load()
	if c == nil {
		return 0, errors.New("nats: not connected yet")
	}
	info, err := (*c).Info(ctx)
	if err != nil {
		return 0, err
	}
	return int64(info.NumPending) + int64(info.NumAckPending), nil
}

// Close ends reading and the connection.
func (in *Input) Close() error {
	in.end()
	in.c.Close()
	return nil
}

// OutputConfig says where events are written.
type OutputConfig struct {
	Subject string
	// Stream is made when it is not there, with Subject as its own. Default: there is
	// one already.
	Stream string
	// Back writes each event to the subject that it came from, and does not leave out
	// what was written before.
	Back bool
}

// Output writes events. Their ids are message ids, by which a stream leaves out those
// that it has had in the last two minutes, or as long as it is told to remember.
type Output struct {
	c    *Conn
	js   jetstream.JetStream
	cfg  OutputConfig
	made bool
}

// atOnce is how many events are on their way without an acknowledgement.
const atOnce = 4096

// Output writes where cfg says. The connection is closed with it.
func (c *Conn) Output(cfg OutputConfig) (*Output, error) {
	js, err := jetstream.New(c.nc, jetstream.WithPublishAsyncMaxPending(atOnce), jetstream.WithPublishAsyncTimeout(askFor))
	if err != nil {
		return nil, err
	}
	return &Output{c: c, js: js, cfg: cfg, made: cfg.Stream == ""}, nil
}
