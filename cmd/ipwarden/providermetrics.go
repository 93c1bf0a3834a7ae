package main

import (
	"github.com/prometheus/client_golang/prometheus"
)

// providerMetrics tells of the providers in use. Their names come from the
// operator's file, and are the only labels that are not written here.
type providerMetrics struct{ o *outside }

var byProvider = []string{"provider"}

func providerDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("ipwarden_provider_"+name, help, append(byProvider, labels...), nil)
}

var (
	metricAnswers   = providerDesc("answers_total", "Answers by where they came from: memory, stale, store, asked.", "from")
	metricUnasked   = providerDesc("unasked_total", "Look-ups that were not made: dropped (too many on their way), busy, open (the breaker), spent (the day's).", "why")
	metricErrors    = providerDesc("errors_total", "Look-ups that failed.")
	metricTimeouts  = providerDesc("timeouts_total", "Look-ups that took too long.")
	metricAgain     = providerDesc("again_total", "Look-ups made again: retried, hedged.", "why")
	metricJoined    = providerDesc("joined_total", "Questions that waited for another's look-up: of this process, or of another.", "of")
	metricOpen      = providerDesc("breaker_open", "1 while the provider is left alone.")
	metricRefused   = providerDesc("key_refused", "1 while the provider refuses the key.")
	metricOpened    = providerDesc("breaker_opened_total", "How often it was.")
	metricAbandoned = providerDesc("abandoned", "Look-ups that have not come back though their time is over.")
	metricFlights   = providerDesc("flights", "Look-ups on their way.")
	metricEntries   = providerDesc("cache_entries", "Answers in memory.")
	metricBytes     = providerDesc("cache_bytes", "What they take, roughly.")
	metricStore     = providerDesc("store_errors_total", "Questions to the shared store that failed.")
	metricJunk      = providerDesc("store_junk_total", "Values in the shared store that are none of ours.")
	metricAway      = providerDesc("store_away", "1 while the shared store is left alone.")
	metricSpent     = providerDesc("spent_today", "Look-ups of this node since midnight UTC, where there is a bound.")
	metricCompared  = providerDesc("compared_total", "Addresses of the sample that were compared with the data: compared, failed, dropped.", "result")
	metricAgree     = providerDesc("compared_fields_total", "Fields of the sample: same, differ, ours_only, theirs_only.", "field", "result")

	metricFailOpen = prometheus.NewDesc("ipwarden_provider_failopen_total", "Answers that were given without a provider that failed.", nil, nil)
	metricPending  = prometheus.NewDesc("ipwarden_provider_pending_total", "Answers that were given while a provider was still asked, and those of them after the budget was over.", []string{"after"}, nil)
	metricStrict   = prometheus.NewDesc("ipwarden_provider_strict_failed_total", "Strict look-ups that had to fail.", nil, nil)
)

// register makes the counts metrics.
func (o *outside) register(with prometheus.Registerer) {
	if o != nil {
		with.MustRegister(providerMetrics{o})
	}
}

// Describe is part of prometheus.Collector.
func (m providerMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		metricAnswers, metricUnasked, metricErrors, metricTimeouts, metricAgain, metricJoined, metricOpen, metricRefused, metricOpened, metricAbandoned,
		metricFlights, metricEntries, metricBytes, metricStore, metricJunk, metricAway, metricSpent, metricCompared, metricAgree,
		metricFailOpen, metricPending, metricStrict,
	} {
		to <- d
	}
	for _, d := range dnsblMetrics() {
		to <- d
	}
}

// Collect is part of prometheus.Collector.
func (m providerMetrics) Collect(to chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	yes := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	a := m.o.asks.Load()
	l := a.layered.Stats()
	counter(metricFailOpen, l.FailOpen)
	counter(metricPending, l.Pending-l.Late, "at_once")
	counter(metricPending, l.Late, "budget")
	counter(metricStrict, l.Failed)
	for _, p := range a.providers {
		name, s := p.spec.Name, p.cached.Stats()
		counter(metricAnswers, s.Hits+s.Early, name, "memory")
		counter(metricAnswers, s.Stale, name, "stale")
		counter(metricAnswers, s.StoreHits, name, "store")
		counter(metricAnswers, s.Asked-s.Failed, name, "asked")
		counter(metricUnasked, s.Dropped, name, "dropped")
		counter(metricUnasked, p.timeout.Busy(), name, "busy")
		counter(metricUnasked, p.breaker.Refused(), name, "open")
		counter(metricErrors, s.Failed, name)
		counter(metricTimeouts, p.timeout.Timeouts(), name)
		counter(metricAgain, p.again.Retried(), name, "retried")
		counter(metricAgain, p.again.Hedged(), name, "hedged")
		counter(metricJoined, s.Joined, name, "process")
		counter(metricJoined, s.Waited, name, "other")
		gauge(metricOpen, yes(p.breaker.Open()), name)
		gauge(metricRefused, yes(!p.refused().IsZero()), name)
		counter(metricOpened, p.breaker.Opened(), name)
		gauge(metricAbandoned, float64(p.timeout.Abandoned()), name)
		gauge(metricFlights, float64(s.Flights), name)
		gauge(metricEntries, float64(s.Entries), name)
		gauge(metricBytes, float64(s.Bytes), name)
		if m.o.store != nil {
			counter(metricStore, s.StoreErrors, name)
			counter(metricJunk, s.Junk, name)
			gauge(metricAway, yes(s.StoreAway), name)
		}
		if p.spend != nil {
			counter(metricUnasked, p.spend.Refused(), name, "spent")
			gauge(metricSpent, float64(p.spend.Used()), name)
		}
	}
	for _, p := range a.providers {
		if b, ok := p.closer.(blockLists); ok {
			b.collect(p.spec.Name, counter, gauge)
		}
	}
	for _, s := range a.samplers {
		s.collect(counter)
	}
}

func (s *sampler) collect(counter func(*prometheus.Desc, uint64, ...string)) {
	name, c := s.p.spec.Name, &s.total
	c.mu.Lock()
	defer c.mu.Unlock()
	counter(metricCompared, c.addresses, name, "compared")
	counter(metricCompared, c.failed, name, "failed")
	counter(metricCompared, s.drops.Load(), name, "dropped")
	for i, f := range comparedFields {
		a := c.fields[i]
		counter(metricAgree, a.same, name, f.String(), "same")
		counter(metricAgree, a.differ, name, f.String(), "differ")
		counter(metricAgree, a.oursOnly, name, f.String(), "ours_only")
		counter(metricAgree, a.theirsOnly, name, f.String(), "theirs_only")
	}
}
