package api

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A Part is what the server works with: "store", "stream".
type Part struct {
	Name  string
	Away  string    // what that means for those who ask; "" when it is well
	Since time.Time // when it is away, as far as is known
}

// append appends a line for /readyz.
func (p *Part) append(dst []byte) []byte {
	dst = append(append(dst, p.Name...), ": "...)
	if p.Away == "" {
		return append(dst, "ok\n"...)
	}
	dst = append(dst, "away"...)
	if !p.Since.IsZero() {
		dst = p.Since.UTC().AppendFormat(append(dst, " since "...), time.RFC3339)
	}
	return append(append(append(dst, "; "...), p.Away...), '\n')
}

type partCollector struct{ parts func() []Part }

var partUp = prometheus.NewDesc("ipwarden_part_up", "1 while a part that the server works with is well, 0 while it is away: dataset, store, stream, disk.", []string{"part"}, nil)

// Describe is part of prometheus.Collector.
func (partCollector) Describe(to chan<- *prometheus.Desc) { to <- partUp }

// Collect is part of prometheus.Collector.
func (c partCollector) Collect(to chan<- prometheus.Metric) {
	for _, p := range c.parts() {
		up := 0.0
		if p.Away == "" {
			up = 1
		}
		to <- prometheus.MustNewConstMetric(partUp, prometheus.GaugeValue, up, p.Name)
	}
}
