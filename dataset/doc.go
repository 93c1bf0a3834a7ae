// Package dataset is the compiled dataset: one immutable, dated, checksummed
// file that answers who an address is, with the evidence for every field.
//
// The call most people want:
//
//	ds, err := dataset.Open("world.ipw") // mapped, nothing is built
//	rec, err := ds.Lookup(ctx, addr)     // no allocation
//
// [Build] makes such a file from feeds, reproducibly: the same inputs give the
// same bytes. [Diff] tells what moved between two of them, [Live] swaps them
// under load.
//
// The package refuses files that are truncated, damaged or hostile: Open checks
// the checksum and every reference in the index, so that a look-up needs no
// checks and cannot panic. It fetches nothing.
package dataset
