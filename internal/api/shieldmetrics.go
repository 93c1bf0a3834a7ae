package api

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ipwarden/ipwarden/internal/shield"
)

// ShieldMetrics collects what a Guard has in force.
func ShieldMetrics(g *shield.Guard) prometheus.Collector { return shieldCollector{g} }

type shieldCollector struct{ guard *shield.Guard }

var (
	shieldActive = prometheus.NewDesc("ipwarden_shield_measures", "Measures of the shield that are in force, by kind.", []string{"kind"}, nil)
	shieldErrors = prometheus.NewDesc("ipwarden_shield_errors_total", "Times that the shield's measures could not be read or kept in one of their places.", nil, nil)
)

// Describe is part of prometheus.Collector.
func (shieldCollector) Describe(to chan<- *prometheus.Desc) {
	to <- shieldActive
	to <- shieldErrors
}

// Collect is part of prometheus.Collector.
func (c shieldCollector) Collect(to chan<- prometheus.Metric) {
	n := map[shield.Kind]int{}
	for _, m := range c.guard.Active() {
		n[m.Kind]++
	}
	for _, k := range shield.Kinds() {
		to <- prometheus.MustNewConstMetric(shieldActive, prometheus.GaugeValue, float64(n[k]), string(k))
	}
	to <- prometheus.MustNewConstMetric(shieldErrors, prometheus.CounterValue, float64(c.guard.Errors()))
}
