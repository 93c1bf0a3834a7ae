package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/ipwarden/ipwarden/internal/api"
	"github.com/ipwarden/ipwarden/internal/proxyproto"
)

// ServerConfig says where a [Server] listens, and how patient it is.
type ServerConfig struct {
	Gateway *Gateway // required

	// Listen is where clients come: "0.0.0.0:80", "[::1]:0" or "unix:/path". It
	// speaks HTTP/1.1 and HTTP/2, without TLS to clients that begin with it.
	// Required.
	Listen string

	// TLS makes it speak TLS; it needs a certificate. Default: none.
	TLS *tls.Config

	// ProxyProtocol are the balancers that tell the client's address in a PROXY
	// header, version 1 or 2, before anything else; they must. Nobody else may.
	// Default: nobody.
	ProxyProtocol []netip.Prefix

	// MaxHeader bounds a request's header in bytes, first line included.
	// Default: 128 KiB.
	MaxHeader int

	// MaxConns bounds the clients' connections. Default: 16384.
	MaxConns int

	// MaxStreams bounds the requests at a time on one connection of HTTP/2.
	// Default: 100.
	MaxStreams int

	// HeaderTimeout bounds how long a request's header may take. Default: 10 s.
	HeaderTimeout time.Duration

	// IdleTimeout is how long a connection may wait for its next request.
	// Default: 75 s.
	IdleTimeout time.Duration

	// Linger is how long a server that was told to stop goes on accepting, with
	// each answer ending its connection, so that clients leave of their own
	// accord. Default: 200 ms; negative: none.
	Linger time.Duration

	// Grace bounds how long requests in flight, and connections whose protocol was
	// switched, may take after that. Default: 10 s.
	Grace time.Duration
}

// A Server runs a [Gateway].
type Server struct {
	cfg  ServerConfig
	ln   net.Listener
	http *http.Server
	// cut ends what is still under way.
	ctx context.Context
	cut context.CancelFunc
	// taken counts handlers, because net/http forgets connections that were taken
	// over.
	taken sync.WaitGroup
}

// Listen opens the listener without serving yet, so that a port that is taken is
// an error before anything runs. The error names every mistake.
func Listen(cfg ServerConfig) (*Server, error) {
	var errs []error
	if cfg.Gateway == nil {
		errs = append(errs, errors.New("Gateway is missing: make one with New"))
	}
	if cfg.Listen == "" {
		errs = append(errs, errors.New("Listen is missing: say where, such as \"127.0.0.1:8080\""))
	}
	if cfg.TLS != nil && len(cfg.TLS.Certificates) == 0 && cfg.TLS.GetCertificate == nil && cfg.TLS.GetConfigForClient == nil {
		errs = append(errs, errors.New("TLS has no certificate; set GetCertificate or Certificates"))
	}
	for _, n := range []struct {
		name  string
		value *int
		or    int
	}{{"MaxHeader", &cfg.MaxHeader, 128 << 10}, {"MaxConns", &cfg.MaxConns, maxConns}, {"MaxStreams", &cfg.MaxStreams, 100}} {
		if *n.value < 0 {
			errs = append(errs, fmt.Errorf("%s is %d; give 1 or more, or 0 for %d", n.name, *n.value, n.or))
		}
		if *n.value == 0 {
			*n.value = n.or
		}
	}
	for _, d := range []struct {
		value *time.Duration
		or    time.Duration
	}{
		{&cfg.HeaderTimeout, 10 * time.Second}, {&cfg.IdleTimeout, 75 * time.Second}, {&cfg.Grace, 10 * time.Second},
	} {
		if *d.value <= 0 {
			*d.value = d.or
		}
	}
	if cfg.Linger == 0 {
		cfg.Linger = 200 * time.Millisecond
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("gateway: %w", errors.Join(errs...))
	}
	ln, err := api.OpenListener(cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("gateway: the listener: %w", err)
	}
	if cfg.Gateway.up.reaches(ln.Addr()) {
		_ = ln.Close() // nothing was accepted yet
		return nil, fmt.Errorf("gateway: the upstream is this listener, %s: every request would come round again; give the application's address", ln.Addr())
	}
	g := cfg.Gateway
	ln = newBounded(ln, cfg.MaxConns, g.cfg.StallTimeout, g.metrics.connections)
	if len(cfg.ProxyProtocol) > 0 {
		wrapped, err := proxyproto.New(ln, proxyproto.Config{Allowed: cfg.ProxyProtocol})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("gateway: %w", err), ln.Close())
		}
		ln = wrapped
	}
	s := &Server{cfg: cfg, ln: ln}
	s.ctx, s.cut = context.WithCancel(context.Background())
	s.http = s.server()
	return s, nil
}

// Addr tells where the server listens, with the port that was chosen for ":0".
func (s *Server) Addr() net.Addr { return s.ln.Addr() }

// server returns a net/http server with bounds on everything a client can take
// its time with, but for the length of a body or an answer: those are streamed,
// and must only not stall.
func (s *Server) server() *http.Server {
	g := s.cfg.Gateway
	h := &http.Server{
		Handler:           s.handler(g),
		ReadHeaderTimeout: s.cfg.HeaderTimeout,
		IdleTimeout:       s.cfg.IdleTimeout,
		MaxHeaderBytes:    max(s.cfg.MaxHeader-4096, 1), // net/http adds 4096
		// "OPTIONS *" is for the gate as everything is.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     g.errorLog,
		BaseContext:                  func(net.Listener) context.Context { return s.ctx },
		TLSConfig:                    s.cfg.TLS.Clone(),
		Protocols:                    new(http.Protocols),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: s.cfg.MaxStreams,
			WriteByteTimeout:     g.cfg.StallTimeout,
			SendPingTimeout:      s.cfg.IdleTimeout,
			PingTimeout:          15 * time.Second,
		},
	}
	h.Protocols.SetHTTP1(true)
	h.Protocols.SetHTTP2(s.cfg.TLS != nil)
	h.Protocols.SetUnencryptedHTTP2(s.cfg.TLS == nil)
	return h
}

func (s *Server) handler(g *Gateway) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.taken.Add(1)
		defer s.taken.Done()
		g.ServeHTTP(w, r)
	})
}

// Run serves until ctx ends or the listener fails, then stops: answers end their
// connections, the listener closes, and what was accepted is answered within the
// grace. What is still there then, such as a WebSocket, is cut, which is no
// error. Run may be called once.
func (s *Server) Run(ctx context.Context) error {
	defer s.cut()
	failed := make(chan error, 1)
	go func() {
		if s.cfg.TLS != nil {
			failed <- s.http.ServeTLS(s.ln, "", "")
			return
		}
		failed <- s.http.Serve(s.ln)
	}()
	select {
	case <-ctx.Done():
	case err := <-failed:
		s.stop()
		return fmt.Errorf("gateway: the listener failed: %w", err)
	}
	err := s.stop()
	<-failed
	return err
}

// stop ends the listener and waits for what runs on it.
func (s *Server) stop() error {
	g := s.cfg.Gateway
	g.draining.Store(true)
	if s.cfg.Linger > 0 {
		time.Sleep(s.cfg.Linger)
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Grace)
	defer cancel()
	err := s.http.Shutdown(ctx)
	ended := make(chan struct{})
	go func() { s.taken.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	s.cut()
	if err != nil {
		err = errors.Join(fmt.Errorf("gateway: requests were still running after %v: %w", s.cfg.Grace, err), s.http.Close())
	}
	select {
	case <-ended:
	case <-time.After(time.Second): // what was cut ends at once, but where a client takes nothing
	}
	g.Close()
	return err
}
