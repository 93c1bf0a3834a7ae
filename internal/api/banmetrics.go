package api

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ipwarden/ipwarden/gate/ban"
)

// BanMetrics collects what a table of bans has counted.
func BanMetrics(t *ban.Table) prometheus.Collector { return banCollector{t} }

type banCollector struct{ table *ban.Table }

var (
	bansNow     = prometheus.NewDesc("ipwarden_gate_bans", "Bans that run.", nil, nil)
	bansChanged = prometheus.NewDesc("ipwarden_gate_bans_changed_total", "Bans, by what became of them: made here, made by a limit here, unmade because limits had made too many, lifted here, ended, or evicted because there were too many.", []string{"what"}, nil)
	bansFailed  = prometheus.NewDesc("ipwarden_gate_bans_errors_total", "Failures of where bans are shared, and of their file.", []string{"of"}, nil)
)

// Describe is part of prometheus.Collector.
func (banCollector) Describe(to chan<- *prometheus.Desc) {
	to <- bansNow
	to <- bansChanged
	to <- bansFailed
}

// Collect is part of prometheus.Collector.
func (c banCollector) Collect(to chan<- prometheus.Metric) {
	s := c.table.Stats()
	to <- prometheus.MustNewConstMetric(bansNow, prometheus.GaugeValue, float64(s.Bans))
	count := func(d *prometheus.Desc, n uint64, label string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), label)
	}
	count(bansChanged, s.Made, "made")
	count(bansChanged, s.Over, "over_limit")
	count(bansChanged, s.Unmade, "unmade")
	count(bansChanged, s.Lifted, "lifted")
	count(bansChanged, s.Ended, "ended")
	count(bansChanged, s.Evicted, "evicted")
	count(bansFailed, s.ShareErrors, "store")
	count(bansFailed, s.FileErrors, "file")
}
