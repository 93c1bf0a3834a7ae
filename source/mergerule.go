package source

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ipwarden/ipwarden"
)

// Rule says whose word counts where several speak of one field.
type Rule uint8

const (
	// First believes who comes first in the order.
	First Rule = iota + 1
	// Newest believes who was asked last, or whose data is of the latest date.
	Newest
	// Majority believes what most say; of those with as many, who comes first.
	Majority
	// Specific believes who speaks of the smallest network; of those with as small
	// a one, who comes first.
	Specific
	// Any believes whoever says yes: for traits, which most feeds can only assert.
	Any
)

var ruleNames = [...]string{"", "first", "newest", "majority", "specific", "any"}

// String returns the word: "first", "newest", "majority", "specific", "any".
func (r Rule) String() string {
	if int(r) >= len(ruleNames) {
		return "unknown"
	}
	return ruleNames[r]
}

// RuleNamed returns the rule of a word.
func RuleNamed(word string) (Rule, bool) {
	i := slices.Index(ruleNames[:], word)
	return Rule(max(i, 0)), i > 0
}

// DatasetName is the dataset's in [MergePolicy].Order.
const DatasetName = "dataset"

// MergePolicy says whose word counts. The zero value is the default: of the
// location, the company and the carrier the first, of the AS the most specific, of
// the traits any.
type MergePolicy struct {
	// Order is the names of providers and DatasetName. Who is not in it comes behind
	// those who are: providers in the order in which they are asked, then the dataset.
	Order []string
	// Rules are by the path of a field or of a group, such as "location",
	// "security.is_vpn"; a field's goes before its group's. Any is for traits.
	Rules map[string]Rule
}

// groupRules are the defaults, by the first part of a field's path.
var groupRules = map[string]Rule{"location": First, "asn": Specific, "company": First, "carrier": First, "security": Any}

// numRules is more than there are fields.
const numRules = 128

// ruleTable is a rule for each field.
type ruleTable [numRules]Rule

// compile makes the table, and says what is wrong with the rules.
func (p *MergePolicy) compile() (*ruleTable, error) {
	var t ruleTable
	var errs []error
	for f := range ipwarden.AllFields() {
		group, _, _ := strings.Cut(f.String(), ".")
		r := groupRules[group]
		if r == Any && f.Traits() == 0 {
			r = First
		}
		t[f] = r
	}
	names := make([]string, 0, len(p.Rules))
	for name := range p.Rules {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { // groups before their fields
		return strings.Count(a, ".") - strings.Count(b, ".")
	})
	for _, name := range names {
		r := p.Rules[name]
		found := false
		for f := range ipwarden.AllFields() {
			if f.String() != name && !strings.HasPrefix(f.String(), name+".") {
				continue
			}
			if !f.Explained() || f.Traits() == ipwarden.Bogon || f == ipwarden.FieldBogonName || f == ipwarden.FieldBogonRFC {
				continue // nobody's word
			}
			found = true
			if r == Any && f.Traits() == 0 {
				if f.String() == name {
					errs = append(errs, fmt.Errorf("the rule of %s is any, which is for traits; use first, newest, majority or specific", name))
				}
				continue
			}
			t[f] = r
		}
		switch {
		case !found:
			errs = append(errs, fmt.Errorf("there is no field or group %q that sources differ about, such as location or security.is_vpn", name))
		case r == 0 || int(r) >= len(ruleNames):
			errs = append(errs, fmt.Errorf("the rule of %s is none of first, newest, majority, specific, any", name))
		}
	}
	return &t, errors.Join(errs...)
}

// Check says what is wrong with the rules.
func (p *MergePolicy) Check() error {
	_, err := p.compile()
	return err
}

// rank of the sources: names in the order in which they are asked, the dataset
// last.
func (p *MergePolicy) rank(names []string) []int {
	ranks := make([]int, len(names))
	for i, name := range names {
		if ranks[i] = slices.Index(p.Order, name); ranks[i] < 0 {
			ranks[i] = len(p.Order) + i
		}
	}
	return ranks
}
