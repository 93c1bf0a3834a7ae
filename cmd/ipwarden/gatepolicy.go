package main

import (
	"sync"

	"github.com/ipwarden/ipwarden/internal/shield"
	"github.com/ipwarden/ipwarden/policy"
	"github.com/ipwarden/ipwarden/risk"
)

// ownPolicy is the policy of the file, and what the shield adds to it.
type ownPolicy struct {
	mu      sync.Mutex // guards what is below, and Gate.Use
	program *policy.Program
	risk    *risk.Model
	armed   []shield.Measure
}

// use puts the policy of the file in use, with what the shield adds.
func (r *gateRun) use(p *policy.Program, model *risk.Model) error {
	r.own.mu.Lock()
	defer r.own.mu.Unlock()
	return r.useBoth(p, model, r.own.armed)
}

// armed puts what the shield adds in use.
func (r *gateRun) armed(active []shield.Measure) error {
	r.own.mu.Lock()
	defer r.own.mu.Unlock()
	r.own.armed = active // also for a policy that comes later
	return r.useBoth(r.own.program, r.own.risk, active)
}

// useBoth is both. r.own.mu is held.
func (r *gateRun) useBoth(p *policy.Program, model *risk.Model, active []shield.Measure) error {
	both, err := p.With(moreOf(active))
	if err != nil {
		return err
	}
	if err := r.Use(both, model); err != nil {
		return err
	}
	r.own.program, r.own.risk = p, model
	return nil
}
