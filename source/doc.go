// Package source holds wrappers round an [ipwarden.Source]: each is a Source
// itself, and they compose.
//
// The call most people want lays what an operator knows over a dataset:
//
//	src := source.NewOverlay(source.OverlayConfig{Source: live, Entries: entries})
//	rec, err := src.Lookup(ctx, addr)
//
// The package does no I/O of its own.
package source
