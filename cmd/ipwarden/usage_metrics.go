package main

import (
	"github.com/prometheus/client_golang/prometheus"
)

func usageDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("ipwarden_usage_"+name, help, labels, nil)
}

var (
	metricUsageBatches   = usageDesc("batches_total", "Batches of usage that were read from the streams: new, repeated, bad.", "result")
	metricUsageLost      = usageDesc("batches_lost_total", "Batches that never came: the stream has lost them, and the calls in them.")
	metricUsageAhead     = usageDesc("batches_ahead_total", "Batches of nodes whose clock is more than an hour ahead.")
	metricUsageCalls     = usageDesc("calls_total", "Calls in the batches that were read, of all regions and classes.")
	metricUsagePending   = usageDesc("pending_sums", "Sums that are not yet in the database.")
	metricUsageCommits   = usageDesc("commits_total", "Times that sums were written into the database.")
	metricUsageCommitOK  = usageDesc("commit_ok", "1 while sums can be written, 0 while the last attempt failed.")
	metricUsageShipOK    = usageDesc("stream_ok", "1 while this region's stream takes batches, 0 while it does not.")
	metricUsageUnsent    = usageDesc("unsent_batches", "Batches that wait in the spool for the stream.")
	metricUsageReached   = usageDesc("region_reached", "1 while a region's stream is heard of, 0 while it is not.", "region")
	metricUsagePlaces    = usageDesc("ledger_places", "Places of the ledger that are taken today: keys, clients, referers.", "of")
	metricUsageOthers    = usageDesc("ledger_others_total", "Calls whose client or referer had no place of its own.")
	metricUsageHomeless  = usageDesc("ledger_homeless", "Counts in memory alone, because the disk has no room.")
	metricUsageLedgerBad = usageDesc("ledger_full", "1 while the ledger cannot grow.")
	metricUsageFreezeOK  = usageDesc("freeze_ok", "1 while batches can be written to the disk, 0 while the last attempt failed.")
)

// usageMetrics are what the counting says of itself.
type usageMetrics struct{ *counting }

func (r *counting) register(with prometheus.Registerer) {
	if r != nil {
		with.MustRegister(usageMetrics{r})
	}
}

// Describe is part of prometheus.Collector.
func (usageMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		metricUsageBatches, metricUsageLost, metricUsageAhead, metricUsageCalls, metricUsagePending, metricUsageCommits, metricUsageCommitOK,
		metricUsageShipOK, metricUsageUnsent, metricUsageReached, metricUsagePlaces, metricUsageOthers, metricUsageHomeless, metricUsageLedgerBad, metricUsageFreezeOK,
	} {
		to <- d
	}
}

// Collect is part of prometheus.Collector.
func (m usageMetrics) Collect(to chan<- prometheus.Metric) {
	s := m.Stats()
	count := func(d *prometheus.Desc, n uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	is := func(d *prometheus.Desc, n float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, n, labels...)
	}
	yes := func(ok bool) float64 {
		if ok {
			return 1
		}
		return 0
	}
	count(metricUsageBatches, s.Batches, "new")
	count(metricUsageBatches, s.Repeated, "repeated")
	count(metricUsageBatches, s.Bad, "bad")
	count(metricUsageLost, s.Gaps)
	count(metricUsageAhead, s.Ahead)
	count(metricUsageCalls, s.Events)
	is(metricUsagePending, float64(s.Pending))
	count(metricUsageCommits, s.Commits)
	is(metricUsageCommitOK, yes(s.CommitErr == nil))
	is(metricUsageShipOK, yes(s.ShipErr == nil))
	is(metricUsageUnsent, float64(s.Unsent))
	m.Reached(func(region string, reached bool) { is(metricUsageReached, yes(reached), region) })
	is(metricUsagePlaces, float64(s.Ledger.Keys), "keys")
	is(metricUsagePlaces, float64(s.Ledger.Clients), "clients")
	is(metricUsagePlaces, float64(s.Ledger.Referers), "referers")
	count(metricUsageOthers, s.Ledger.NoRoom)
	is(metricUsageHomeless, float64(s.Ledger.Homeless))
	is(metricUsageLedgerBad, yes(s.Ledger.Err != nil))
	is(metricUsageFreezeOK, yes(s.FreezeErr == nil))
}

// register makes what is counted of keys metrics.
func (r *keyRun) register(with prometheus.Registerer) {
	if r != nil {
		r.usage.register(with)
	}
}
