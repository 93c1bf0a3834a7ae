//go:build race

package challenge

// The race detector makes sync.Pool forget on purpose.
const raceEnabled = true
