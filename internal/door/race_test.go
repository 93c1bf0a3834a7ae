//go:build race

package door

// The race detector makes sync.Pool forget on purpose.
const raceEnabled = true
