package compile

import (
	"slices"

	"github.com/ipwarden/ipwarden/policy"
)

// Crawlers are those that the file speaks of, by their names. all: of whoever says
// that it is one, in its part crawlers or in a condition.
func (p *Policy) Crawlers() (named []string, all bool) {
	c := p.Program.Config().Crawlers
	named = slices.Clone(c.Names)
	all = p.crawlers && c.Allow && len(c.Names) == 0
	for i := range p.Program.Lists() {
		named = append(named, p.Program.Lists()[i].Crawlers...)
	}
	for e := range p.Program.Expressions {
		e.Walk(func(n *policy.Expr) {
			all = all || n.Op == policy.OpCrawlerVerified || n.Op == policy.OpCrawlerPending
		})
	}
	return named, all
}
