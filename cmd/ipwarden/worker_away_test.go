package main

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// The brokers go away and come back while a worker runs, twice. It goes on by itself:
// every event comes out, under one id, and in transactions once.
func TestWorkerBrokersAway(t *testing.T) {
	for _, once := range []bool{false, true} {
		t.Run(fmt.Sprintf("exactly once %v", once), func(t *testing.T) {
			b := newWorkerBench(t)
			addr := proxytest.FreeAddr(t)
			_, text, _ := net.SplitHostPort(addr)
			port, err := strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			var c *kfake.Cluster
			start := func() {
				t.Helper()
				eventual(t, "the brokers start", func() bool { // the address is its own, and may be let go of a moment later
					c, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.DataDir(filepath.Join(b.dir, "brokers")), kfake.SeedTopics(3, "events", "out", "dead"))
					return err == nil
				})
			}
			start()
			t.Cleanup(func() { c.Close() })
			client, err := kgo.NewClient(kgo.SeedBrokers(addr))
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			const events = 20_000
			for i := range events {
				client.Produce(t.Context(), &kgo.Record{Topic: "events", Key: fmt.Append(nil, i%50), Value: fmt.Appendf(nil, `{"n":%d,"ip":"185.220.101.%d"}`, i, i%250)}, func(_ *kgo.Record, err error) {
					if err != nil {
						t.Error(err)
					}
				})
			}
			if err := client.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			config := b.config("kafka.yaml", strings.ReplaceAll(fmt.Sprintf(`
input: {kafka: {url: $KAFKA, topics: [events], instance: one, session: 6s}}
outputs: {out: {kafka: {url: $KAFKA, topic: out}}}
dead_letters: {kafka: {url: $KAFKA, topic: dead}}
exactly_once: %v
batch: 100
`, once), "$KAFKA", "kafka://"+addr))
			reader, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumeTopics("out"), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			ctx, cancel := context.WithTimeout(t.Context(), workerPatience)
			defer cancel()
			ids := map[int]string{} // by number
			read := func(until int) {
				t.Helper()
				for len(ids) < until {
					for _, r := range reader.PollFetches(ctx).Records() {
						o := outOfJSON(t, r.Value)
						if id, again := ids[o.N]; again && (once || id != o.Ipwarden.ID) {
							t.Errorf("event %d is there twice, as %s and %s", o.N, id, o.Ipwarden.ID)
						}
						ids[o.N] = o.Ipwarden.ID
					}
					if ctx.Err() != nil {
						t.Fatalf("%d events are there, of %d", len(ids), until)
					}
				}
			}
			cmd := b.start("worker", "--config", config, "--dataset", smallWorld(t))
			for _, enough := range []int{events / 10, events / 3} {
				read(enough)
				c.Close()
				start()
			}
			read(events)
			b.quit(cmd)
		})
	}
}
