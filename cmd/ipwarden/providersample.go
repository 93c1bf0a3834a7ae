package main

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden"
)

// sampler asks a provider about some of the addresses that are looked up, and
// compares: its answers do not count.
type sampler struct {
	p     *runningProvider
	addrs chan netip.Addr
	ended chan struct{}
	done  atomic.Bool
	total comparison
	drops atomic.Uint64
}

// sampleQueue is how many addresses wait to be compared; more are dropped.
const sampleQueue = 256

// sampler returns the one that a provider has already, or a new one.
func (a *asking) sampler(p *runningProvider, here func(context.Context, netip.Addr) (ipwarden.Record, error)) *sampler {
	if a != nil {
		for _, s := range a.samplers {
			if s.p == p {
				return s
			}
		}
	}
	s := &sampler{p: p, addrs: make(chan netip.Addr, sampleQueue), ended: make(chan struct{})}
	go s.run(here)
	return s
}

// offer takes an address into the sample, or not.
func (s *sampler) offer(addr netip.Addr) {
	if rand.IntN(1_000_000) >= s.p.spec.SamplePerMillion {
		return
	}
	select {
	case s.addrs <- addr:
	default:
		s.drops.Add(1)
	}
}

func (s *sampler) stop() {
	if s.done.CompareAndSwap(false, true) {
		close(s.ended)
	}
}

// run compares until it is stopped.
func (s *sampler) run(here func(context.Context, netip.Addr) (ipwarden.Record, error)) {
	for {
		select {
		case <-s.ended:
			return
		case addr := <-s.addrs:
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			s.one(ctx, addr, here)
			cancel()
		}
	}
}

func (s *sampler) one(ctx context.Context, addr netip.Addr, here func(context.Context, netip.Addr) (ipwarden.Record, error)) {
	ours, err := here(ctx, addr)
	if err != nil || ours.Traits().Has(ipwarden.Bogon) {
		return
	}
	theirs, err := s.p.cached.Lookup(ctx, addr)
	s.total.add(ours, theirs, err)
}
