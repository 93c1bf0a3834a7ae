package main

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/sethvargo/go-limiter/memorystore"
	"github.com/ulule/limiter/v3"
	ulule "github.com/ulule/limiter/v3/drivers/store/memory"
	"golang.org/x/time/rate"

	"github.com/ipwarden/ipwarden/limit"
)

// asked makes a contestant of what all callers may share.
func asked(take func(i int) bool) limitContestant {
	return func() func(int) bool { return take }
}

// texts are the keys of the contestants that want strings, made beforehand.
func (c *limitCase) texts() []string {
	all := map[uint32]string{}
	keys := make([]string, len(c.events))
	for i, n := range c.events {
		if all[n] == "" {
			all[n] = addressOf(n).String()
		}
		keys[i] = all[n]
	}
	return keys
}

func openSethvargo(c *limitCase) (limitContestant, error) {
	s, err := memorystore.New(&memorystore.Config{Tokens: uint64(c.rate), Interval: time.Minute})
	if err != nil {
		return nil, err
	}
	keys, ctx := c.texts(), context.Background()
	return asked(func(i int) bool {
		_, _, _, ok, err := s.Take(ctx, keys[i])
		return ok && err == nil
	}), nil
}

func openTimeRate(c *limitCase) (limitContestant, error) {
	var mu sync.Mutex
	limiters := map[netip.Addr]*rate.Limiter{}
	return asked(func(i int) bool {
		a := addressOf(c.events[i])
		mu.Lock()
		l := limiters[a]
		if l == nil {
			l = rate.NewLimiter(rate.Limit(float64(c.rate)/60), int(c.rate))
			limiters[a] = l
		}
		mu.Unlock()
		return l.Allow()
	}), nil
}

func openUlule(c *limitCase) (limitContestant, error) {
	l := limiter.New(ulule.NewStore(), limiter.Rate{Period: time.Minute, Limit: int64(c.rate)})
	keys, ctx := c.texts(), context.Background()
	return asked(func(i int) bool {
		got, err := l.Get(ctx, keys[i])
		return err == nil && !got.Reached
	}), nil
}

// rateOf is ipwarden's of a case.
func (c *limitCase) rateOf() *limit.Rate {
	return &limit.Rate{Name: "address", Limit: c.rate, Window: time.Minute}
}

// keys are ipwarden's, made beforehand.
func (c *limitCase) keys() []limit.Key {
	h := limit.NewHasher([16]byte{1})
	salt := h.Salt(limit.AppendPart(nil, "address"))
	keys := make([]limit.Key, len(c.events))
	for i, n := range c.events {
		keys[i] = h.SumPrefix(salt, netip.PrefixFrom(addressOf(n), 32))
	}
	return keys
}

// takesOf asks a Limiter.
func takesOf(c *limitCase, l limit.Limiter) limitContestant {
	keys, r, ctx := c.keys(), c.rateOf(), context.Background()
	return func() func(int) bool {
		// As in the gate, they live as long as the caller.
		reqs, results := []limit.Request{{Rate: r, Cost: 1}}, make([]limit.Result, 1)
		return func(i int) bool {
			reqs[0].Key = keys[i]
			return l.Take(ctx, reqs, results) == nil && results[0].Allowed
		}
	}
}

func openMemory(c *limitCase) (limitContestant, error) {
	m, err := limit.NewMemory(limit.MemoryConfig{})
	if err != nil {
		return nil, err
	}
	return takesOf(c, m), nil
}

func openMemoryAddr(c *limitCase) (limitContestant, error) {
	m, err := limit.NewMemory(limit.MemoryConfig{})
	if err != nil {
		return nil, err
	}
	h := limit.NewHasher([16]byte{1})
	salt := h.Salt(limit.AppendPart(nil, "address"))
	r, ctx := c.rateOf(), context.Background()
	return func() func(int) bool {
		reqs, results := []limit.Request{{Rate: r, Cost: 1}}, make([]limit.Result, 1)
		return func(i int) bool {
			networks, _ := limit.Networks(addressOf(c.events[i]))
			reqs[0].Key = h.SumPrefix(salt, networks[0])
			return m.Take(ctx, reqs, results) == nil && results[0].Allowed
		}
	}, nil
}

func openMemoryAt(c *limitCase) (limitContestant, error) {
	m, err := limit.NewMemory(limit.MemoryConfig{})
	if err != nil {
		return nil, err
	}
	keys, r, now := c.keys(), c.rateOf(), time.Now()
	return func() func(int) bool {
		reqs, results := []limit.Request{{Rate: r, Cost: 1}}, make([]limit.Result, 1)
		return func(i int) bool {
			reqs[0].Key = keys[i]
			return m.TakeAt(now, reqs, results) == nil && results[0].Allowed
		}
	}, nil
}
