package update

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ipwarden/ipwarden/dataset"
)

// Gate is what a new dataset must pass before it is served.
type Gate struct {
	// MaxMoved is the share of the known address space, 0 to 1, that may change
	// its country, its AS or any one trait. What was unknown before and is known
	// now counts only for traits. Default: 0.25.
	MaxMoved float64
}

const (
	defaultMaxMoved = 0.25
	// fewAddresses: a trait with so few may disappear on an ordinary day.
	fewAddresses = 256
)

// A GateError says why a dataset was not let in.
type GateError struct{ Reasons []string }

// Error lists the reasons.
func (e *GateError) Error() string {
	return "the new dataset is refused, the one in use stays: " + strings.Join(e.Reasons, "; ")
}

// Check lets a dataset through or returns a *GateError; current may be nil. A
// damaged one is another error, which nobody should force.
func (g Gate) Check(current, next *dataset.Dataset) (*dataset.DiffReport, error) {
	if err := next.Verify(); errors.Is(err, dataset.ErrCorrupt) {
		return nil, fmt.Errorf("the new dataset is damaged: %w", err)
	}
	refused := &GateError{Reasons: next.Canaries()}
	if current == nil {
		if len(refused.Reasons) > 0 {
			return nil, refused
		}
		return nil, nil
	}
	if g.MaxMoved <= 0 {
		g.MaxMoved = defaultMaxMoved
	}
	diff := dataset.Diff(current, next)
	before, after := diff.From.Counts, diff.To.Counts
	refused.Reasons = append(refused.Reasons, g.family("IPv4", &diff.IPv4, before.Coverage4, after.Coverage4)...)
	refused.Reasons = append(refused.Reasons, g.family("IPv6", &diff.IPv6, before.Coverage6, after.Coverage6)...)
	if len(refused.Reasons) > 0 {
		return &diff, refused
	}
	return &diff, nil
}

func (g Gate) family(name string, d *dataset.FamilyDiff, before, after map[string]uint64) (reasons []string) {
	if d.Known == 0 {
		return nil
	}
	for _, what := range slices.Sorted(maps.Keys(d.Changed)) {
		moved := d.Changed[what].Addresses
		if _, isTrait := d.Traits[what]; !isTrait && after[what] > before[what] {
			moved -= min(moved, after[what]-before[what])
		}
		if share := float64(moved) / float64(d.Known); share > g.MaxMoved {
			reasons = append(reasons, fmt.Sprintf("%s: %s changes for %s of the known address space, more than %s", name, what, percent(share), percent(g.MaxMoved)))
		}
	}
	for _, trait := range slices.Sorted(maps.Keys(d.Traits)) {
		if t := d.Traits[trait]; t.Before >= fewAddresses && t.After == 0 {
			reasons = append(reasons, fmt.Sprintf("%s: all %d addresses lose the trait %s", name, t.Before, trait))
		}
	}
	return reasons
}
