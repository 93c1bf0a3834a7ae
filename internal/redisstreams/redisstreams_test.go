package redisstreams

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/ipwarden/ipwarden/internal/proxytest"
	"github.com/ipwarden/ipwarden/internal/worker"
	"github.com/ipwarden/ipwarden/internal/worker/workertest"
	"github.com/ipwarden/ipwarden/ipwardentest"
)

// server is a Redis whose streams are the test's own.
type server struct {
	t    *testing.T
	addr string
	dir  string
	run  *proxytest.Process
}

func serve(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, addr: proxytest.FreeAddr(t), dir: t.TempDir()}
	s.start()
	return s
}

// start starts it with what it had when it was killed.
func (s *server) start() {
	s.run = proxytest.Redis(s.t, s.addr, "--dir", s.dir, "--appendonly", "yes", "--appendfsync", "always", "--appendfilename", "aof-"+filepath.Base(s.dir))
}

// kill ends it at once.
func (s *server) kill() {
	s.run.Signal(syscall.SIGKILL)
	s.run.Stop()
}

func (s *server) config() Config { return Config{URL: "redis://" + s.addr + "/0"} }

// entries are those of a stream.
func (s *server) entries(t *testing.T, stream string) []rueidis.XRangeEntry {
	t.Helper()
	c := s.config()
	client, err := c.connect()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	all, err := client.Do(t.Context(), client.B().Xrange().Key(stream).Start("-").End("+").Build()).AsXRange()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// count is how many entries a stream has; 0 while the server is away.
func (s *server) count(stream string) int64 {
	c := s.config()
	client, err := c.connect()
	if err != nil {
		return 0
	}
	defer client.Close()
	n, _ := client.Do(s.t.Context(), client.B().Xlen().Key(stream).Build()).AsInt64()
	return n
}

func (s *server) put(t *testing.T, stream string, values []string) {
	t.Helper()
	c := s.config()
	client, err := c.connect()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var cmds rueidis.Commands
	for _, v := range values {
		cmds = append(cmds, client.B().Xadd().Key(stream).Id("*").FieldValue().FieldValue("event", v).Build())
	}
	for _, r := range client.DoMulti(t.Context(), cmds...) {
		if err := r.Error(); err != nil {
			t.Fatal(err)
		}
	}
}

func input(t *testing.T, s *server, cfg InputConfig) *Input {
	t.Helper()
	in, err := NewInput(s.config(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func TestInput(t *testing.T) {
	s := serve(t)
	n := 0
	workertest.TestInput(t, func(t *testing.T) workertest.Source {
		n++
		stream := fmt.Sprint("in", n)
		return workertest.Source{
			Put: func(t *testing.T, values []string) { s.put(t, stream, values) },
			Open: func(t *testing.T) worker.Input {
				return input(t, s, InputConfig{Stream: stream, Group: "g", Consumer: "c"})
			},
			Lags: true,
		}
	})
}

func TestOutput(t *testing.T) {
	s := serve(t)
	n := 0
	workertest.TestOutput(t, func(t *testing.T) workertest.Sink {
		n++
		stream := fmt.Sprint("out", n)
		return workertest.Sink{
			Output: NewOutput(s.config(), OutputConfig{Stream: stream, Remember: time.Hour}), Once: true,
			Written: func(t *testing.T) (all []string) {
				for _, e := range s.entries(t, stream) {
					all = append(all, e.FieldValues["event"])
				}
				return all
			},
		}
	})
}

// What a consumer that is gone has read is taken over.
func TestClaim(t *testing.T) {
	s := serve(t)
	s.put(t, "in", []string{"a", "b", "c"})
	gone := input(t, s, InputConfig{Stream: "in", Group: "g", Consumer: "gone"})
	most := worker.Bound{Messages: 10, Bytes: 1 << 20}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		if b, err := gone.Read(ctx, most); err != nil {
			t.Fatal(err)
		} else if b != nil {
			break
		}
	}
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	in := input(t, s, InputConfig{Stream: "in", Group: "g", Consumer: "here", Claim: time.Millisecond})
	defer in.Close()
	for {
		b, err := in.Read(ctx, most)
		if err != nil {
			t.Fatal(err)
		}
		if b == nil {
			continue
		}
		if len(b.Messages) != 3 || string(b.Messages[0].Value) != "a" {
			t.Errorf("%+v", b.Messages)
		}
		return
	}
}

// A server that is killed and started while a worker reads from it and writes to it:
// every event is there once, in order.
func TestServerKilled(t *testing.T) {
	s := serve(t)
	const events = 6000
	var values []string
	for i := range events {
		values = append(values, fmt.Sprintf(`{"n":%d,"ip":"8.8.8.8"}`, i))
	}
	s.put(t, "in", values)
	w, err := worker.New(worker.Config{
		Input:   input(t, s, InputConfig{Stream: "in", Group: "g", Consumer: "c"}),
		Outputs: map[string]worker.Output{"out": NewOutput(s.config(), OutputConfig{Stream: "out", Remember: time.Hour})}, To: []string{"out"},
		Dead:   NewOutput(s.config(), OutputConfig{Stream: "dead"}),
		Source: func() worker.Answers { return worker.Answers{Source: ipwardentest.Sample()} }, Batch: worker.Bound{Messages: 50},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	for _, part := range []int{events / 5, events / 2} {
		proxytest.Eventually(t, "events come out", func() bool { return s.count("out") >= int64(part) })
		s.kill()
		s.start()
	}
	proxytest.Eventually(t, "all come out", func() bool { return s.count("out") >= events })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	var ids []string
	for i, e := range s.entries(t, "out") {
		ids = append(ids, e.FieldValues["id"])
		if want := fmt.Sprintf(`{"n":%d,`, i); e.FieldValues["event"][:len(want)] != want {
			t.Fatalf("entry %d is %s", i, e.FieldValues["event"])
		}
	}
	if slices.Sort(ids); len(slices.Compact(ids)) != events {
		t.Errorf("%d ids of %d events", len(ids), events)
	}
}

// Entries are asked for by how large they were, so that memory is bounded whatever they
// are.
func TestLargeEntries(t *testing.T) {
	s := serve(t)
	var values []string
	for range 200 {
		values = append(values, strings.Repeat("x", 100_000))
	}
	s.put(t, "in", values)
	in := input(t, s, InputConfig{Stream: "in", Group: "g", Consumer: "c"})
	defer in.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for read, batches := 0, 0; read < len(values); {
		b, err := in.Read(ctx, worker.Bound{Messages: 1000, Bytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		if b == nil {
			continue
		}
		if n := len(b.Messages); n > firstCount || batches > 0 && n > 10 {
			t.Errorf("batch %d has %d entries", batches, n)
		}
		read += len(b.Messages)
		batches++
	}
}
