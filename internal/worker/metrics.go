package worker

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ipwarden/ipwarden/enrich"
)

// Metrics are a worker's. The labels are from closed sets: reasons, stages, and the
// outputs of the configuration.
type Metrics struct {
	read, events, again, undated prometheus.Counter
	written                      []prometheus.Counter
	deadLetters                  *prometheus.CounterVec
	failures                     *prometheus.CounterVec
	lag, age                     prometheus.Gauge
	all                          []prometheus.Collector
}

// Refused is the reason of a dead letter that an output did not take.
const Refused = "refused"

func newMetrics(outputs []string) *Metrics {
	m := &Metrics{
		read:        prometheus.NewCounter(prometheus.CounterOpts{Name: "ipwarden_worker_read_total", Help: "Events read from the source, repeated deliveries included."}),
		events:      prometheus.NewCounter(prometheus.CounterOpts{Name: "ipwarden_worker_events_total", Help: "Events committed at the source: what came of them was acknowledged."}),
		again:       prometheus.NewCounter(prometheus.CounterOpts{Name: "ipwarden_worker_again_total", Help: "Events whose commit came too late: they are delivered again."}),
		undated:     prometheus.NewCounter(prometheus.CounterOpts{Name: "ipwarden_worker_undated_total", Help: "Events that were to be answered as of their time, and whose time is older than every dataset kept."}),
		deadLetters: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ipwarden_worker_dead_letters_total", Help: "Dead letters written, by reason."}, []string{"reason"}),
		failures:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ipwarden_worker_failures_total", Help: "Attempts that failed and were made again, by stage."}, []string{"stage"}),
		lag:         prometheus.NewGauge(prometheus.GaugeOpts{Name: "ipwarden_worker_lag", Help: "Events that wait in the source, as of the last few seconds."}),
		age:         prometheus.NewGauge(prometheus.GaugeOpts{Name: "ipwarden_worker_age_seconds", Help: "How old the newest event of the last batch was when it was committed."}),
	}
	written := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ipwarden_worker_written_total", Help: "Events that an output has acknowledged."}, []string{"output"})
	for _, name := range outputs {
		m.written = append(m.written, written.WithLabelValues(name))
	}
	for _, r := range []enrich.Reason{enrich.Missing, enrich.Null, enrich.NotText, enrich.NotAddress, enrich.NotJSON, enrich.TooLong, enrich.Failed, Refused} {
		m.deadLetters.WithLabelValues(string(r))
	}
	for _, s := range []string{"input", "output", "commit"} {
		m.failures.WithLabelValues(s)
	}
	m.all = []prometheus.Collector{m.read, m.events, m.again, m.undated, m.deadLetters, m.failures, m.lag, m.age, written}
	return m
}

// Register registers them.
func (m *Metrics) Register(r prometheus.Registerer) {
	for _, c := range m.all {
		r.MustRegister(c)
	}
}

func (m *Metrics) dead(reason string) { m.deadLetters.WithLabelValues(reason).Inc() }

func (m *Metrics) committed(n int, latest, now time.Time) {
	m.events.Add(float64(n))
	if !latest.IsZero() {
		m.age.Set(max(now.Sub(latest).Seconds(), 0))
	}
}
