package main

import (
	"context"
	"math"
	"os/exec"
	"testing"
)

// Whatever is asked, contestants of one rate admit as many: what is timed is the
// same work.
func TestLimitContestantsAgree(t *testing.T) {
	_, missing := exec.LookPath("redis-server")
	events := limitWorkload()
	parts := map[uint32]map[string]float64{}
	for _, k := range limitKinds() {
		if k.redis && missing != nil {
			t.Logf("%s: redis-server is not installed", k.name)
			continue
		}
		c := &limitCase{rate: k.rate, events: events}
		if k.redis {
			addr, _, stop, err := startRedis(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
			c.redis = addr
		}
		one, err := k.open(c)
		if err != nil {
			t.Fatal(err)
		}
		const asks = 50_000
		n, err := askAll(one, k.callers, asks, 0)
		if err != nil {
			t.Fatal(err)
		}
		if parts[k.rate] == nil {
			parts[k.rate] = map[string]float64{}
		}
		parts[k.rate][k.name] = float64(n) / asks
	}
	for rate, all := range parts {
		least, most := math.Inf(1), 0.0
		for _, p := range all {
			least, most = min(least, p), max(most, p)
		}
		if most > least*1.03 {
			t.Errorf("at %d a minute contestants differ in what they admit: %v", rate, all)
		}
	}
}
