package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// committed reads what is committed in a topic so far, in n events at least.
func committed(t *testing.T, c *kfake.Cluster, topic string, n int) (all []string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), workerPatience)
	defer cancel()
	for len(all) < n {
		for _, r := range client.PollFetches(ctx).Records() {
			all = append(all, string(r.Value))
		}
		if ctx.Err() != nil {
			t.Fatalf("%d events are in %s, of %d", len(all), topic, n)
		}
	}
	more, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	for _, r := range client.PollFetches(more).Records() {
		all = append(all, string(r.Value))
	}
	return all
}

// A worker in transactions that is killed at any moment: whoever reads what is
// committed sees every event once, and every dead letter.
func TestWorkerExactlyOnce(t *testing.T) {
	b := newWorkerBench(t)
	world := smallWorld(t)
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "events", "out", "dead"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	const events, bad = 20_000, 200
	for i := range events {
		v := fmt.Appendf(nil, `{"n":%d,"ip":"185.220.101.%d"}`, i, i%250)
		if i%(events/bad) == 0 {
			v = fmt.Appendf(nil, `{"n":%d,"ip":%d}`, i, i)
		}
		client.Produce(t.Context(), &kgo.Record{Topic: "events", Key: fmt.Append(nil, i%50), Value: v}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	config := b.config("kafka.yaml", strings.ReplaceAll(`
input: {kafka: {url: $KAFKA, topics: [events], instance: one, session: 6s}}
outputs: {out: {kafka: {url: $KAFKA, topic: out}}}
dead_letters: {kafka: {url: $KAFKA, topic: dead}}
exactly_once: true
batch: 100
`, "$KAFKA", "kafka://"+strings.Join(c.ListenAddrs(), ",")))
	for _, enough := range []int{events / 10, events / 2} {
		cmd := b.start("worker", "--config", config, "--dataset", world)
		committed(t, c, "out", enough)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	cmd := b.start("worker", "--config", config, "--dataset", world)
	got := committed(t, c, "out", events-bad)
	dead := committed(t, c, "dead", bad)
	b.quit(cmd)
	seen := map[int]bool{}
	for _, v := range got {
		o := outOfJSON(t, []byte(v))
		if seen[o.N] {
			t.Errorf("event %d is there twice", o.N)
		}
		seen[o.N] = true
	}
	if len(got) != events-bad || len(dead) != bad {
		t.Errorf("%d events and %d dead letters are there, of %d and %d", len(got), len(dead), events-bad, bad)
	}
	ids := map[string]bool{}
	for _, v := range dead {
		o := outOfJSON(t, []byte(v))
		if o.Reason != "not_text" || ids[o.ID] {
			t.Errorf("a dead letter: %s", v)
		}
		ids[o.ID] = true
	}
}
