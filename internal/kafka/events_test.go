package kafka

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ipwarden/ipwarden/internal/worker"
	"github.com/ipwarden/ipwarden/internal/worker/workertest"
	"github.com/ipwarden/ipwarden/ipwardentest"
)

// eventsPatience is longer than anything here takes.
const eventsPatience = 2 * time.Minute

// put produces values, with keys of so many.
func put(t *testing.T, c *kfake.Cluster, topic string, keys int, values []string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for i, v := range values {
		client.Produce(t.Context(), &kgo.Record{Topic: topic, Key: fmt.Append(nil, i%keys), Value: []byte(v)}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// read reads what is committed in a topic, so many at least, and what comes in a
// moment after.
func read(t *testing.T, c *kfake.Cluster, topic string, n int) (all []*kgo.Record) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), eventsPatience)
	defer cancel()
	for len(all) < n && ctx.Err() == nil {
		all = append(all, client.PollFetches(ctx).Records()...)
	}
	more, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	return append(all, client.PollFetches(more).Records()...)
}

// distinct is read until so many different events are there, each perhaps twice.
func distinct(t *testing.T, c *kfake.Cluster, topic string, n int) (all []*kgo.Record) {
	t.Helper()
	for end := time.Now().Add(eventsPatience); ; {
		all = read(t, c, topic, n)
		ids := map[string]bool{}
		for _, r := range all {
			ids[message(r).ID] = true
		}
		if len(ids) >= n || time.Now().After(end) {
			return all
		}
	}
}

func TestEventsIn(t *testing.T) {
	workertest.TestInput(t, func(t *testing.T) workertest.Source {
		c := brokers(t, kfake.SeedTopics(1, "events"))
		return workertest.Source{
			Put: func(t *testing.T, values []string) { put(t, c, "events", 1, values) },
			Open: func(t *testing.T) worker.Input {
				in, err := NewInput(EventsConfig{URL: urlOf(c), Topics: []string{"events"}, Group: "w"})
				if err != nil {
					t.Fatal(err)
				}
				return in
			},
			Lags: true,
		}
	})
}

func TestEventsOut(t *testing.T) {
	workertest.TestOutput(t, func(t *testing.T) workertest.Sink {
		c := brokers(t, kfake.SeedTopics(1, "out"))
		o, err := NewOutput(EventsConfig{URL: urlOf(c)}, "out", 100_000)
		if err != nil {
			t.Fatal(err)
		}
		return workertest.Sink{Output: o, Written: func(t *testing.T) (all []string) {
			for _, r := range read(t, c, "out", 4) {
				all = append(all, string(r.Value))
			}
			return all
		}, TooLarge: 200_000}
	})
}

// running is a worker from one topic to another, once or at least once.
type running struct {
	stop func()
	done chan error
	once sync.Once
}

func start(t *testing.T, c *kfake.Cluster, instance string, exactly bool) *running {
	t.Helper()
	cfg := EventsConfig{URL: urlOf(c), Topics: []string{"events"}, Group: "w", Instance: instance}
	w := worker.Config{Source: func() worker.Answers { return worker.Answers{Source: ipwardentest.Sample()} }, To: []string{"out"}, Batch: worker.Bound{Messages: 50}, Drain: time.Minute}
	var closers []func() error
	if exactly {
		s, err := NewSession(cfg, mostRecord, func(err error) { t.Logf("%s: %v", instance, err) })
		if err != nil {
			t.Fatal(err)
		}
		w.Input, w.Outputs, w.Dead = s, map[string]worker.Output{"out": s.Output("out", mostRecord)}, s.Output("dead", mostRecord)
		closers = append(closers, s.Close)
	} else {
		in, err := NewInput(cfg)
		if err != nil {
			t.Fatal(err)
		}
		out, err1 := NewOutput(cfg, "out", mostRecord)
		dead, err2 := NewOutput(cfg, "dead", mostRecord)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		w.Input, w.Outputs, w.Dead = in, map[string]worker.Output{"out": out}, dead
		closers = append(closers, in.Close, out.Close, dead.Close)
	}
	made, err := worker.New(w)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{done: make(chan error, 1)}
	go func() { r.done <- made.Run(ctx) }()
	r.stop = func() {
		r.once.Do(func() {
			cancel()
			if err := <-r.done; err != nil {
				t.Errorf("%s: %v", instance, err)
			}
			for _, c := range closers {
				if err := c(); err != nil {
					t.Errorf("%s: %v", instance, err)
				}
			}
		})
	}
	t.Cleanup(r.stop)
	return r
}

