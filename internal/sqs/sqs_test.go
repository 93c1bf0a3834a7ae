package sqs

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/ipwarden/ipwarden/internal/proxytest"
	"github.com/ipwarden/ipwarden/internal/worker"
	"github.com/ipwarden/ipwarden/internal/worker/workertest"
	"github.com/ipwarden/ipwarden/ipwardentest"
)

func output(t *testing.T, c Config) *Output {
	t.Helper()
	o, err := NewOutput(c)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func input(t *testing.T, c Config) *Input {
	t.Helper()
	in, err := NewInput(c)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func put(t *testing.T, f *fake, queue string, values []string) {
	t.Helper()
	o := output(t, f.config(queue))
	o.c.Queue = f.config(queue).Queue
	for i, v := range values {
		if no, err := o.send(t.Context(), []worker.Event{{Value: []byte(v), ID: fmt.Sprintf("p/%d/%s", i, v)}}); err != nil || len(no) > 0 {
			t.Fatal(no, err)
		}
	}
}

func TestInput(t *testing.T) {
	workertest.TestInput(t, func(t *testing.T) workertest.Source {
		f := newFake(t)
		return workertest.Source{
			Put: func(t *testing.T, values []string) { put(t, f, "in", values) },
			Open: func(t *testing.T) worker.Input {
				f.show("in") // the time of who had read before is over
				return input(t, f.config("in"))
			},
			Unordered: true, Lags: true,
		}
	})
}

func TestOutput(t *testing.T) {
	for _, queue := range []string{"out", "out.fifo"} {
		t.Run(queue, func(t *testing.T) {
			workertest.TestOutput(t, func(t *testing.T) workertest.Sink {
				f := newFake(t)
				return workertest.Sink{
					Output: output(t, f.config(queue)), Once: queue == "out.fifo", TooLarge: 300 << 10,
					Written: func(*testing.T) []string {
						all := f.bodies(queue)
						slices.Sort(all) // who sends several at once keeps no order
						return all
					},
				}
			})
		})
	}
}

// A queue that delivers again what was deleted, and is busy now and then: everything
// comes out, and what comes twice has one id.
func TestRedelivered(t *testing.T) {
	f := newFake(t)
	const events = 600
	var values []string
	for i := range events {
		values = append(values, fmt.Sprintf(`{"n":%d,"ip":"8.8.8.8"}`, i))
	}
	put(t, f, "in", values)
	f.twice, f.busy = 5, 41
	w, err := worker.New(worker.Config{
		Input: input(t, f.config("in")), Outputs: map[string]worker.Output{"out": output(t, f.config("out.fifo"))}, To: []string{"out"},
		Dead: output(t, f.config("dead")), Source: func() worker.Answers { return worker.Answers{Source: ipwardentest.Sample()} }, Batch: worker.Bound{Messages: 50},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	proxytest.Eventually(t, "all come out, and nothing is left", func() bool { return len(f.bodies("out.fifo")) >= events && len(f.bodies("in")) == 0 })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := len(f.bodies("out.fifo")); n != events {
		t.Errorf("%d are there of %d: the id of one that came twice differs", n, events)
	}
	if n := len(f.bodies("dead")); n != 0 {
		t.Errorf("%d dead letters", n)
	}
}

func TestRefuses(t *testing.T) {
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	t.Setenv("AWS_CONFIG_FILE", t.TempDir()+"/none")
	for _, c := range []Config{{}, {Queue: "logins"}, {Queue: "https://sqs.example.com"}, {Queue: "http://127.0.0.1:1/1/q"}} {
		if _, err := NewOutput(c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
	if o := output(t, Config{Queue: "https://sqs.eu-west-1.amazonaws.com/1/q"}); o.c.Region != "eu-west-1" {
		t.Errorf("the region is %q", o.c.Region)
	}
}
