package nats

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// ServerConfig is of the server in this process.
type ServerConfig struct {
	// Dir is where streams are kept.
	Dir string
	// Listen is the address for other regions, "HOST:PORT". Default: none; only this
	// process reaches it.
	Listen string
	// User and Password are asked of whoever connects to Listen: a server that listens
	// has them.
	User, Password string
	// TLS is of Listen. Default: without, which is for networks that encrypt themselves.
	TLS *tls.Config
	// MaxBytes bounds the disk. Default: 8 GiB.
	MaxBytes int64
}

// Server is a NATS server in this process.
type Server struct {
	s              *server.Server
	user, password string
}

// Serve starts a server. It returns when connections are taken.
func Serve(c ServerConfig) (*Server, error) {
	if c.Dir == "" {
		return nil, errors.New("nats: no folder to keep streams in")
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = 8 << 30
	}
	o := &server.Options{
		ServerName: "ipwarden", DontListen: true,
		JetStream: true, StoreDir: c.Dir, JetStreamMaxStore: c.MaxBytes, JetStreamMaxMemory: 64 << 20,
		MaxPayload: 2 << 20, NoSigs: true, NoLog: true, DisableJetStreamBanner: true,
	}
	if c.Listen != "" {
		if c.User == "" || c.Password == "" {
			return nil, fmt.Errorf("nats: a server that listens on %s needs a user and a password, or anybody could change what customers pay for", c.Listen)
		}
		host, port, err := net.SplitHostPort(c.Listen)
		if err != nil {
			return nil, fmt.Errorf("nats: %q is no address to listen on, such as 127.0.0.1:4222: %w", c.Listen, err)
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("nats: %q has no port between 1 and 65535", c.Listen)
		}
		o.DontListen, o.Host, o.Port = false, host, int(n)
		o.Username, o.Password = c.User, c.Password
		if c.TLS != nil {
			o.TLS, o.TLSConfig, o.TLSTimeout = true, c.TLS, 5
		}
	}
	s, err := server.NewServer(o)
	if err != nil {
		return nil, fmt.Errorf("nats: %w", err)
	}
	s.Start()
	if !s.ReadyForConnections(20 * time.Second) {
		s.Shutdown()
		return nil, fmt.Errorf("nats: the server in this process does not start; is %q free, and %s its own?", c.Listen, c.Dir)
	}
	if !s.JetStreamEnabled() {
		s.Shutdown()
		return nil, fmt.Errorf("nats: streams cannot be kept in %s", c.Dir)
	}
	return &Server{s, o.Username, o.Password}, nil
}

// Close stops the server and waits until its files are written.
func (s *Server) Close() {
	s.s.Shutdown()
	s.s.WaitForShutdown()
}
