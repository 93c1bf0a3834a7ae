// Package source holds wrappers round an [ipwarden.Source]: each is a Source
// itself, and they compose.
//
// A provider that costs time and money goes beside a dataset, kept by its networks
// and asked behind the request, once for all who wait. The calls most people want:
//
//	kept, err := source.NewCached(source.CachedConfig{Name: "vendor", Source: vendor})
//	src, err := source.NewLayered(source.LayeredConfig{Source: live, Providers: []*source.Cached{kept}})
//	rec, pending, err := src.Ask(ctx, addr, ipwarden.IntelligenceSync, 50*time.Millisecond)
//
// [Breaker], [Again], [Spend] and [Timeout] go between the two, in this order. What
// [Cached] shares with other processes it puts into a [Store]; what it finds there
// that it did not put in, it does not believe.
//
// The package does no I/O of its own.
package source
