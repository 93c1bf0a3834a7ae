package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ipwarden/ipwarden/internal/nats"
	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// workerPatience is longer than anything here takes.
const workerPatience = 3 * time.Minute

// eventual waits until something holds; what it asks waits itself, or is asked again
// soon.
func eventual(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.NewTimer(workerPatience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not so after %v: %s", workerPatience, what)
		}
	}
}

// workerBench is a NATS server that can be stopped and started again, and the program.
type workerBench struct {
	t            *testing.T
	dir, program string
	addr         string
	server       *nats.Server
	js           jetstream.JetStream
}

func newWorkerBench(t *testing.T) *workerBench {
	t.Helper()
	b := &workerBench{t: t, dir: t.TempDir(), addr: proxytest.FreeAddr(t)}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b.program = filepath.Join(b.dir, "ipwarden") // under that name the test is the program
	if err := os.Symlink(self, b.program); err != nil {
		t.Fatal(err)
	}
	b.serve()
	t.Cleanup(func() { b.server.Close() })
	nc, err := client.Connect("nats://w:secret@"+b.addr, client.MaxReconnects(-1), client.ReconnectWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if b.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	b.stream("EVENTS", "events.>")
	b.stream("OUT", "out")
	return b
}

func (b *workerBench) serve() {
	b.t.Helper()
	var err error
	eventual(b.t, "the server starts", func() bool { // its address is its own, and may be let go of a moment later
		b.server, err = nats.Serve(nats.ServerConfig{Dir: filepath.Join(b.dir, "stream"), Listen: b.addr, User: "w", Password: "secret"})
		return err == nil
	})
}

func (b *workerBench) stream(name, subject string) {
	b.t.Helper()
	if _, err := b.js.CreateStream(b.t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{subject}, Storage: jetstream.FileStorage, Duplicates: time.Hour}); err != nil {
		b.t.Fatal(err)
	}
}

// config writes a configuration.
func (b *workerBench) config(name, text string) string {
	b.t.Helper()
	text = strings.ReplaceAll(text, "$NATS", "nats://w:secret@"+b.addr)
	name = filepath.Join(b.dir, name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return name
}

// start starts the program.
func (b *workerBench) start(args ...string) *exec.Cmd {
	b.t.Helper()
	cmd := exec.Command(b.program, args...)
	cmd.Dir, cmd.Env = b.dir, append(os.Environ(), "XDG_DATA_HOME="+filepath.Join(b.dir, "home"))
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended, unless the test has failed
		_ = cmd.Wait()
		if b.t.Failed() {
			b.t.Logf("%v said: %.4000s", args, said.String())
		}
	})
	return cmd
}

// quit ends the program as an init system does.
func (b *workerBench) quit(cmd *exec.Cmd) {
	b.t.Helper()
	if err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()); err != nil {
		b.t.Errorf("%v ends with %v", cmd.Args[1:], err)
	}
}

// last is how many messages a stream has.
func (b *workerBench) last(stream string) uint64 {
	ctx, cancel := context.WithTimeout(b.t.Context(), 2*time.Second)
	defer cancel()
	s, err := b.js.Stream(ctx, stream)
	if err != nil {
		return 0
	}
	return s.CachedInfo().State.Msgs
}

// out is what came out.
type out struct {
	N        int    `json:"n"`
	Value    string `json:"value"`
	ID       string `json:"id"`
	Reason   string `json:"reason"`
	Ipwarden struct {
		ID       string   `json:"id"`
		Rules    []string `json:"rules"`
		Location struct {
			CountryCode string `json:"country_code"`
		} `json:"location"`
	} `json:"ipwarden"`
}

// all reads a stream from its beginning.
func (b *workerBench) all(stream string) (all []out) {
	b.t.Helper()
	n := b.last(stream)
	c, err := b.js.OrderedConsumer(b.t.Context(), stream, jetstream.OrderedConsumerConfig{})
	if err != nil {
		b.t.Fatal(err)
	}
	pull, err := c.Messages()
	if err != nil {
		b.t.Fatal(err)
	}
	defer pull.Stop()
	for range n {
		m, err := pull.Next(jetstream.NextMaxWait(workerPatience))
		if err != nil {
			b.t.Fatal(err)
		}
		all = append(all, outOfJSON(b.t, m.Data()))
	}
	return all
}

func outOfJSON(t *testing.T, b []byte) (o out) {
	t.Helper()
	if err := json.Unmarshal(b, &o); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return o
}

func readLetters(t *testing.T, name string) (all []out) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		all = append(all, outOfJSON(t, line))
	}
	return all
}

// badEvents are what is no event, by the reason of its dead letter.
var badEvents = map[string]string{
	"missing": `{"n":1}`, "null": `{"ip":null}`, "not_text": `{"ip":17}`, "not_address": `{"ip":"010.0.0.1"}`,
	"not_json": "{\"ip\":\"8.8.8.8\"", "too_long": `{"ip":"8.8.8.8","x":"` + strings.Repeat("y", 70_000) + `"}`,
}

