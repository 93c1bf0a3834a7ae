// Package sqs carries events of a worker over queues of Amazon SQS, and of what speaks
// its protocol.
//
// The call most people want:
//
//	in, err := sqs.NewInput(sqs.Config{Queue: "https://sqs.eu-west-1.amazonaws.com/123456789012/logins"})
//
// Who asks is known as everywhere with AWS: from the environment, the shared files, or
// the role of the pod, the container or the machine. A queue delivers again what is not deleted in time, and now
// and then what is: the id stays the same. It refuses a queue that is no URL.
package sqs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden/internal/worker"
)

// attributeID is the attribute with the id of an event that a worker has written.
const attributeID = "ipwarden-id"

// Config says which queue.
type Config struct {
	Queue    string // its URL; one that ends with .fifo keeps the order of its groups
	Region   string // default: what the URL or the environment says
	Endpoint string // of something else than AWS
	// Visibility is how long a message is nobody else's; default 1m. It is extended
	// while it is worked on.
	Visibility time.Duration
	MaxBytes   int // of a message; default 256 KiB
}

// Kind is what configurations of workers say of it.
func Kind() worker.Kind {
	return worker.Kind{
		Name: "sqs",
		Keys: []worker.Key{
			{Name: "queue", Shape: worker.URL, Needed: true, Words: []string{"https", "http"}, Example: "https://sqs.eu-west-1.amazonaws.com/123456789012/logins"},
			{Name: "region", Shape: worker.Text, Example: "eu-west-1"},
			{Name: "endpoint", Shape: worker.URL, Words: []string{"https", "http"}, Example: "http://127.0.0.1:9324"},
			{Name: "visibility", Side: worker.In, Shape: worker.Duration, Default: "1m", Low: int64(15 * time.Second), High: int64(12 * time.Hour), Example: "1m"},
			{Name: "max_bytes", Side: worker.Out, Shape: worker.Size, Default: "256KiB", Low: 1 << 10, High: 1 << 20, Example: "256KiB"},
		},
		Input:  func(v worker.Values) (worker.Input, error) { return NewInput(configOf(v)) },
		Output: func(v worker.Values) (worker.Output, error) { return NewOutput(configOf(v)) },
		Back:   func(v worker.Values) (worker.Output, error) { return newBack(configOf(v)) },
		Dead:   func(v worker.Values) (worker.Input, error) { return NewInput(configOf(v)) },
	}
}

func configOf(v worker.Values) Config {
	return Config{Queue: v.Text("queue"), Region: v.Text("region"), Endpoint: v.Text("endpoint"), Visibility: v.Duration("visibility"), MaxBytes: int(v.Int("max_bytes"))}
}

// connect fills in what is not said. It asks nobody.
func (c *Config) connect(getenv func(string) string) (*caller, error) {
	u, err := url.Parse(c.Queue)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || strings.Trim(u.Path, "/") == "" {
		return nil, fmt.Errorf("sqs: %q is no queue's URL; one is such as https://sqs.eu-west-1.amazonaws.com/123456789012/logins", c.Queue)
	}
	profile, err := readProfile(getenv)
	if err != nil {
		return nil, fmt.Errorf("sqs: %w", err)
	}
	parts := strings.Split(u.Hostname(), ".")
	own := len(parts) > 3 && parts[0] == "sqs" // not of another shape, such as that of the oldest
	if c.Region == "" && own {
		c.Region = parts[1]
	}
	for _, region := range []string{getenv("AWS_REGION"), getenv("AWS_DEFAULT_REGION"), profile.values["region"]} {
		if c.Region == "" {
			c.Region = region
		}
	}
	if c.Region == "" {
		return nil, errors.New("sqs: which region the queue is in is not known; say region, such as region: eu-west-1")
	}
	for _, at := range []string{getenv("AWS_ENDPOINT_URL_SQS"), getenv("AWS_ENDPOINT_URL")} {
		if c.Endpoint == "" {
			c.Endpoint = at
		}
	}
	if c.Endpoint == "" {
		if c.Endpoint = u.Scheme + "://" + u.Host; !own && strings.Contains(u.Hostname(), ".amazonaws.com") {
			c.Endpoint = "https://sqs." + c.Region + suffix(c.Region)
		}
	}
	if at, err := url.Parse(c.Endpoint); err != nil || at.Host == "" || at.Scheme != "https" && at.Scheme != "http" {
		return nil, fmt.Errorf("sqs: the endpoint %q is no URL; one is such as http://127.0.0.1:9324", c.Endpoint)
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = 256 << 10
	}
	if c.Visibility == 0 {
		c.Visibility = time.Minute
	}
	who, err := chain(profile, getenv, c.Region)
	if err != nil {
		return nil, fmt.Errorf("sqs: %w", err)
	}
	return newCaller(strings.TrimRight(c.Endpoint, "/")+"/", c.Region, who), nil
}

