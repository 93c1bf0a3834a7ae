// Package prometheus checks the alert rules and dashboards of this folder with
// Prometheus's own tool, and that every metric they name exists.
package prometheus
