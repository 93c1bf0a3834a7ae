//go:build !race

package enrich

// raceDetector says that tests take ten times as long.
const raceDetector = false
