//go:build race

package compile

// raceDetector: pools drop what they hold at random under it, patterns' among
// them.
const raceDetector = true
