// Package examples holds policies to start from, as they are documented and
// tested: bytes to write into a file of one's own.
package examples

import _ "embed"

// Policy is what ipwarden policy init writes: three tiers, an action for each
// kind of anonymity, and limits for failed log-ins.
//
//go:embed policy.yaml
var policy string

//go:embed localise.yaml
var localise string

// Policies returns each policy by the name of its file.
func Policies() map[string]string {
	return map[string]string{"policy.yaml": policy, "localise.yaml": localise}
}