// Workers come and go while events are read, and brokers refuse some requests: every
// event comes out, those of a key in their order; and once each in transactions.
func TestRebalance(t *testing.T) {
	for _, exactly := range []bool{false, true} {
		t.Run(fmt.Sprintf("exactly=%v", exactly), func(t *testing.T) {
			c := brokers(t, kfake.NumBrokers(2), kfake.SeedTopics(4, "events", "out", "dead"))
			const events = 3000
			var mu sync.Mutex // guards faults
			faults := map[int16]int{}
			for _, key := range []int16{int16(kmsg.Produce), int16(kmsg.Fetch), int16(kmsg.OffsetCommit)} {
				c.ControlKey(key, func(req kmsg.Request) (kmsg.Response, error, bool) {
					c.KeepControl()
					mu.Lock()
					defer mu.Unlock()
					if faults[key]++; faults[key]%17 == 3 {
						return nil, errors.New("the connection is lost"), true
					}
					return nil, nil, false
				})
			}
			var values []string
			for i := range events {
				v := fmt.Sprintf(`{"n":%d,"ip":"8.8.8.8"}`, i)
				if i%100 == 7 {
					v = fmt.Sprintf(`{"n":%d,"ip":null}`, i)
				}
				values = append(values, v)
			}
			a := start(t, c, "a", exactly)
			put(t, c, "events", 20, values[:1000])
			b := start(t, c, "b", exactly)
			put(t, c, "events", 20, values[1000:2000])
			a.stop()
			d := start(t, c, "c", exactly)
			put(t, c, "events", 20, values[2000:])
			got, dead := distinct(t, c, "out", events-events/100), distinct(t, c, "dead", events/100)
			b.stop()
			d.stop()
			check(t, got, events-events/100, exactly)
			check(t, dead, events/100, exactly)
			for _, r := range dead {
				if !strings.Contains(string(r.Value), `"reason":"null"`) {
					t.Errorf("a dead letter: %s", r.Value)
				}
			}
		})
	}
}

// check looks whether every event is there, in the order of its key.
func check(t *testing.T, got []*kgo.Record, want int, exactly bool) {
	t.Helper()
	ids, last := map[string]bool{}, map[string]string{}
	first := map[string][]string{} // of each key, ids as they come for the first time
	for _, r := range got {
		id := message(r).ID
		if ids[id] && exactly {
			t.Errorf("%s is there twice", id)
		}
		if !ids[id] {
			first[string(r.Key)] = append(first[string(r.Key)], id)
		}
		ids[id], last[string(r.Key)] = true, id
	}
	if len(ids) != want {
		t.Errorf("%d events are there, of %d", len(ids), want)
	}
	for key, ids := range first {
		if !slices.IsSortedFunc(ids, func(a, b string) int { return offsetOf(t, a) - offsetOf(t, b) }) {
			t.Errorf("events of the key %s are out of order: %q", key, ids)
		}
	}
}

func offsetOf(t *testing.T, id string) (n int) {
	t.Helper()
	if _, err := fmt.Sscanf(id[strings.LastIndexByte(id, '/')+1:], "%d", &n); err != nil {
		t.Fatal(id, err)
	}
	return n
}

