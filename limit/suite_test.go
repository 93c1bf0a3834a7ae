package limit_test

import (
	"context"
	"testing"

	"github.com/ipwarden/ipwarden/ipwardentest"
	"github.com/ipwarden/ipwarden/limit"
)

func TestMemoryIsALimiter(t *testing.T) {
	m, err := limit.NewMemory(limit.MemoryConfig{Entries: 8192})
	if err != nil {
		t.Fatal(err)
	}
	ipwardentest.TestLimiter(t, m)
}

// alwaysThere is a store in this process. Shared calls it from one goroutine.
type alwaysThere map[limit.Key][3]int64

func (s alwaysThere) Ping(context.Context) error { return nil }

func (s alwaysThere) Exchange(_ context.Context, asks []*limit.Ask) error {
	for _, a := range asks {
		a.Carry(1, func(k limit.Key) (int64, uint32, uint32) {
			return s[k][0], uint32(s[k][1]), uint32(s[k][2])
		}, func(k limit.Key, until int64, current, previous uint32) {
			s[k] = [3]int64{until, int64(current), int64(previous)}
		})
	}
	return nil
}

func TestSharedIsALimiter(t *testing.T) {
	for name, fast := range map[string]bool{"exact": false, "fast": true} {
		t.Run(name, func(t *testing.T) {
			s, err := limit.NewShared(t.Context(), limit.SharedConfig{Store: alwaysThere{}, Fast: fast, Budget: 1e10})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			ipwardentest.TestLimiter(t, s)
		})
	}
}
