// Package envoy checks the configuration of this folder against Envoy's own
// descriptions of it, and plays Envoy's part with its own client: no package of
// Envoy itself is to be had everywhere.
package envoy
