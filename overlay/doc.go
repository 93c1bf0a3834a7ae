// Package overlay lays what an operator knows over an [ipwarden.Source]: facts about
// a network or an autonomous system, with a reason, an owner and an end.
//
// The call most people want lays entries over a dataset:
//
//	src, err := overlay.New(overlay.Config{Source: live, Entries: entries})
//	rec, err := src.Lookup(ctx, addr)
//
// What an entry says is visible in the evidence, and what it overrules stays there.
// Of scores and of what follows from an address or the time nothing can be set, nor of
// is_anonymous and is_threat, which follow from the other traits. The package reads no
// files.
package overlay
