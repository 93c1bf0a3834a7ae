// Package embedded holds the default dataset inside the program, so that it
// answers with no download, no account and no network.
//
// Only the program itself imports it: a library user opens a file of their own
// with package dataset and does not carry these 24 MB.
//
// The dataset is a work of its own under CC BY-SA 4.0 (see LICENSE), made from
// the feeds that NOTICE names; the code round it is under Apache-2.0. It is
// replaced only by a release.
package embedded

import (
	_ "embed"
	"unsafe"
)

//go:embed dataset.ipw
var world string

// Dataset returns the bytes of the default dataset, for [dataset.OpenData].
// They lie in the program's read-only pages and must not be changed.
func Dataset() []byte { return unsafe.Slice(unsafe.StringData(world), len(world)) }
