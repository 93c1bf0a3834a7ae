package kafka

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ipwarden/ipwarden/internal/worker"
)

// A Session reads, writes and commits in transactions: what comes out is there once,
// for readers that read what is committed. Its Input and its Outputs belong together.
type Session struct {
	c       EventsConfig
	session *kgo.GroupTransactSession
	failed  atomic.Bool // the transaction must not be gone on with
	learned atomic.Bool // and why it failed will not be so the next time
	commits atomic.Int64
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
	s.learned.Store(false)
	begun := s.session.Begin()
	if begun != nil {
		s.fail(fmt.Errorf("kafka: a transaction cannot begin: %w", begun))
	}
	b.Commit = func(ctx context.Context) error {
		how := kgo.TryCommit
		if s.failed.Load() {
			how = kgo.TryAbort
		}
		done, err := s.session.End(ctx, how)
		if done && err == nil {
			s.ended = 0
			s.commits.Add(1)
			return nil
		}
		if !s.learned.Load() {
			s.ended++
		}
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

// fail says that the transaction must not be gone on with, and tells of the first reason.
func (s *Session) fail(why error) {
	if s.failed.CompareAndSwap(false, true) {
		s.told(why)
	}
}

// Output writes to a topic in the session's transactions.
func (s *Session) Output(topic string, most int) *Output {
	return &Output{client: s.session.Client(), topic: topic, most: most, in: s, large: map[string]int{}}
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