// A worker that is killed at any moment, and whose server is stopped and started, has
// put out every event once and in order in the end, and every dead letter.
func TestWorkerKilled(t *testing.T) {
	b := newWorkerBench(t)
	world := smallWorld(t)
	const events = 12_000
	var reasons []string
	for r := range badEvents {
		reasons = append(reasons, r)
	}
	bad := map[string]string{} // reason by id
	for i := range events {
		v := fmt.Sprintf(`{"n":%d,"ip":"185.220.101.%d:443"}`, i, i%250)
		if i%40 == 0 {
			r := reasons[i/40%len(reasons)]
			v = badEvents[r]
			bad[fmt.Sprintf("nats:EVENTS/%d", i+1)] = r
		}
		if _, err := b.js.PublishAsync(fmt.Sprintf("events.%d", i%7), []byte(v), jetstream.WithStallWait(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	<-b.js.PublishAsyncComplete()
	config := b.config("worker.yaml", `
input: {nats: {url: $NATS, stream: EVENTS}}
outputs: {out: {nats: {url: $NATS, subject: out}}}
dead_letters: {file: {path: dead.jsonl}}
max_bytes: 64KiB
batch: 100
`)
	worker := func() *exec.Cmd { return b.start("worker", "--config", config, "--dataset", world) }
	good := uint64(events - len(bad))
	for round := range uint64(6) {
		cmd := worker()
		eventual(t, "events come out", func() bool { return b.last("OUT") >= good*(round+1)/9 })
		if round == 2 { // the server goes away as well, while it works
			b.server.Close()
			b.serve()
			eventual(t, "events come out after the server is back", func() bool { return b.last("OUT") >= good*(round+2)/9 })
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	cmd := worker()
	eventual(t, "all comes out", func() bool { return b.last("OUT") >= good })
	b.quit(cmd)
	all := b.all("OUT")
	if len(all) != int(good) {
		t.Fatalf("%d came out, and there are %d", len(all), good)
	}
	at := 0
	for _, o := range all {
		for bad[fmt.Sprintf("nats:EVENTS/%d", at+1)] != "" {
			at++
		}
		if o.N != at || o.Ipwarden.ID != fmt.Sprintf("nats:EVENTS/%d", at+1) {
			t.Fatalf("event %d with the id %s came where event %d was to come", o.N, o.Ipwarden.ID, at)
		}
		at++
	}
	told := map[string]string{}
	for _, l := range readLetters(t, filepath.Join(b.dir, "dead.jsonl")) {
		told[l.ID] = l.Reason
	}
	for id, reason := range bad {
		if told[id] != reason {
			t.Errorf("the dead letter of %s says %q, and it is %s", id, told[id], reason)
		}
	}
	if len(told) != len(bad) {
		t.Errorf("there are %d dead letters, of %d", len(told), len(bad))
	}
}

// Events whose address stands elsewhere than was said are dead letters, and come out
// with the ids they had when they are put back after the configuration was mended. Rules
// send what is told to an output of its own.
func TestWorkerReplay(t *testing.T) {
	for _, dead := range []string{"file: {path: dead.jsonl}", "nats: {url: $NATS, subject: dead, stream: DEAD}"} {
		kind, _, _ := strings.Cut(dead, ":")
		t.Run(kind, func(t *testing.T) {
			b := newWorkerBench(t)
			world := smallWorld(t)
			const events = 300
			for i := range events {
				if _, err := b.js.Publish(t.Context(), fmt.Sprintf("events.%d", i%7), fmt.Appendf(nil, `{"n":%d,"client":{"ip":"8.8.8.8"},"type":"t%d"}`, i, i%3)); err != nil {
					t.Fatal(err)
				}
			}
			b.stream("FLAGS", "flags")
			text := `
input: {nats: {url: $NATS, stream: EVENTS}}
event: {ip: PATH}
outputs: {out: {nats: {url: $NATS, subject: out}}, flags: {nats: {url: $NATS, subject: flags}}}
to: [out]
rules: [{name: two, when: event.type == "t2" && ip.location.country_code == "US", to: [flags], emit: flag_user}]
dead_letters: {` + dead + `}
`
			wrong := b.config("wrong.yaml", strings.ReplaceAll(text, "PATH", "ip"))
			right := b.config("right.yaml", strings.ReplaceAll(text, "PATH", "client.ip"))
			cmd := b.start("worker", "--config="+wrong, "--dataset", world)
			eventual(t, "all are dead letters", func() bool {
				if kind == "nats" {
					return b.last("DEAD") >= events
				}
				text, _ := os.ReadFile(filepath.Join(b.dir, "dead.jsonl"))
				return bytes.Count(text, []byte("\n")) >= events
			})
			b.quit(cmd)
			replay := exec.Command(b.program, "worker", "replay", "--config", right, "--idle", "1s")
			replay.Dir = b.dir
			said, err := replay.CombinedOutput()
			if err != nil || string(said) != "300 events are put back, 0 are not\n" {
				t.Fatalf("%v: %s", err, said)
			}
			cmd = b.start("worker", "--config", right, "--dataset", world)
			eventual(t, "all comes out", func() bool { return b.last("OUT") >= events && b.last("FLAGS") >= events/3 })
			b.quit(cmd)
			ids := map[string]bool{}
			for _, o := range b.all("OUT") {
				ids[o.Ipwarden.ID] = true
				if want := fmt.Sprintf("nats:EVENTS/%d", o.N+1); o.Ipwarden.ID != want || o.Ipwarden.Location.CountryCode != "US" {
					t.Errorf("event %d: %+v; its id was %s", o.N, o.Ipwarden, want)
				}
				if (o.N%3 == 2) != (fmt.Sprint(o.Ipwarden.Rules) == "[two]") {
					t.Errorf("event %d has the rules %q", o.N, o.Ipwarden.Rules)
				}
			}
			if len(ids) != events {
				t.Errorf("%d ids", len(ids))
			}
			if n := b.last("FLAGS"); n != events/3 {
				t.Errorf("%d are flagged", n)
			}
		})
	}
}
