package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden/internal/api/dialect"
)

// ServerConfig says where a [Server] listens.
type ServerConfig struct {
	API *API // required

	// Listen is the address of the net/http listener, which serves everything:
	// "127.0.0.1:8080", "[::1]:0" or "unix:/path". Required.
	Listen string

	// FastListen is the address of the fast listener, in the same form. It
	// belongs behind a proxy. Default: none.
	FastListen string

	// AdminListen is the address of the admin listener (metrics and pprof), in
	// the same form. It must be on loopback or a Unix socket. Default: none.
	AdminListen string

	// Dialects are listeners that speak one dialect each and nothing else.
	// Default: none.
	Dialects []DialectListener

	// Wrap is put round the net/http listener and those of Dialects, for a protocol
	// that comes before HTTP, such as the PROXY protocol. Default: nothing.
	Wrap func(net.Listener) (net.Listener, error)

	// DangerouslyExposeAdmin allows an AdminListen that others can reach.
	DangerouslyExposeAdmin bool

	// Linger is how long a server that was told to stop goes on accepting, with
	// /readyz at 503 and each answer ending its connection, so that clients
	// leave of their own accord. Default: 200 ms; negative: none.
	Linger time.Duration

	// Grace bounds how long requests in flight may take after that.
	// Default: 10 s.
	Grace time.Duration
}

// A DialectListener is where one dialect is served alone.
type DialectListener struct {
	Dialect *dialect.Dialect
	Listen  string // in the form of the other addresses

	// TLS speaks it, for clients that insist. Default: plain HTTP.
	TLS *tls.Config
}

// A Server runs an [API] on its listeners.
type Server struct {
	cfg               ServerConfig
	ln, fastLn, admLn net.Listener
	dialectLns        []net.Listener // in the order of cfg.Dialects
	http, admin       *http.Server
	dialects          []*http.Server
	fast              *fastServer
}

// Listen opens the listeners without serving yet, so that a port that is taken
// is an error before anything runs. The error names every mistake.
func Listen(cfg ServerConfig) (*Server, error) {
	var errs []error
	if cfg.API == nil {
		errs = append(errs, errors.New("API is missing"))
	}
	if cfg.Listen == "" {
		errs = append(errs, errors.New("Listen is missing: say where, such as \"127.0.0.1:8080\""))
	}
	if cfg.AdminListen != "" && !cfg.DangerouslyExposeAdmin && !OnLoopback(cfg.AdminListen) {
		errs = append(errs, fmt.Errorf("the admin listener %q can be reached by others: it shows metrics and profiles to whoever asks; give a loopback address such as \"127.0.0.1:9090\"", cfg.AdminListen))
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("api: %w", errors.Join(errs...))
	}
	if cfg.Linger == 0 {
		cfg.Linger = 200 * time.Millisecond
	}
	if cfg.Grace <= 0 {
		cfg.Grace = 10 * time.Second
	}
	s := &Server{cfg: cfg}
	type opening struct {
		what, addr string
		ln         *net.Listener
	}
	open := []opening{{"listener", cfg.Listen, &s.ln}, {"fast listener", cfg.FastListen, &s.fastLn}, {"admin listener", cfg.AdminListen, &s.admLn}}
	s.dialectLns = make([]net.Listener, len(cfg.Dialects))
	for i, d := range cfg.Dialects {
		open = append(open, opening{"listener of " + d.Dialect.Name, d.Listen, &s.dialectLns[i]})
	}
	for _, l := range open {
		if l.addr == "" {
			continue
		}
		ln, err := listen(l.addr)
		if err != nil {
			errs = append(errs, fmt.Errorf("the %s: %w", l.what, err))
			continue
		}
		*l.ln = ln
	}
	if len(errs) == 0 && cfg.Wrap != nil {
		errs = append(errs, wrap(cfg.Wrap, &s.ln))
		for i := range s.dialectLns {
			errs = append(errs, wrap(cfg.Wrap, &s.dialectLns[i]))
		}
	}
	if err := errors.Join(errs...); err != nil {
		s.closeListeners()
		return nil, fmt.Errorf("api: %w", err)
	}
	if err := cfg.API.listensAt(s.ln.Addr()); err != nil {
		s.closeListeners()
		return nil, err
	}
	return s, nil
}

