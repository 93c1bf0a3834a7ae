package main

import (
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ipwarden/ipwarden/internal/sentry"
)

// reportFlags say who is told of errors beside the log.
type reportFlags struct {
	SentryDSNFile     string `name:"sentry-dsn-file" env:"IPWARDEN_SENTRY_DSN_FILE" placeholder:"FILE" help:"Report errors to a service that speaks Sentry's protocol, whose DSN is in FILE (or in IPWARDEN_SENTRY_DSN); default nobody."`
	SentryEnvironment string `env:"IPWARDEN_SENTRY_ENVIRONMENT" default:"production" placeholder:"NAME" help:"What reports say this server is part of; default ${default}."`
}

// open returns nil where nobody is told.
func (f *reportFlags) open(e *env) (*sentry.Reporter, error) {
	dsn, err := secret(f.SentryDSNFile, "IPWARDEN_SENTRY_DSN", e)
	if err != nil {
		return nil, fmt.Errorf("--sentry-dsn-file: %w", err)
	}
	if dsn == "" {
		if f.SentryDSNFile != "" {
			return nil, fmt.Errorf("--sentry-dsn-file: %s is empty", f.SentryDSNFile)
		}
		return nil, nil
	}
	r, err := sentry.New(sentry.Config{DSN: dsn, Environment: f.SentryEnvironment, Release: "ipwarden@" + version(), Now: e.now})
	if err != nil {
		return nil, usagef("--sentry-dsn-file: %w", err)
	}
	return r, nil
}

// reported is a log whose errors are reported.
func reported(log *slog.Logger, r *sentry.Reporter) *slog.Logger {
	return slog.New(r.Handler(log.Handler()))
}

// reportMetrics tell of reports.
type reportMetrics struct{ *sentry.Reporter }

var metricReports = prometheus.NewDesc("ipwarden_reports_total", "Reports of errors: sent, dropped because there were too many.", []string{"result"}, nil)

// Describe is part of prometheus.Collector.
func (reportMetrics) Describe(to chan<- *prometheus.Desc) { to <- metricReports }

// Collect is part of prometheus.Collector.
func (m reportMetrics) Collect(to chan<- prometheus.Metric) {
	sent, dropped := m.Counts()
	to <- prometheus.MustNewConstMetric(metricReports, prometheus.CounterValue, float64(sent), "sent")
	to <- prometheus.MustNewConstMetric(metricReports, prometheus.CounterValue, float64(dropped), "dropped")
}
