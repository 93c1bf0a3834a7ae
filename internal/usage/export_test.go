package usage

import "fmt"

// Leases says who holds what, for tests that fail.
func (m *Meter) Leases() string {
	m.agg.mu.Lock()
	defer m.agg.mu.Unlock()
	s := ""
	for acc := range m.agg.accounts.all() {
		if acc.lease != nil {
			s += fmt.Sprintf("%v holds %+v spent %d known %d left %d; ", acc.subject, *acc.lease, acc.spent.Load(), acc.inSums(), acc.left())
		}
	}
	for subject, g := range m.lessor.given {
		for node, h := range g.nodes {
			s += fmt.Sprintf("%v given to %x %+v; ", subject, node, *h)
		}
	}
	return s
}