func wrap(in func(net.Listener) (net.Listener, error), ln *net.Listener) error {
	wrapped, err := in(*ln)
	if err != nil {
		return err
	}
	*ln = wrapped
	return nil
}

// Addr, FastAddr and AdminAddr tell where the server listens, with the port
// that was chosen for ":0"; nil when there is no such listener.
func (s *Server) Addr() net.Addr      { return addrOf(s.ln) }
func (s *Server) FastAddr() net.Addr  { return addrOf(s.fastLn) }
func (s *Server) AdminAddr() net.Addr { return addrOf(s.admLn) }

// DialectAddr tells where the listener is that is number i of ServerConfig.Dialects.
func (s *Server) DialectAddr(i int) net.Addr { return addrOf(s.dialectLns[i]) }

func addrOf(ln net.Listener) net.Addr {
	if ln == nil {
		return nil
	}
	return ln.Addr()
}

// Run serves until ctx ends or a listener fails, then stops: /readyz says 503,
// answers end their connections, listeners close, and what was accepted is
// answered within the grace. It returns nil when everything was. It may be
// called once.
func (s *Server) Run(ctx context.Context) error {
	a := s.cfg.API
	errorLog := log.New(logWriter{a}, "", 0)
	s.http = httpServer(a.Handler(), a.headerBound(), errorLog)
	failed := make(chan error, 3+len(s.dialectLns))
	serving := 1
	go func() { failed <- s.http.Serve(a.httpListener(s.ln)) }()
	if s.fastLn != nil {
		serving++
		s.fast = a.newFastServer(newPatience(s.fastLn))
		go func() { failed <- s.fast.serve() }()
	}
	if s.admLn != nil {
		serving++
		s.admin = httpServer(a.Admin(), maxRequestHeader, errorLog)
		s.admin.IdleTimeout = idleTimeout
		s.admin.WriteTimeout = 2 * time.Minute // of a profile
		go func() { failed <- s.admin.Serve(newBounded(s.admLn, 64)) }()
	}
	for i, ln := range s.dialectLns {
		serving++
		srv := httpServer(a.DialectHandler(s.cfg.Dialects[i].Dialect), a.headerBound(), errorLog)
		s.dialects = append(s.dialects, srv)
		go func() { failed <- srv.Serve(a.secureListener(ln, s.cfg.Dialects[i].TLS)) }()
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
		serving--
		err = fmt.Errorf("api: a listener failed: %w", err)
	}
	return errors.Join(err, s.stop(failed, serving))
}

// stop ends the listeners and waits for what runs on them.
func (s *Server) stop(failed <-chan error, serving int) error {
	a := s.cfg.API
	a.draining.Store(true)
	if s.cfg.Linger > 0 {
		time.Sleep(s.cfg.Linger)
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Grace)
	defer cancel()
	ends := make(chan error, 3+len(s.dialects))
	n := 1
	go func() { ends <- s.http.Shutdown(ctx) }()
	if s.fast != nil {
		n++
		go func() { ends <- s.fast.shutdown(ctx) }()
	}
	if s.admin != nil {
		n++
		go func() { ends <- s.admin.Shutdown(ctx) }()
	}
	for _, srv := range s.dialects {
		n++
		go func() { ends <- srv.Shutdown(ctx) }()
	}
	var errs []error
	for range n {
		if err := <-ends; err != nil {
			errs = append(errs, fmt.Errorf("api: requests were still running after %v: %w", s.cfg.Grace, err))
		}
	}
	if len(errs) > 0 { // cut what did not end in time
		errs = append(errs, s.http.Close())
		if s.admin != nil {
			errs = append(errs, s.admin.Close())
		}
		for _, srv := range s.dialects {
			errs = append(errs, srv.Close())
		}
	}
	for range serving {
		<-failed
	}
	return errors.Join(errs...)
}

