// Consumer is a Kafka consumer of one's own that enriches with package enrich: it
// reads log-ins and writes them with what is known of their addresses. Offsets are
// committed after the output is acknowledged, so nothing is lost, and after a crash
// something may come twice. For more than that there is 'ipwarden worker'.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"os"
	"os/signal"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/dataset"
	"github.com/ipwarden/ipwarden/enrich"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ds, err := dataset.Open("world.ipw")
	if err != nil {
		log.Fatal(err)
	}
	if err := consume(ctx, ds, "127.0.0.1:9092"); !errors.Is(err, context.Canceled) {
		log.Fatal(err)
	}
}

func consume(ctx context.Context, src ipwarden.Source, brokers ...string) error {
	e, err := enrich.New(enrich.Config{Source: src})
	if err != nil {
		return err
	}
	kafka, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics("logins"), kgo.ConsumerGroup("enrich"), kgo.BlockRebalanceOnPoll(), kgo.DisableAutoCommit())
	if err != nil {
		return err
	}
	defer kafka.CloseAllowingRebalance()
	for {
		fetched := kafka.PollRecords(ctx, 1000)
		if err := fetched.Err0(); err != nil {
			return err
		}
		in := fetched.Records()
		events, out := make([]enrich.Event, len(in)), make([]*kgo.Record, len(in))
		for i, r := range in {
			var login struct{ IP string }
			_ = json.Unmarshal(r.Value, &login) // what is no JSON has no address either
			events[i].Address = login.IP
		}
		for i, known := range e.Batch(ctx, nil, events) {
			value, _ := json.Marshal(map[string]any{"login": string(in[i].Value), "country": known.Record.CountryCode(), "asn": known.Record.ASNumber(), "error": known.Reason})
			out[i] = &kgo.Record{Topic: "logins-enriched", Key: in[i].Key, Value: value}
		}
		if err := kafka.ProduceSync(ctx, out...).FirstErr(); err != nil {
			return err
		}
		if err := kafka.CommitRecords(ctx, in...); err != nil {
			return err
		}
		kafka.AllowRebalance()
	}
}
