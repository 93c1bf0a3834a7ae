// Package play plays the policy of examples/policy.yaml with the real program,
// behind real nginx, HAProxy and Caddy and with a real Redis, as a person would
// put them together: the tiers, what each kind of visitor meets, failed log-ins,
// a store that goes away, mistakes, several nodes, and a spray of addresses.
package play
