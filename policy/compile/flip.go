package compile

import (
	"bytes"
	"slices"
	"strings"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/policy"
)

// Bounds of the search for changes.
const (
	maxFlips   = 3
	maxChanges = 200  // candidates
	maxPairs   = 5000 // of candidates, when no single one is enough
)

// A change is one thing that could be different about a request or its client, or
// about the lists that have it.
type change struct {
	what string
	size int // the smaller the more likely to be meant
	do   func(*policy.Input)
	// program decides instead, where the change is one of the policy; nil else.
	program *policy.Program
}

// Past lists the smallest changes that would not end in a throttle, for a request
// that in was explained for and that a gate refuses because the limits of these
// names are used up for it.
func (p *Policy) Past(in *policy.Input, limits []string) []Flip {
	used := map[string][]byte{}
	var d policy.Decision
	p.Program.Decide(in, &d)
	for i := range d.Uses {
		l := d.Uses[i].Limit
		if key, ok := l.AppendKey(nil, in); ok && slices.Contains(limits, l.Name) {
			used[l.Name] = key
		}
	}
	return p.search(in, ipwarden.Throttle, func(x *policy.Input, d *policy.Decision) ipwarden.Verdict {
		for i := range d.Uses {
			l := d.Uses[i].Limit
			key, ok := l.AppendKey(nil, x)
			if old := used[l.Name]; ok && old != nil && bytes.Equal(old, key) {
				return ipwarden.Throttle
			}
		}
		return d.Verdict
	})
}

// flips looks for the smallest changes that give another verdict.
func (p *Policy) flips(in *policy.Input, verdict ipwarden.Verdict) []Flip {
	return p.search(in, verdict, func(_ *policy.Input, d *policy.Decision) ipwarden.Verdict { return d.Verdict })
}

// search tries each change that the policy speaks of by itself, then two together.
// verdict is what a decision comes to.
func (p *Policy) search(in *policy.Input, from ipwarden.Verdict, verdict func(*policy.Input, *policy.Decision) ipwarden.Verdict) []Flip {
	changes := p.changes(in)
	slices.SortStableFunc(changes, func(a, b change) int { return a.size - b.size })
	changes = changes[:min(len(changes), maxChanges)]
	var found []Flip
	seen := map[ipwarden.Verdict]bool{from: true}
	var d policy.Decision
	try := func(cs ...change) {
		next, program := *in, p.Program
		words := make([]string, len(cs))
		for i, c := range cs {
			if words[i] = c.what; c.program != nil {
				program = c.program
			} else {
				c.do(&next)
			}
		}
		program.Decide(&next, &d)
		if v := verdict(&next, &d); !seen[v] {
			seen[v] = true
			because := Because(&d)
			if d.Softened {
				because += ", softened from a block"
			}
			found = append(found, Flip{Change: strings.Join(words, " and "), Verdict: v, Because: because})
		}
	}
	for _, c := range changes {
		try(c)
	}
	pairs := 0
	for i := 0; len(found) == 0 && i < len(changes); i++ {
		for j := i + 1; j < len(changes) && pairs < maxPairs && len(found) == 0; j++ {
			if changes[i].program != nil && changes[j].program != nil {
				continue // one of them would be lost
			}
			pairs++
			try(changes[i], changes[j])
		}
	}
	return found[:min(len(found), maxFlips)]
}