// fifo: the queue keeps the order of its groups.
func (c *Config) fifo() bool { return strings.HasSuffix(c.Queue, ".fifo") }

// Input takes messages.
type Input struct {
	c      Config
	client *caller
}

var (
	_ worker.Input   = (*Input)(nil)
	_ worker.Lagging = (*Input)(nil)
)

// NewInput returns an Input; it asks the queue when it is read.
func NewInput(c Config) (*Input, error) {
	client, err := c.connect(os.Getenv)
	if err != nil {
		return nil, err
	}
	return &Input{c, client}, nil
}

// Bounds of the protocol, and how many questions are asked at once.
const (
	tens    = 10
	callers = 8
)

// receive asks once. The server may wait for a message for so many seconds.
func (in *Input) receive(ctx context.Context, most, wait int) ([]message, error) {
	var answer receiveAnswer
	err := in.client.do(ctx, "ReceiveMessage", time.Duration(wait)*time.Second, receiveAsk{
		QueueUrl: in.c.Queue, MaxNumberOfMessages: min(most, tens), WaitTimeSeconds: wait,
		VisibilityTimeout: int(in.c.Visibility.Seconds()), MessageAttributeNames: []string{attributeID},
		MessageSystemAttributeNames: []string{"SentTimestamp", "MessageGroupId"},
	}, &answer)
	return answer.Messages, err
}

// Read waits for events. When ten are there, more are asked for, by several at once.
func (in *Input) Read(ctx context.Context, most worker.Bound) (*worker.Batch, error) {
	got, err := in.receive(ctx, most.Messages, 10)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("sqs: %w", err)
	}
	if room := min(most.Messages-len(got), most.Bytes/(256<<10)); len(got) == tens && room > 0 {
		parts := make([][]message, min((room+tens-1)/tens, callers))
		var asks sync.WaitGroup
		for i := range parts {
			asks.Go(func() {
				// What fails is asked for again by the next Read.
				parts[i], _ = in.receive(ctx, min(room-i*tens, tens), 0)
			})
		}
		asks.Wait()
		for _, p := range parts {
			got = append(got, p...)
		}
	}
	if len(got) == 0 {
		return nil, nil
	}
	name := in.c.Queue[strings.LastIndexByte(in.c.Queue, '/')+1:]
	b := &worker.Batch{}
	for i := range got {
		m := &got[i]
		w := worker.Message{Position: "sqs:" + name + "/" + m.MessageId, Key: m.Attributes["MessageGroupId"], Value: []byte(m.Body)}
		if w.ID = m.MessageAttributes[attributeID].StringValue; w.ID == "" || len(w.ID) > 256 {
			w.ID = w.Position
		}
		if ms, err := strconv.ParseInt(m.Attributes["SentTimestamp"], 10, 64); err == nil {
			w.Time = time.UnixMilli(ms)
		}
		b.Messages = append(b.Messages, w)
	}
	left := got // not deleted yet
	b.Commit = func(ctx context.Context) error {
		var again error
		for len(left) > 0 {
			part := left[:min(len(left), tens)]
			if err := in.remove(ctx, part); errors.Is(err, worker.ErrAgain) {
				again = err
			} else if err != nil {
				return err
			}
			left = left[len(part):]
		}
		return again
	}
	var extended atomic.Int64
	extended.Store(time.Now().UnixNano())
	b.Extend = func() {
		if now := time.Now().UnixNano(); now-extended.Load() > int64(in.c.Visibility)/3 {
			extended.Store(now)
			in.extend(got)
		}
	}
	return b, nil
}

// remove deletes messages.
func (in *Input) remove(ctx context.Context, messages []message) error {
	ask := batchAsk{QueueUrl: in.c.Queue}
	for i := range messages {
		ask.Entries = append(ask.Entries, entry{Id: strconv.Itoa(i), ReceiptHandle: messages[i].ReceiptHandle})
	}
	var answer batchAnswer
	err := in.client.do(ctx, "DeleteMessageBatch", 0, ask, &answer)
	if err != nil {
		return fmt.Errorf("sqs: %w", err)
	}
	for _, f := range answer.Failed {
		if f.SenderFault { // it was too late: the message is somebody else's
			return fmt.Errorf("sqs: %w: %s", worker.ErrAgain, short(f.Message, 300))
		}
		err = fmt.Errorf("sqs: a message cannot be deleted: %s", short(f.Message, 300))
	}
	return err
}

// extend keeps messages from others for longer.
func (in *Input) extend(messages []message) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for len(messages) > 0 {
		part := messages[:min(len(messages), tens)]
		messages = messages[len(part):]
		ask := batchAsk{QueueUrl: in.c.Queue}
		for i := range part {
			ask.Entries = append(ask.Entries, entry{Id: strconv.Itoa(i), ReceiptHandle: part[i].ReceiptHandle, VisibilityTimeout: int(in.c.Visibility.Seconds())})
		}
		_ = in.client.do(ctx, "ChangeMessageVisibilityBatch", 0, ask, &batchAnswer{}) // else it comes again, with its id
	}
}

