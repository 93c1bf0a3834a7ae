package main

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// reloads counts those that were refused. Whoever watches it hears of a file that
// is not right while the one before still serves.
type reloads struct{ data, policy, proxies, providers atomic.Uint64 }

// register makes the counts metrics.
func (r *reloads) register(with prometheus.Registerer) {
	for what, n := range map[string]*atomic.Uint64{"data": &r.data, "policy": &r.policy, "proxies": &r.proxies, "providers": &r.providers} {
		with.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "ipwarden_reload_failed_total", Help: "Reloads that were refused, so that what was in use stays.",
			ConstLabels: prometheus.Labels{"of": what},
		}, func() float64 { return float64(n.Load()) }))
	}
}
