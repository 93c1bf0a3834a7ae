package gateway

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A result is what became of a request; the label set is closed.
type result uint8

const (
	resultAborted     result = iota // the answer broke off
	result2xx                       // the upstream's answers
	result3xx                       //
	result4xx                       //
	result5xx                       //
	resultUpgraded                  // the protocol was switched
	resultRefused                   // by the gate
	resultMalformed                 // no one reading
	resultChallenge                 // the page of a challenge
	resultCanceled                  // the client went away
	resultUnreachable               // the upstream failed
	resultTimeout                   // the upstream took too long
	resultTooLarge                  // the request's body
	resultStalled                   // the request's body
	resultBadBody                   // the request's body

	numResults
)

var resultNames = [numResults]string{
	"aborted", "2xx", "3xx", "4xx", "5xx", "upgraded", "refused", "malformed", "challenge", "canceled",
	"upstream_unreachable", "upstream_timeout", "body_too_large", "body_stalled", "body_malformed",
}

func resultOf(status int) result {
	switch status / 100 {
	case 1:
		return resultUpgraded
	case 2:
		return result2xx
	case 3:
		return result3xx
	case 4:
		return result4xx
	}
	return result5xx
}

// metrics counts requests. Every series is made at the start.
type metrics struct {
	results     [numResults]prometheus.Counter
	decision    prometheus.Histogram
	upstream    prometheus.Histogram
	inFlight    prometheus.Gauge
	upgraded    prometheus.Gauge
	connections prometheus.Gauge
}

func newMetrics(to prometheus.Registerer) (*metrics, error) {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ipwarden_gateway_requests_total", Help: "Requests, by what became of them.",
	}, []string{"result"})
	m := &metrics{
		decision: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ipwarden_gateway_decision_duration_seconds", Help: "Time that the gate took to decide.",
			Buckets: []float64{1e-6, 2.5e-6, 5e-6, 10e-6, 25e-6, 100e-6, 1e-3, 5e-3, 25e-3},
		}),
		upstream: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ipwarden_gateway_upstream_duration_seconds", Help: "Time from the decision to the header of the upstream's answer.",
			Buckets: []float64{250e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1, 2.5, 10, 60},
		}),
		inFlight:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "ipwarden_gateway_requests_in_flight", Help: "Requests under way, switched protocols included."}),
		upgraded:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "ipwarden_gateway_upgraded_connections", Help: "Connections whose protocol was switched."}),
		connections: prometheus.NewGauge(prometheus.GaugeOpts{Name: "ipwarden_gateway_connections", Help: "Open connections of clients."}),
	}
	for r := range m.results {
		m.results[r] = requests.WithLabelValues(resultNames[r])
	}
	if to == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{requests, m.decision, m.upstream, m.inFlight, m.upgraded, m.connections} {
		if err := to.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func since(start, end time.Time) float64 { return end.Sub(start).Seconds() }
