package api

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/ipwarden/ipwarden/internal/api/dialect"
)

// listener is the value of the listener label.
type listener uint8

const (
	listenerNet listener = iota
	listenerFast

	numListeners
)

var listenerNames = [numListeners]string{"http", "fast"}

// statuses are those that the core answers with; the label set is closed.
var statuses = [...]int{200, 204, 304, 400, 401, 402, 403, 404, 405, 406, 408, 413, 415, 417, 422, 429, 431, 500, 502, 503, 505}

// metrics counts requests. Every series is made at the start and found by
// index, so that a request neither allocates nor takes a lock for it: some 900
// series, about 200 KiB.
type metrics struct {
	registry *prometheus.Registry
	requests [numListeners][numRoutes][len(statuses) + 1]prometheus.Counter
	seconds  [numListeners][numRoutes]prometheus.Observer
	items    prometheus.Counter
	dialects []prometheus.Counter // by their place in dialect.Names
}

func newMetrics(a *API) *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ipwarden_http_requests_total", Help: "Requests answered, by listener, route and status.",
	}, []string{"listener", "route", "status"})
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "ipwarden_http_request_duration_seconds", Help: "Time from the request's header to its answer handed to the transport.",
		Buckets: []float64{5e-6, 10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 1e-3, 5e-3, 25e-3, 100e-3, 500e-3, 2.5},
	}, []string{"listener", "route"})
	for l := range m.requests {
		for r := range m.requests[l] {
			m.seconds[l][r] = seconds.WithLabelValues(listenerNames[l], routeNames[r])
			for s := range m.requests[l][r] {
				status := "other"
				if s < len(statuses) {
					status = strconv.Itoa(statuses[s])
				}
				m.requests[l][r][s] = requests.WithLabelValues(listenerNames[l], routeNames[r], status)
			}
		}
	}
	m.items = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "ipwarden_bulk_items_total", Help: "Items of bulk requests answered, with or without an error.",
	})
	spoken := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ipwarden_dialect_requests_total", Help: "Requests answered in another vendor's wire format, by dialect.",
	}, []string{"dialect"})
	for _, name := range dialect.Names() {
		m.dialects = append(m.dialects, spoken.WithLabelValues(name))
	}
	info := func(f func(*Info) float64) func() float64 {
		return func() float64 { return f(&a.current().info) }
	}
	m.registry.MustRegister(requests, seconds, m.items, spoken,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "ipwarden_dataset_date_seconds", Help: "Date of the dataset in use, seconds since 1970; 0 without one.",
		}, info(func(in *Info) float64 {
			if in.Date.IsZero() {
				return 0
			}
			return float64(in.Date.Unix())
		})),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "ipwarden_dataset_size_bytes", Help: "Size of the dataset in use.",
		}, info(func(in *Info) float64 { return float64(in.Size) })),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "ipwarden_ready", Help: "1 when look-ups are answered, 0 without a dataset or while stopping.",
		}, func() float64 {
			if a.Ready() {
				return 1
			}
			return 0
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "ipwarden_build_info", Help: "Always 1.", ConstLabels: prometheus.Labels{"version": a.cfg.Version},
		}, func() float64 { return 1 }),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

func (m *metrics) observe(l listener, x *exchange, d time.Duration) {
	m.requests[l][x.route][statusIndex(x.status)].Inc()
	m.seconds[l][x.route].Observe(d.Seconds())
}

func statusIndex(status int) int {
	for i, s := range statuses {
		if s == status {
			return i
		}
	}
	return len(statuses)
}

func (x *exchange) metricsBulk(n int) { x.api.metrics.items.Add(float64(n)) }
