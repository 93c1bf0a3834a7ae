package api

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/gate/crawler"
)

// LimitMetrics collects what the counts of a gate's limits have to tell: how full they
// are, what had to go, and how the store is that nodes share them through.
func LimitMetrics(g *gate.Gate) prometheus.Collector { return limitCollector{g} }

type limitCollector struct{ gate *gate.Gate }

var (
	limitKeys      = prometheus.NewDesc("ipwarden_gate_limit_keys", "Keys that hold something in the table of limits, nearly.", nil, nil)
	limitCapacity  = prometheus.NewDesc("ipwarden_gate_limit_capacity_keys", "Keys that the table of limits has room for.", nil, nil)
	limitBytes     = prometheus.NewDesc("ipwarden_gate_limit_capacity_bytes", "Memory of the table of limits when all of it was used.", nil, nil)
	limitEvicted   = prometheus.NewDesc("ipwarden_gate_limit_evicted_total", "Keys that had to go for new ones: seen once, seen again, or over their limit.", []string{"what"}, nil)
	limitTakes     = prometheus.NewDesc("ipwarden_gate_limit_takes_total", "Limits taken, by who decided: the store, a part that this node had of it, or this node's own counts.", []string{"source"}, nil)
	limitAway      = prometheus.NewDesc("ipwarden_gate_limit_store_away", "1 while the store of the limits is left alone because it does not answer.", nil, nil)
	limitExchanges = prometheus.NewDesc("ipwarden_gate_limit_store_exchanges_total", "Batches that went to the store of the limits.", nil, nil)
	limitItems     = prometheus.NewDesc("ipwarden_gate_limit_store_keys_total", "Keys in the batches that went to the store of the limits.", nil, nil)
	limitErrors    = prometheus.NewDesc("ipwarden_gate_limit_store_errors_total", "Limits that the store did not decide: it was late, it failed, or there was no room to ask.", []string{"what"}, nil)
)

// Describe is part of prometheus.Collector.
func (limitCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{limitKeys, limitCapacity, limitBytes, limitEvicted, limitTakes, limitAway, limitExchanges, limitItems, limitErrors} {
		to <- d
	}
}

// Collect is part of prometheus.Collector. What there is no store for is left out.
func (c limitCollector) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, n float64) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, n)
	}
	count := func(d *prometheus.Desc, n uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	s, shared := c.gate.LimitStats()
	if s.Entries == 0 { // a Limiter that does not tell
		return
	}
	gauge(limitKeys, float64(s.Keys))
	gauge(limitCapacity, float64(s.Entries))
	gauge(limitBytes, float64(s.Bytes))
	count(limitEvicted, s.Evicted-s.EvictedUsed-s.EvictedOver, "once")
	count(limitEvicted, s.EvictedUsed, "again")
	count(limitEvicted, s.EvictedOver, "over_limit")
	if !shared {
		return
	}
	count(limitTakes, s.Exact, "exact")
	count(limitTakes, s.Fast, "fast")
	count(limitTakes, s.Local, "local")
	away := 0.0
	if s.Away {
		away = 1
	}
	gauge(limitAway, away)
	count(limitExchanges, s.Exchanges)
	count(limitItems, s.Items)
	count(limitErrors, s.Late, "late")
	count(limitErrors, s.Failed, "failed")
	count(limitErrors, s.Unqueued, "unqueued")
}

// CrawlerMetrics collects what became of claims to be a crawler.
func CrawlerMetrics(v *crawler.Verifier) prometheus.Collector { return crawlerCollector{v} }

type crawlerCollector struct{ verifier *crawler.Verifier }

var (
	crawlersAsked = prometheus.NewDesc("ipwarden_gate_crawlers_asked_total", "Claims to be a crawler that DNS was asked about, by what became of them; dropped are those that found too many waiting.", []string{"result"}, nil)
	crawlersKept  = prometheus.NewDesc("ipwarden_gate_crawlers_remembered", "Claims to be a crawler that are remembered.", nil, nil)
)

// Describe is part of prometheus.Collector.
func (crawlerCollector) Describe(to chan<- *prometheus.Desc) {
	to <- crawlersAsked
	to <- crawlersKept
}

// Collect is part of prometheus.Collector.
func (c crawlerCollector) Collect(to chan<- prometheus.Metric) {
	s := c.verifier.Stats()
	for result, n := range map[string]uint64{"verified": s.Verified, "failed": s.Failed, "unanswered": s.Unanswered, "dropped": s.Dropped} {
		to <- prometheus.MustNewConstMetric(crawlersAsked, prometheus.CounterValue, float64(n), result)
	}
	to <- prometheus.MustNewConstMetric(crawlersKept, prometheus.GaugeValue, float64(s.Remembered))
}