// Lag is about how many messages are in the queue.
func (in *Input) Lag(ctx context.Context) (int64, error) {
	var answer attributesAnswer
	if err := in.client.do(ctx, "GetQueueAttributes", 0, attributesAsk{
		QueueUrl: in.c.Queue, AttributeNames: []string{"ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"},
	}, &answer); err != nil {
		return 0, err
	}
	n, err1 := strconv.ParseInt(answer.Attributes["ApproximateNumberOfMessages"], 10, 64)
	m, err2 := strconv.ParseInt(answer.Attributes["ApproximateNumberOfMessagesNotVisible"], 10, 64)
	return n + m, errors.Join(err1, err2)
}

// Close ends it. What was not deleted is somebody else's when its time is over.
func (in *Input) Close() error { return nil }

// Output sends messages.
type Output struct {
	c      Config
	client *caller
	back   bool
}

var _ worker.Output = (*Output)(nil)

// NewOutput returns an Output.
func NewOutput(c Config) (*Output, error) {
	client, err := c.connect(os.Getenv)
	if err != nil {
		return nil, err
	}
	return &Output{c: c, client: client}, nil
}

// newBack puts messages back: a queue does not leave them out for their ids.
func newBack(c Config) (*Output, error) {
	o, err := NewOutput(c)
	if err == nil {
		o.back = true
	}
	return o, err
}

// Write sends events: those of a queue that keeps the order one batch after the other.
func (o *Output) Write(ctx context.Context, events []worker.Event) (refused []worker.Refusal, err error) {
	type part struct{ from, to int }
	var parts []part
	from, size := 0, 0
	for i := range events {
		n := len(events[i].Value) + len(events[i].ID) + len(attributeID) + 16
		if n > o.c.MaxBytes {
			if i > from {
				parts = append(parts, part{from, i})
			}
			refused = append(refused, worker.Refusal{Index: i, Reason: fmt.Sprintf("%d bytes are more than a message has, %d", n, o.c.MaxBytes)})
			from, size = i+1, 0
			continue
		}
		if i-from == tens || size+n > o.c.MaxBytes {
			parts = append(parts, part{from, i})
			from, size = i, 0
		}
		size += n
	}
	if from < len(events) {
		parts = append(parts, part{from, len(events)})
	}
	limit := callers
	if o.c.fifo() {
		limit = 1
	}
	slots := make(chan struct{}, limit)
	var mu sync.Mutex // guards refused and failed
	var failed error
	var sends sync.WaitGroup
	for _, p := range parts {
		slots <- struct{}{}
		mu.Lock()
		stop := failed != nil
		mu.Unlock()
		if stop {
			<-slots
			break
		}
		sends.Go(func() {
			defer func() { <-slots }()
			no, err := o.send(ctx, events[p.from:p.to])
			mu.Lock()
			defer mu.Unlock()
			for _, r := range no {
				refused = append(refused, worker.Refusal{Index: p.from + r.Index, Reason: r.Reason})
			}
			if err != nil && failed == nil {
				failed = err
			}
		})
	}
	sends.Wait()
	if failed != nil {
		return nil, fmt.Errorf("sqs: %w", failed)
	}
	return refused, nil
}

// send sends at most ten.
func (o *Output) send(ctx context.Context, events []worker.Event) (refused []worker.Refusal, err error) {
	ask := batchAsk{QueueUrl: o.c.Queue}
	for i := range events {
		e := &events[i]
		body := string(e.Value)
		one := entry{Id: strconv.Itoa(i), MessageBody: &body, MessageAttributes: map[string]attribute{attributeID: {DataType: "String", StringValue: e.ID}}}
		if o.c.fifo() {
			group := sha256.Sum256([]byte(e.Key)) // whose alphabet is narrower than a key's
			one.MessageGroupId = hex.EncodeToString(group[:16])
			id := e.ID
			if o.back {
				id += "/back/" + strconv.FormatInt(time.Now().UnixNano(), 10)
			}
			sum := sha256.Sum256([]byte(id))
			one.MessageDeduplicationId = hex.EncodeToString(sum[:])
		}
		ask.Entries = append(ask.Entries, one)
	}
	var answer batchAnswer
	if err := o.client.do(ctx, "SendMessageBatch", 0, ask, &answer); err != nil {
		return nil, err
	}
	for _, f := range answer.Failed {
		if !f.SenderFault {
			return nil, fmt.Errorf("%s: %s", short(f.Code, 100), short(f.Message, 300))
		}
		n, err := strconv.Atoi(f.Id)
		if err != nil || n < 0 || n >= len(events) {
			return nil, errors.New("an answer about a message that was not sent")
		}
		refused = append(refused, worker.Refusal{Index: n, Reason: short(f.Code, 100) + ": " + short(f.Message, 300)})
	}
	return refused, nil
}

// Close ends it.
func (o *Output) Close() error { return nil }
