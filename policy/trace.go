package policy

import "github.com/ipwarden/ipwarden"

// RuleHolds reports whether the condition of rule i holds for a request that was
// decided; whether an earlier rule ended the walk does not matter. It is for
// explanations.
func (p *Program) RuleHolds(i int, in *Input) bool {
	ok, over := in.holds(p.rules[i].when)
	return ok || over && p.rules[i].rule.Action > ipwarden.Allow
}

// TierHolds is RuleHolds for tier i.
func (p *Program) TierHolds(i int, in *Input) bool {
	ok, _ := in.holds(p.tiers[i].when)
	return ok
}

// Default is what happens when nothing else decides.
func (p *Program) Default() (action string) { return p.cfg.Default.String() }

// Expressions yields every condition of the program, for who wants to know what
// it depends on.
func (p *Program) Expressions(yield func(*Expr) bool) {
	for i := range p.cfg.Tiers {
		if !yield(&p.cfg.Tiers[i].When) {
			return
		}
	}
	for i := range p.cfg.Rules {
		if !yield(&p.cfg.Rules[i].When) {
			return
		}
	}
}
