package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ipwarden/ipwarden/ipwardentest"
)

func TestConsume(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "logins", "logins-enriched"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// Without a group it begins at the start of the topic.
	kafka, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics("logins-enriched"))
	if err != nil {
		t.Fatal(err)
	}
	defer kafka.Close()
	var in []*kgo.Record
	for _, text := range []string{`{"IP":"8.8.8.8:443","user":"ada"}`, `{"IP":null}`, `{`} {
		in = append(in, &kgo.Record{Topic: "logins", Value: []byte(text)})
	}
	if err := kafka.ProduceSync(ctx, in...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- consume(running, ipwardentest.Sample(), cluster.ListenAddrs()...) }()
	want := []string{
		`{"asn":15169,"country":"US","error":"","login":"{\"IP\":\"8.8.8.8:443\",\"user\":\"ada\"}"}`,
		`{"asn":0,"country":"","error":"missing","login":"{\"IP\":null}"}`,
		`{"asn":0,"country":"","error":"missing","login":"{"}`,
	}
	for len(want) > 0 && ctx.Err() == nil {
		for _, r := range kafka.PollFetches(ctx).Records() {
			if len(want) == 0 || string(r.Value) != want[0] {
				t.Fatalf("%s, want %q", r.Value, want)
			}
			want = want[1:]
		}
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if len(want) > 0 {
		t.Errorf("%d did not come", len(want))
	}
}
