package challenge

import (
	"math/rand/v2"
	"testing"
	"time"
)

// The oracle is a map that forgets nothing.
func TestSpentIsTheOracles(t *testing.T) {
	const life = time.Minute
	s, all := newSpent(1<<20, life), map[[16]byte]time.Time{}
	rng, now := rand.New(rand.NewPCG(9, 9)), start
	for range 200_000 {
		now = now.Add(time.Duration(rng.IntN(5)) * time.Millisecond)
		if rng.IntN(20_000) == 0 {
			now = now.Add(time.Duration(rng.IntN(200)) * time.Second)
		}
		var id [16]byte
		id[0], id[1] = byte(rng.IntN(256)), byte(rng.IntN(40))
		was, known := all[id]
		first := s.spend(id, now)
		if first && known && now.Sub(was) < life {
			t.Fatalf("%v was spent %v ago", id, now.Sub(was))
		}
		if !first && !known {
			t.Fatalf("%v was never spent", id)
		}
		if first {
			all[id] = now
		}
	}
	if s.forgotten.Load() != 0 {
		t.Error("it forgot")
	}
}

func TestSpentIsBounded(t *testing.T) {
	s := newSpent(1000, time.Minute)
	for i := range 100_000 {
		s.spend([16]byte{byte(i), byte(i >> 8), byte(i >> 16)}, start)
	}
	if n := len(s.now) + len(s.old); n > 1000 || s.forgotten.Load() == 0 {
		t.Errorf("%d entries, %d forgotten", n, s.forgotten.Load())
	}
}
