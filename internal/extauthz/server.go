package extauthz

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"github.com/ipwarden/ipwarden/clientip"
	"github.com/ipwarden/ipwarden/internal/door"
)

// Config says what a [Server] does.
type Config struct {
	// Decide settles each request. Required.
	Decide door.Decide

	// Removes reports whether a field of a request must not go on to the
	// application: what only we may say, and what tells a client's address. It is
	// asked in lower case. Default: that of a [clientip.Extractor].
	Removes func(name string) bool

	// Peers says who may connect. Default: this machine, 1024 connections.
	Peers door.Peers

	// Ready is what the health service says. Default: ready, until told to stop.
	Ready func() bool

	// Linger is how long a server that was told to stop still takes requests,
	// with its health at NOT_SERVING, so that Envoy goes elsewhere.
	// Default: 200 ms; negative: none.
	Linger time.Duration

	// Grace bounds how long decisions may take after that. Default: 10 s.
	Grace time.Duration

	// Log gets what goes wrong. Default: nothing.
	Log *slog.Logger
}

const (
	// maxMessage bounds a question: Envoy's own bound on a request's header is
	// 60 KiB unless told otherwise, and 8 MiB at most; no body is asked for. Where
	// Envoy is told to let pass what is not answered, a question beyond it would pass.
	maxMessage = 9 << 20
	// maxMetadata bounds the header of the question itself, which is Envoy's own.
	maxMetadata = 64 << 10
	// quickestPing is how often a connection may be tried without being ended for it.
	quickestPing = time.Second
	// maxStreams bounds the questions of a connection that are open at a time.
	maxStreams = 1000
	// handshake bounds how long a connection may take to begin.
	handshake = 5 * time.Second
)

// Stats counts what a [Server] did since it was made.
type Stats struct {
	Checks  uint64 // questions that were answered
	Refused uint64 // connections that were closed because of where they came from
}

// A Server answers Envoy. It is safe for concurrent use.
type Server struct {
	auth.UnimplementedAuthorizationServer

	cfg      Config
	pool     sync.Pool // of *exchange
	checks   atomic.Uint64
	stopping atomic.Bool
	listener atomic.Pointer[door.Listener]
}

var _ auth.AuthorizationServer = (*Server)(nil)

// New makes a server. The error names every mistake of cfg.
func New(cfg Config) (*Server, error) {
	var errs []error
	if cfg.Decide == nil {
		errs = append(errs, errors.New("there is no Decide: give the function that settles a request"))
	}
	if cfg.Removes == nil {
		x, err := clientip.New(clientip.Config{})
		if err != nil {
			errs = append(errs, err)
		} else {
			cfg.Removes = x.Removes
		}
	}
	if err := cfg.Peers.Check(); err != nil {
		errs = append(errs, err)
	}
	if cfg.Grace < 0 {
		errs = append(errs, fmt.Errorf("a Grace of %v: give a time such as 10s", cfg.Grace))
	} else if cfg.Grace == 0 {
		cfg.Grace = 10 * time.Second
	}
	if cfg.Linger == 0 {
		cfg.Linger = 200 * time.Millisecond
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("extauthz: %w", errors.Join(errs...))
	}
	s := &Server{cfg: cfg}
	s.pool.New = func() any { return new(exchange) }
	return s, nil
}

// Stats returns the counters.
func (s *Server) Stats() Stats {
	st := Stats{Checks: s.checks.Load()}
	if l := s.listener.Load(); l != nil {
		st.Refused = l.Refused()
	}
	return st
}

// Serve takes connections from ln until ctx ends, and then stops: the health
// says so, ln is closed, and what was asked is answered. It returns nil when
// everything was answered within the grace. It may be called once.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	guarded, err := door.Listen(ln, s.cfg.Peers)
	if err != nil {
		return err
	}
	if !s.listener.CompareAndSwap(nil, guarded) {
		return errors.New("extauthz: Serve was called twice; make a Server for each listener")
	}
	g := grpc.NewServer(
		grpc.ForceServerCodecV2(codec{encoding.GetCodecV2("proto")}),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxHeaderListSize(maxMetadata),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.ConnectionTimeout(handshake),
		grpc.WaitForHandlers(true),
		// A peer that is gone without a word is found out.
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 2 * time.Minute, Timeout: 20 * time.Second}),
		// Envoy may do the same ("connection_keepalive"): what gRPC allows by itself, a
		// ping in five minutes, would end its connection, and what is asked on it.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: quickestPing, PermitWithoutStream: true}),
	)
	auth.RegisterAuthorizationServer(g, s)
	grpc_health_v1.RegisterHealthServer(g, &health{server: s})
	failed := make(chan error, 1)
	go func() { failed <- g.Serve(guarded) }()
	select {
	case err := <-failed:
		g.Stop()
		return fmt.Errorf("extauthz: accepting connections: %w", err)
	case <-ctx.Done():
	}
	s.stopping.Store(true)
	if s.cfg.Linger > 0 {
		time.Sleep(s.cfg.Linger)
	}
	return s.drain(g, failed)
}

// drain answers what was asked, within the grace.
func (s *Server) drain(g *grpc.Server, failed <-chan error) error {
	ended := make(chan struct{})
	go func() { g.GracefulStop(); close(ended) }()
	grace := time.NewTimer(s.cfg.Grace)
	defer grace.Stop()
	var err error
	select {
	case <-ended:
	case <-grace.C:
		g.Stop() // ends the contexts of what is still being decided
		<-ended
		err = fmt.Errorf("extauthz: not everything had been answered after %v", s.cfg.Grace)
	}
	<-failed
	return err
}
