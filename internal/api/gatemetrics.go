package api

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/clientip"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/gate/challenge"
	"github.com/ipwarden/ipwarden/policy"
)

// GateMetrics collects what a gate and its challenges have counted; c may be nil.
// The labels are the words of verdicts, reasons, client statuses, kinds and
// results: closed sets.
func GateMetrics(g *gate.Gate, c *challenge.Challenges) prometheus.Collector {
	return gateCollector{g, c}
}

type gateCollector struct {
	gate       *gate.Gate
	challenges *challenge.Challenges
}

var (
	gateDecisions = prometheus.NewDesc("ipwarden_gate_decisions_total", "Decisions, by verdict and reason.", []string{"verdict", "reason"}, nil)
	gateClients   = prometheus.NewDesc("ipwarden_gate_clients_total", "Decisions, by how the client's address was found.", []string{"status"}, nil)
	gateConflicts = prometheus.NewDesc("ipwarden_gate_header_conflicts_total", "Requests with another header that names another client.", nil, nil)
	gateDegraded  = prometheus.NewDesc("ipwarden_gate_degraded_total", "Decisions in which a fail mode or local counts stood in for something that was away.", nil, nil)
	gateErrors    = prometheus.NewDesc("ipwarden_gate_errors_total", "Failures of what the gate asks.", []string{"of"}, nil)
	gateOutcomes  = prometheus.NewDesc("ipwarden_gate_outcomes_total", "Outcomes that were taken.", nil, nil)
	gateUnawaited = prometheus.NewDesc("ipwarden_gate_outcomes_unawaited_total", "Limits that were too many to wait for the outcome of one decision.", nil, nil)
	gateUnheld    = prometheus.NewDesc("ipwarden_gate_attempts_unheld_total", "Places of attempts on their way that were given up early, because there were too many.", nil, nil)
	gateSent      = prometheus.NewDesc("ipwarden_challenges_sent_total", "Clients that were sent to the challenge.", nil, nil)
	gateShown     = prometheus.NewDesc("ipwarden_challenges_shown_total", "Pages of a challenge that were shown.", nil, nil)
	gateAttempts  = prometheus.NewDesc("ipwarden_challenges_attempts_total", "Attempts at a challenge.", []string{"kind", "result"}, nil)
	gateUnfit     = prometheus.NewDesc("ipwarden_challenges_refused_total", "Attempts that did not count.", []string{"why"}, nil)
	gateUnshared  = prometheus.NewDesc("ipwarden_challenges_share_errors_total", "Solved challenges of which the other nodes could not be told.", nil, nil)
	gateDropped   = prometheus.NewDesc("ipwarden_gate_log_dropped_total", "Lines of the decision log that were lost.", []string{"why"}, nil)
)

// Describe is part of prometheus.Collector.
func (gateCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{gateDecisions, gateClients, gateConflicts, gateDegraded, gateErrors, gateOutcomes, gateUnawaited, gateUnheld, gateDropped, gateSent, gateShown, gateAttempts, gateUnfit, gateUnshared} {
		to <- d
	}
}

// Collect is part of prometheus.Collector.
func (c gateCollector) Collect(to chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, n uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	s := c.gate.Stats()
	for v := range s.Decisions {
		for r, n := range s.Decisions[v] {
			if n > 0 {
				count(gateDecisions, n, ipwarden.Verdict(v).String(), policy.Reason(r).String())
			}
		}
	}
	for status := clientip.Unresolved; status <= clientip.NoHeader; status++ {
		count(gateClients, s.Clients[status], status.String())
	}
	count(gateConflicts, s.Conflicts)
	count(gateDegraded, s.Degraded)
	count(gateErrors, s.SourceErrors, "source")
	count(gateErrors, s.LimiterErrors, "limiter")
	count(gateErrors, s.AttemptErrors, "attempts")
	count(gateOutcomes, s.Outcomes)
	count(gateUnawaited, s.Unawaited)
	count(gateUnheld, s.Unheld)
	count(gateDropped, s.Journal.TooMany, "too_many")
	count(gateDropped, s.Journal.Slow, "slow")
	count(gateDropped, s.Journal.Failed, "failed")
	if c.challenges == nil {
		return
	}
	n := c.challenges.Stats()
	count(gateSent, n.Sent)
	count(gateShown, n.Shown)
	for kind, results := range n.Attempts {
		for result, times := range results {
			count(gateAttempts, times, kind, result)
		}
	}
	count(gateUnfit, n.Replayed, "replayed")
	count(gateUnfit, n.Limited, "limited")
	count(gateUnfit, n.Forged, "forged")
	count(gateUnfit, n.Old, "old")
	count(gateUnshared, n.ShareErrors)
}
