package main

import (
	"context"
	"fmt"
	"io"

	"github.com/ipwarden/ipwarden/internal/api"
)

// gatewayService is where applications tell what became of their requests, and ask
// what was decided. It is no part of the listener that clients come to: there every
// path is the application's.
type gatewayService struct{ server *api.Server }

// service opens the listener, nil for none. Who may ask is the API's business: a
// trusted peer, who reaches the Unix socket, and who has the service token.
func (c *gatewayCmd) service(asked *api.API) (*gatewayService, error) {
	if c.ServiceListen == "" {
		return nil, nil
	}
	s, err := api.Listen(api.ServerConfig{API: asked, Listen: c.ServiceListen, Linger: -1})
	if err != nil {
		return nil, fmt.Errorf("--service-listen: %w", err)
	}
	return &gatewayService{s}, nil
}

func (s *gatewayService) greet(w io.Writer) {
	if s != nil {
		fmt.Fprintf(w, "  takes outcomes at %s:%s\n", s.server.Addr().Network(), s.server.Addr())
	}
}

// run serves until ctx ends; when the listener fails, cancel ends the rest.
func (s *gatewayService) run(ctx context.Context, cancel context.CancelFunc) (wait func() error) {
	if s == nil {
		return func() error { return nil }
	}
	ended := make(chan error, 1)
	go func() {
		err := s.server.Run(ctx)
		if err != nil {
			cancel()
		}
		ended <- err
	}()
	return func() error { return <-ended }
}
