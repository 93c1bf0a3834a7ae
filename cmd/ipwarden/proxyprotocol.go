package main

import (
	"log/slog"
	"net"

	"github.com/ipwarden/ipwarden/internal/proxyproto"
)

// proxyProtocol wraps a listener so that those of the networks tell the client in a
// PROXY header, and nobody else may; nil for no networks.
func proxyProtocol(networks []string, log *slog.Logger) (func(net.Listener) (net.Listener, error), error) {
	allowed, err := parseNetworks("--proxy-protocol", networks)
	if err != nil || len(allowed) == 0 {
		return nil, err
	}
	cfg := proxyproto.Config{Allowed: allowed, Refused: func(_ net.Addr, why error) { log.Debug("a connection was refused", "why", why) }}
	return func(ln net.Listener) (net.Listener, error) {
		wrapped, err := proxyproto.New(ln, cfg)
		if err != nil {
			return nil, usagef("--proxy-protocol: %w", err)
		}
		return wrapped, nil
	}, nil
}
