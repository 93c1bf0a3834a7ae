//go:build race

package authz

// With the race detector sync.Pool drops what it is given at random, so that
// counts of allocations mean nothing.
const raceEnabled = true
