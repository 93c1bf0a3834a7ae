package config

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/source"
)

var updateAsking = flag.Bool("update-asking", false, "write testdata/bad/asking.txt anew; read the difference")

func TestHowProvidersAreAsked(t *testing.T) {
	f, err := os.Open("testdata/good/asking.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := ReadProvidersFile(f, "providers.yaml", environment("IPINFO_TOKEN", "tok"))
	if err != nil {
		t.Fatal(err)
	}
	want := Asking{
		TTL: source.TTL{Threat: time.Hour, Negative: 5 * time.Minute}, Stale: -1, ByAddress: true, MemoryBytes: 64 << 20,
		Timeout: 800 * time.Millisecond, Concurrency: 4, Retries: 1, Hedge: 300 * time.Millisecond,
		Breaker:   Breaker{Failures: 0.3, SlowShare: 0.05, Slow: 500 * time.Millisecond, Window: 30 * time.Second, Pause: 2 * time.Second, Least: 10},
		MaxPerDay: 50000, PricePerLookup: 0.001, SamplePerMillion: 10000,
	}
	if got.Providers[0].Asking != want {
		t.Errorf("got  %+v\nwant %+v", got.Providers[0].Asking, want)
	}
	if got.Intelligence != ipwarden.IntelligenceSync || got.Budget != 80*time.Millisecond || strings.Join(got.Merge.Order, " ") != "dataset ipinfo" ||
		got.Merge.Rules["location"] != source.Newest || got.Merge.Rules["security.is_vpn"] != source.Majority {
		t.Errorf("%+v", got)
	}
}

func TestMistakesInHowProvidersAreAsked(t *testing.T) {
	f, err := os.Open("testdata/bad/asking.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = ReadProvidersFile(f, "providers.yaml", environment("IPINFO_TOKEN", "tok"))
	if err == nil {
		t.Fatal("no mistakes")
	}
	if *updateAsking {
		if err := os.WriteFile("testdata/bad/asking.txt", []byte(err.Error()+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, _ := os.ReadFile("testdata/bad/asking.txt")
	if got := err.Error() + "\n"; got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
