// Package shield is what an operator does under attack: keys are required, a proof of
// work is raised, countries, networks and listed addresses are refused or challenged,
// each until some time, and each can be undone.
//
// The call most people want:
//
//	g, err := shield.New(ctx, shield.Config{Places: []shield.Place{shield.File(name)}, …})
//	defer g.Close()
//	…
//	if m := g.Check(addr, now); m != nil { … }
//
// A [Guard] is asked on each request, without a lock; while nothing is in force that
// costs a load. Its measures are in one small document, which is kept in each of its
// [Place]s and merged: the last word about a thing counts, wherever it was said. So a
// command may change a file while the database is away, and the other way round.
package shield