// What keeps a transaction from ending is told, and the next one waits.
func TestTransactionTold(t *testing.T) {
	c := brokers(t, kfake.SeedTopics(1, "events"))
	put(t, c, "events", 1, []string{`{"n":1}`})
	var mu sync.Mutex // guards told
	var told []string
	s, err := NewSession(EventsConfig{URL: urlOf(c), Topics: []string{"events"}, Group: "w", Instance: "a"}, mostRecord, func(err error) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, err.Error())
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), eventsPatience)
	defer cancel()
	b, err := s.Read(ctx, worker.Bound{Messages: 10})
	for ; b == nil && ctx.Err() == nil; b, err = s.Read(ctx, worker.Bound{Messages: 10}) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Output("absent", mostRecord).Write(ctx, []worker.Event{{ID: "a", Value: []byte("{}")}}); err != nil {
		t.Error(err)
	}
	if err := b.Commit(ctx); !errors.Is(err, worker.ErrAgain) {
		t.Errorf("the commit said %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(told) == 0 || !strings.Contains(told[0], "absent") {
		t.Errorf("%q was told", told)
	}
	if s.ended != 1 {
		t.Errorf("%d transactions came to nothing", s.ended)
	}
}

// A topic that takes less than max_bytes: what is too large for it is a dead letter, of
// which the beginning is kept where the letter is too large as well; all else comes out.
func TestTopicTakesLess(t *testing.T) {
	for _, exactly := range []bool{false, true} {
		t.Run(fmt.Sprintf("exactly=%v", exactly), func(t *testing.T) {
			c := brokers(t, kfake.SeedTopics(2, "events", "out", "dead"), kfake.BrokerConfigs(map[string]string{"message.max.bytes": "4000"}))
			const events, every = 120, 40
			client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.DefaultProduceTopic("events"))
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			for i := range events {
				v := fmt.Sprintf(`{"n":%d,"ip":"8.8.8.8"}`, i)
				if i%every == 7 {
					v = fmt.Sprintf(`{"n":%d,"ip":"8.8.8.8","pad":"%s"}`, i, noise(3700))
				}
				// Alone: so the broker takes it.
				if err := client.ProduceSync(t.Context(), &kgo.Record{Key: fmt.Append(nil, i%5), Value: []byte(v)}).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			w := start(t, c, "a", exactly)
			got, dead := distinct(t, c, "out", events-events/every), distinct(t, c, "dead", events/every)
			if !exactly { // what was behind a batch that is too large comes again, all of it: the last counts
				got = last(got)
				for end := time.Now().Add(eventsPatience); !ordered(t, got) && time.Now().Before(end); {
					got = last(read(t, c, "out", events-events/every))
				}
			}
			w.stop()
			check(t, got, events-events/every, exactly)
			check(t, dead, events/every, exactly)
			for _, r := range dead {
				l, err := worker.ReadLetter(r.Value)
				if err != nil || l.Reason != worker.Refused || !l.Cut || l.Output != "out" || !strings.Contains(l.Detail, "max_bytes") || len(l.Value) > 1024 || !strings.HasPrefix(l.Value, `{"n":`) {
					t.Errorf("a dead letter: %s, %v", r.Value, err)
				}
			}
		})
	}
}

// last leaves of each event the one that came last.
func last(all []*kgo.Record) []*kgo.Record {
	seen := map[string]bool{}
	slices.Reverse(all)
	all = slices.DeleteFunc(all, func(r *kgo.Record) bool {
		id := message(r).ID
		twice := seen[id]
		seen[id] = true
		return twice
	})
	slices.Reverse(all)
	return all
}

// ordered reports whether the events of each key are in their order.
func ordered(t *testing.T, all []*kgo.Record) bool {
	t.Helper()
	was := map[string]int{}
	for _, r := range all {
		key, n := string(r.Key), offsetOf(t, message(r).ID)
		if n < was[key] {
			return false
		}
		was[key] = n
	}
	return true
}

// noise is text that cannot be packed.
func noise(n int) string {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"[r.IntN(62)]
	}
	return string(b)
}
