// Package mmdb speaks the MaxMind DB file format, version 2.0: it answers from
// such a file, imports one as a feed, and writes one.
//
// [Open] makes a file an [ipwarden.Source]:
//
//	r, err := mmdb.Open("GeoLite2-City.mmdb")
//	rec, err := r.Lookup(ctx, netip.MustParseAddr("81.2.69.142"))
//
// [Formats] has the parsers of the two schemas we know, MaxMind's nested one
// and IPinfo's flat one, with the contract of package feed. A [Writer] writes a
// file, in whatever schema; [RecordMap] gives a Record in MaxMind's, so that
// every program that reads theirs reads ours.
//
// The format is described at https://maxmind.github.io/MaxMind-DB/. Files are
// untrusted: a broken or hostile one is an error, and never a panic or an
// endless loop.
package mmdb
