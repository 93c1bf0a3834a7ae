package api

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ipwarden/ipwarden/internal/authz"
)

// AccountMetrics collects what an Authorizer has counted.
func AccountMetrics(a *authz.Authorizer) prometheus.Collector { return accountCollector{a} }

type accountCollector struct{ accounts *authz.Authorizer }

var (
	keysKnown   = prometheus.NewDesc("ipwarden_keys", "Keys that are known, revoked ones among them.", nil, nil)
	keysRefused = prometheus.NewDesc("ipwarden_calls_refused_total", "Calls that got no answer because of their key, by reason.", []string{"reason"}, nil)
)

// Describe is part of prometheus.Collector.
func (accountCollector) Describe(to chan<- *prometheus.Desc) {
	to <- keysKnown
	to <- keysRefused
}

// Collect is part of prometheus.Collector.
func (c accountCollector) Collect(to chan<- prometheus.Metric) {
	to <- prometheus.MustNewConstMetric(keysKnown, prometheus.GaugeValue, float64(c.accounts.Len()))
	for code := authz.Admitted + 1; code < authz.NumCodes; code++ {
		to <- prometheus.MustNewConstMetric(keysRefused, prometheus.CounterValue, float64(c.accounts.Refused(code)), code.Slug())
	}
}
