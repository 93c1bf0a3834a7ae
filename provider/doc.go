// Package provider asks outside intelligence APIs who an address is. Each is an
// [ipwarden.Source], one file a vendor.
//
// The call most people want:
//
//	p, err := provider.New(provider.Config{Kind: "ipinfo", Plan: "core", Key: os.Getenv("IPINFO_TOKEN")})
//	…
//	rec, err := p.Lookup(ctx, addr)
//
// Each answer is a Record of its own whose every field has the provider as its
// evidence. A vendor that is not here is had by [Map], a file without code.
//
// What it refuses: it never sends out an address that is not public, or anything
// but the canonical text of one; it follows no redirect to another host, reads no
// more than a bounded answer, and shows a key in no error and no log. It does not
// wait, retry or cache: that is what wrappers of package source do. What it does
// by itself is to stay away from a vendor who said that the quota is used up,
// until it comes back.
package provider
