package ipwarden

import (
	"context"
	"net/netip"
)

// A Source answers who an address is.
//
// An address nobody knows anything about is not an error: the answer is a
// Record whose fields are absent. An error means that the question could not
// be asked or answered (a provider that failed, a cancelled context).
//
// Implementations must be safe for concurrent use, must put the address through
// [Canonical] (or be handed canonical ones by a Source that did), must return
// within ctx's deadline, and must return Records that stay readable after the
// Source was replaced.
type Source interface {
	Lookup(ctx context.Context, addr netip.Addr) (Record, error)
}

// SourceFunc lets a function be a [Source].
type SourceFunc func(ctx context.Context, addr netip.Addr) (Record, error)

// Lookup calls f.
func (f SourceFunc) Lookup(ctx context.Context, addr netip.Addr) (Record, error) {
	return f(ctx, addr)
}

var _ Source = SourceFunc(nil)
