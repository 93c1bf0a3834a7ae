// Package ipwarden holds the words the whole project speaks: an address in its
// canonical form, a [Record] of what is known about it, the [Traits] a policy
// asks for, the [Field] names of the JSON, and the [Evidence] behind each one.
//
// The call most people want is a look-up in a compiled dataset:
//
//	ds, err := dataset.Open("world.ipw")
//	rec, err := ds.Lookup(ctx, netip.MustParseAddr("8.8.8.8"))
//	rec.CountryCode(), rec.ASNumber(), rec.Traits().Has(ipwarden.Hosting)
//
// The package links the standard library only, does no I/O, and keeps fmt,
// encoding/json and net/http out, so that what is built on it stays small
// enough for an edge platform. It refuses to guess: what is unknown is absent.
package ipwarden