func (s *Server) closeListeners() {
	for _, ln := range append([]net.Listener{s.ln, s.fastLn, s.admLn}, s.dialectLns...) {
		if ln != nil {
			_ = ln.Close() // nothing was accepted yet
		}
	}
}

// httpListener returns a listener for net/http, with its bound on connections.
func (a *API) httpListener(ln net.Listener) net.Listener {
	return &plainErrors{Listener: newLazyDeadlines(newBounded(ln, maxConnections)), api: a}
}

// secureListener is httpListener with TLS on the connections, where cfg is not
// nil. It is HTTP/1.1 alone: net/http must not see that the connection is TLS,
// because what refuses in its place stands between.
func (a *API) secureListener(ln net.Listener, cfg *tls.Config) net.Listener {
	if cfg == nil {
		return a.httpListener(ln)
	}
	return &plainErrors{Listener: tls.NewListener(newLazyDeadlines(newBounded(ln, maxConnections)), cfg), api: a}
}

// httpServer returns a net/http server with bounds on everything a client can
// take its time with, but for being idle, which httpListener bounds.
func httpServer(h http.Handler, header int, errorLog *log.Logger) *http.Server {
	return &http.Server{
		Handler:                      h,
		ReadHeaderTimeout:            readHeaderTimeout,
		ReadTimeout:                  readTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  -1,            // its listener's
		MaxHeaderBytes:               header - 4096, // net/http adds 4096
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     errorLog,
	}
}

// logWriter takes net/http's own log, which mostly speaks of clients' mistakes.
type logWriter struct{ api *API }

func (l logWriter) Write(p []byte) (int, error) {
	l.api.cfg.Log.Debug("net/http", "message", strings.TrimSpace(string(p)))
	return len(p), nil
}

// OpenListener opens "host:port" or "unix:/path", as the listeners of a Server
// are opened.
func OpenListener(addr string) (net.Listener, error) { return listen(addr) }

// listen opens "host:port", "unix:/path" or "unix:/path,mode=0660". The socket of a process that is
// gone is replaced; that of one that still answers is not.
func listen(addr string) (net.Listener, error) {
	path, isUnix := strings.CutPrefix(addr, "unix:")
	path, mode, hasMode := strings.Cut(path, ",mode=")
	if !isUnix {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, fmt.Errorf("%q: %w; an address such as \"127.0.0.1:8080\" or \"unix:/run/ipwarden.sock\" works when nobody else has it", addr, err)
		}
		return ln, nil
	}
	if st, err := os.Stat(path); err == nil && st.Mode().Type() == fs.ModeSocket {
		if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
			_ = c.Close() // it answered: that is all we asked
			return nil, fmt.Errorf("%q: another process listens there", addr)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("%q: the socket of a process that is gone cannot be removed: %w", addr, err)
		}
	}
	bits, err := strconv.ParseUint(mode, 8, 9)
	if hasMode && err != nil {
		return nil, fmt.Errorf("%q: the mode %q is none of a file; one such as unix:%s,mode=0660 lets the group in too", addr, mode, path)
	}
	if err := hasFolder(path); err != nil {
		return nil, fmt.Errorf("%q: %w", addr, err)
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", addr, err)
	}
	if hasMode {
		if err := os.Chmod(path, fs.FileMode(bits)); err != nil {
			return nil, errors.Join(fmt.Errorf("%q: %w", addr, err), ln.Close())
		}
	}
	return ln, nil
}

// hasFolder says which folder a socket lacks: the system's own words name the
// socket alone.
func hasFolder(path string) error {
	dir := filepath.Dir(path)
	switch st, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no folder %s; make it with: install -d -m 0755 %s (RuntimeDirectory= does it in a unit of systemd)", dir, dir)
	case err == nil && !st.IsDir():
		return fmt.Errorf("%s is no folder", dir)
	}
	return nil // what else is wrong, Listen says
}

// OnLoopback reports whether only this machine can reach an address.
func OnLoopback(addr string) bool {
	if strings.HasPrefix(addr, "unix:") {
		return true
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
