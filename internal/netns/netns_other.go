//go:build !linux

package netns

import (
	"context"
	"net"
)

// World is places that are far from each other.
type World struct{}

// Possible says why there are none here.
func Possible() error { return ErrImpossible }

// New fails.
func New(Config) (*World, error) { return nil, ErrImpossible }

// Do fails.
func (*World) Do(int, func() error) error { return ErrImpossible }

// Dial fails.
func (*World) Dial(context.Context, int, string, string) (net.Conn, error) {
	return nil, ErrImpossible
}

// Cut does nothing.
func (*World) Cut(int, int, bool) {}

// Close does nothing.
func (*World) Close() {}
