package nats

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ipwarden/ipwarden/internal/worker"
	"github.com/ipwarden/ipwarden/internal/worker/workertest"
)

// stream makes a stream.
func stream(t *testing.T, c *Conn, name, subject string) jetstream.Stream {
	t.Helper()
	s, err := c.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{subject}, Storage: jetstream.FileStorage, MaxMsgSize: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// written is what a stream has.
func written(t *testing.T, s jetstream.Stream) (all []string) {
	t.Helper()
	info, err := s.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for n := info.State.FirstSeq; n <= info.State.LastSeq; n++ {
		m, err := s.GetMsg(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(m.Data))
	}
	return all
}

func TestEventsIn(t *testing.T) {
	for name, queue := range map[string]bool{"alone": false, "shared": false, "queue": true} {
		shared := name == "shared"
		t.Run(name, func(t *testing.T) {
			workertest.TestInput(t, func(t *testing.T) workertest.Source {
				s := serve(t, ServerConfig{Dir: t.TempDir()})
				c := connect(t, Config{Server: s})
				if queue {
					if _, err := c.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"events.>"}, Retention: jetstream.WorkQueuePolicy}); err != nil {
						t.Fatal(err)
					}
				} else {
					stream(t, c, "EVENTS", "events.>")
				}
				return workertest.Source{
					Put: func(t *testing.T, values []string) {
						for i, v := range values {
							if _, err := c.js.Publish(t.Context(), fmt.Sprintf("events.%d", i%3), []byte(v)); err != nil {
								t.Fatal(err)
							}
						}
					},
					Open: func(t *testing.T) worker.Input {
						return connect(t, Config{Server: s}).Input(InputConfig{Stream: "EVENTS", Consumer: "w", Shared: shared})
					},
					Unordered: shared, Slow: shared, Lags: true,
				}
			})
		})
	}
}

func TestEventsOut(t *testing.T) {
	workertest.TestOutput(t, func(t *testing.T) workertest.Sink {
		s := serve(t, ServerConfig{Dir: t.TempDir()})
		c := connect(t, Config{Server: s})
		made := stream(t, c, "OUT", "out")
		o, err := c.Output(OutputConfig{Subject: "out", Stream: "OUT"})
		if err != nil {
			t.Fatal(err)
		}
		return workertest.Sink{Output: o, Written: func(t *testing.T) []string { return written(t, made) }, Once: true, TooLarge: 200_000}
	})
}

// A stream that is not there is made where it is named, and told about where it is not.
func TestEventsStreams(t *testing.T) {
	s := serve(t, ServerConfig{Dir: t.TempDir()})
	c := connect(t, Config{Server: s})
	o, err := c.Output(OutputConfig{Subject: "none"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	events := []worker.Event{{ID: "a", Value: []byte("{}")}}
	if _, err := o.Write(ctx, events); err == nil {
		t.Error("a subject that no stream takes is written to")
	}
	if o, err = c.Output(OutputConfig{Subject: "made", Stream: "MADE"}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Write(ctx, events); err != nil {
		t.Error(err)
	}
	in := c.Input(InputConfig{Stream: "NONE", Consumer: "w"})
	if _, err := in.Read(ctx, worker.Bound{Messages: 1, Bytes: 1000}); err == nil {
		t.Error("a stream that is not there is read")
	}
}

// An event comes to each of two subjects of one stream, and to each once.
func TestEventsSubjects(t *testing.T) {
	s := serve(t, ServerConfig{Dir: t.TempDir()})
	c := connect(t, Config{Server: s})
	made := stream(t, c, "OUT", "out.>")
	events := []worker.Event{{ID: "a", Value: []byte("{}")}}
	for range 2 {
		for _, subject := range []string{"out.all", "out.review"} {
			o, err := c.Output(OutputConfig{Subject: subject})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := o.Write(t.Context(), events); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := written(t, made); len(got) != 2 {
		t.Errorf("%d messages, not 2", len(got))
	}
}

// A message larger than a batch may be comes alone, and stops nothing.
func TestEventsLarge(t *testing.T) {
	s := serve(t, ServerConfig{Dir: t.TempDir()})
	c := connect(t, Config{Server: s})
	if _, err := c.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "IN", Subjects: []string{"in"}}); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{10, 900_000, 10} {
		if _, err := c.js.Publish(t.Context(), "in", make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	in := c.Input(InputConfig{Stream: "IN", Consumer: "w"})
	for n := 0; n < 3; {
		b, err := in.Read(ctx, worker.Bound{Messages: 1000, Bytes: 64 << 10})
		if err != nil {
			t.Fatal(err)
		}
		if b == nil {
			continue
		}
		n += len(b.Messages)
		if err := b.Commit(ctx); err != nil {
			t.Fatal(err)
		}
	}
}
