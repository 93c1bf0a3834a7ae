package risk

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ParseWeights reads the points of signals by their names, as a policy gives
// them: {"vpn": 40, "residential": -15}. The error joins all mistakes.
func ParseWeights(named map[string]int) (map[Signal]int, error) {
	points := map[Signal]int{}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(named)) {
		s, err := parseSignal(name)
		if n := named[name]; err == nil && (n < -100 || n > 100) {
			err = errors.New("risk: " + name + " has " + strconv.Itoa(n) + " points, and may have -100 to 100, such as " + strconv.Itoa(DefaultPoints()[s]))
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		points[s] = named[name]
	}
	return points, errors.Join(errs...)
}

// ParseHalfLives reads half-lives of signals by their names; 0 does not fade.
func ParseHalfLives(named map[string]time.Duration) (map[Signal]time.Duration, error) {
	lives := map[Signal]time.Duration{}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(named)) {
		s, err := parseSignal(name)
		if d := named[name]; err == nil && d < 0 {
			err = errors.New("risk: the half-life of " + name + " is " + d.String() + ", and may be 0 (does not fade) or more, such as 2160h")
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		lives[s] = named[name]
	}
	return lives, errors.Join(errs...)
}

func parseSignal(name string) (Signal, error) {
	if s, ok := SignalNamed(name); ok {
		return s, nil
	}
	msg := "risk: there is no signal " + strconv.Quote(name)
	if near := nearest(name); near != "" {
		return NoSignal, errors.New(msg + "; did you mean " + near + "?")
	}
	return NoSignal, errors.New(msg + "; there are " + strings.Join(signalNames[1:], ", "))
}

// nearest is the name of at most two slips: "is_vpn", "VPN", "hostng".
func nearest(name string) string {
	name = strings.TrimPrefix(strings.ReplaceAll(strings.ToLower(name), "-", "_"), "is_")
	best, at := "", 3
	for _, n := range signalNames[1:] {
		if d := distance(name, n); d < at && d < len(n) {
			best, at = n, d
		}
	}
	return best
}

// distance is Levenshtein's; a name that is far too long is far.
func distance(a, b string) int {
	if len(a) > 2*len(b)+2 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := before
			if a[i] != b[j] {
				d++
			}
			before = row[j+1]
			row[j+1] = min(d, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
