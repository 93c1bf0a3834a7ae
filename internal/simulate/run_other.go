//go:build !linux

package simulate

import (
	"context"

	"github.com/ipwarden/ipwarden/internal/netns"
)

// Run fails: see package netns.
func Run(_ context.Context, c Config) (*Report, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return nil, netns.ErrImpossible
}
