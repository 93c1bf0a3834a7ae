package kafka

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ipwarden/ipwarden/internal/usage"
)

// Questions about leases are in one topic a region, and answers in another: who asks
// waits for the record with the number of its question. Both are read from their ends:
// what is old is of no use.

// leaseQuestion is what one node asks.
type leaseQuestion struct {
	Number  string              `json:"number"`
	Node    uint64              `json:"node"`
	Reports []usage.LeaseReport `json:"reports"`
}

// mostReports bounds a question, and what is read of one.
const mostReports = 2000

// keepLeases is how long questions and answers stay.
const keepLeases = 10 * time.Minute

func questions(region string) string { return "ipwarden.leases." + name(region) + ".asked" }
func answers(region string) string   { return "ipwarden.leases." + name(region) + ".given" }

// GiveLeases answers questions for a region's leases until the connection is closed.
func (c *UsageConn) GiveLeases(region string, grant func(node uint64, reports []usage.LeaseReport) []usage.LeaseGrant) error {
	return c.start(func() {
		c.follow(questions(region), func() {}, func(r *kgo.Record) {
			var q leaseQuestion
			if json.Unmarshal(r.Value, &q) != nil || len(q.Reports) > mostReports || q.Number == "" {
				return // it is not from a node of ours, or from one of another version
			}
			answer, err := json.Marshal(grant(q.Node, q.Reports))
			if err != nil {
				return
			}
			ctx, cancel := context.WithTimeout(c.ctx, 2*time.Second)
			defer cancel()
			// Who asks asks again.
			_ = c.client.ProduceSync(ctx, &kgo.Record{Topic: answers(region), Key: []byte(q.Number), Value: answer, Context: ctx}).FirstErr()
		}, answers(region))
	})
}

func (c *UsageConn) start(run func()) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errors.New("kafka: the connection is closed")
	}
	c.running.Go(run)
	return nil
}

// follow calls take with what comes into a topic from now on, until the connection is
// closed, and ready when it can. The topics are made when they are not there.
func (c *UsageConn) follow(topic string, ready func(), take func(*kgo.Record), also ...string) {
	for c.ctx.Err() == nil {
		c.followOnce(topic, ready, take, also)
		t := time.NewTimer(patient)
		select {
		case <-c.ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
}

func (c *UsageConn) followOnce(topic string, ready func(), take func(*kgo.Record), also []string) {
	ask, cancel := context.WithTimeout(c.ctx, 5*time.Second)
	defer cancel()
	for _, t := range append([]string{topic}, also...) {
		if c.makeTopic(ask, t, keepLeases) != nil {
			return
		}
	}
	_, end, err := c.span(ask, c.client, topic)
	if err != nil {
		return
	}
	client, err := kgo.NewClient(append(c.options[:len(c.options):len(c.options)],
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(end)}}),
		kgo.FetchMaxWait(time.Second), kgo.FetchMaxBytes(8<<20), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
	)...)
	if err != nil {
		return
	}
	defer client.CloseAllowingRebalance()
	ready()
	for {
		fetches := client.PollFetches(c.ctx)
		if c.ctx.Err() != nil {
			return
		}
		_ = each(fetches, func(r *kgo.Record) error { take(r); return nil }) // take does not fail
		for _, e := range fetches.Errors() {
			if !kerr.IsRetriable(e.Err) {
				return
			}
		}
	}
}

// asker asks the lessor of one region.
type asker struct {
	ready chan struct{} // closed when answers are read
	once  sync.Once

	mu    sync.Mutex
	waits map[string]chan []byte // guarded by mu, by number of the question
}

func (c *UsageConn) asker(region string) (*asker, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.askers[region]
	if a != nil {
		return a, nil
	}
	if c.closed {
		return nil, errors.New("kafka: the connection is closed")
	}
	a = &asker{ready: make(chan struct{}), waits: map[string]chan []byte{}}
	c.askers[region] = a
	c.running.Go(func() {
		c.follow(answers(region), func() { a.once.Do(func() { close(a.ready) }) }, a.take, questions(region))
	})
	return a, nil
}

func (a *asker) take(r *kgo.Record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if to := a.waits[string(r.Key)]; to != nil {
		delete(a.waits, string(r.Key))
		to <- r.Value // it has room for one
	}
}

// AskLeases asks the lessor of a region.
func (c *UsageConn) AskLeases(ctx context.Context, region string, node uint64, reports []usage.LeaseReport) ([]usage.LeaseGrant, error) {
	a, err := c.asker(region)
	if err != nil {
		return nil, err
	}
	select {
	case <-a.ready:
	case <-ctx.Done():
		return nil, fmt.Errorf("kafka: the lessor of %q cannot be asked: %w", region, ctx.Err())
	}
	var all []usage.LeaseGrant
	for len(reports) > 0 {
		part := reports[:min(len(reports), mostReports)]
		reports = reports[len(part):]
		grants, err := c.ask(ctx, a, region, leaseQuestion{Node: node, Reports: part})
		if err != nil {
			return nil, fmt.Errorf("kafka: the lessor of %q: %w", region, err)
		}
		all = append(all, grants...)
	}
	return all, nil
}

func (c *UsageConn) ask(ctx context.Context, a *asker, region string, q leaseQuestion) ([]usage.LeaseGrant, error) {
	q.Number = rand.Text()
	data, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	answer := make(chan []byte, 1)
	a.mu.Lock()
	a.waits[q.Number] = answer
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		delete(a.waits, q.Number)
		a.mu.Unlock()
	}()
	if err := c.client.ProduceSync(ctx, &kgo.Record{Topic: questions(region), Value: data, Context: ctx}).FirstErr(); err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case data := <-answer:
		var grants []usage.LeaseGrant
		if err := json.Unmarshal(data, &grants); err != nil || len(grants) != len(q.Reports) {
			return nil, errors.New("the answer cannot be read")
		}
		return grants, nil
	}
}
