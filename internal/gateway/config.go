package gateway

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/net/http/httpguts"

	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/gate/challenge"
)

// Config says what a gateway stands in front of.
type Config struct {
	// Gate decides, and finds the client. Required.
	Gate *gate.Gate

	// Challenges has the page where clients prove themselves; it is served here, and
	// hides what the upstream has at its path. Default: none.
	Challenges *challenge.Challenges

	// Upstream is the application: "http://127.0.0.1:3000", "https://app.internal",
	// "h2c://127.0.0.1:3000" for HTTP/2 without TLS, or "unix:/run/app.sock". It
	// has no path, because the path that goes on is the one that was judged.
	// Required.
	Upstream string

	// UpstreamTLS is for "https://". Default: the system's roots.
	UpstreamTLS *tls.Config

	// UpstreamHost is the Host that the upstream sees. Default: the client's,
	// which is always in X-Forwarded-Host.
	UpstreamHost string

	// Upgrades lists the protocols that a client may switch to. What is spoken
	// after that is not judged, so HTTP itself (h2c) cannot be among them.
	// Default: websocket.
	Upgrades []string

	// KeepOverrides lets headers through that make some applications serve another
	// method or path than the request's (X-HTTP-Method-Override, X-Original-URL and
	// the like). The policy judges the request's own, whatever they say.
	// Default: they are removed.
	KeepOverrides bool

	// MaxBody bounds a request's body in bytes. Default: none, bodies are streamed.
	MaxBody int64

	// MaxUpstreamConns bounds the connections to the upstream; the next request
	// waits for one. Default: 16384.
	MaxUpstreamConns int

	// DialTimeout bounds connecting to the upstream, TLS included. Default: 5 s.
	DialTimeout time.Duration

	// ResponseTimeout bounds the time from the request sent to the answer's header.
	// Default: 60 s.
	ResponseTimeout time.Duration

	// StallTimeout bounds how long a client may send nothing of a body that it
	// owes, or take nothing of an answer. Default: 30 s.
	StallTimeout time.Duration

	// Metrics is where counters are registered. Default: nowhere.
	Metrics prometheus.Registerer

	// Log gets what goes wrong with the upstream. Default: slog.Default().
	Log *slog.Logger

	// Now is the clock of durations. Default: time.Now.
	Now func() time.Time
}

// validProtocol: a token, and one more for a version (RFC 9110 section 7.8).
func validProtocol(p string) bool {
	name, version, more := strings.Cut(p, "/")
	return httpguts.ValidHeaderFieldName(name) && (!more || httpguts.ValidHeaderFieldName(version))
}

// defaults fills in what was left out, and reports every mistake.
func (c *Config) defaults() (*upstream, error) {
	var errs []error
	if c.Gate == nil {
		errs = append(errs, errors.New("the Gate is missing: make one with gate.New"))
	}
	up, err := parseUpstream(c.Upstream)
	if err != nil {
		errs = append(errs, err)
	}
	if c.UpstreamHost != "" {
		if _, _, ok := readHost(c.UpstreamHost); !ok {
			errs = append(errs, fmt.Errorf("UpstreamHost %q is no host; an example: \"app.internal:8080\"", c.UpstreamHost))
		}
	}
	if c.Upgrades == nil {
		c.Upgrades = []string{"websocket"}
	}
	for _, p := range c.Upgrades {
		switch {
		case !validProtocol(p):
			errs = append(errs, fmt.Errorf("the Upgrades has %q, which is no name of a protocol; an example: \"websocket\"", p))
		case speaksHTTP(p):
			errs = append(errs, fmt.Errorf("the Upgrades has %q, in which requests could be sent that nobody judges; leave it out", p))
		}
	}
	if c.MaxBody < 0 {
		errs = append(errs, fmt.Errorf("MaxBody is %d; give a number of bytes, or 0 for no bound", c.MaxBody))
	}
	if c.MaxUpstreamConns < 0 {
		errs = append(errs, fmt.Errorf("MaxUpstreamConns is %d; give 1 or more, or 0 for %d", c.MaxUpstreamConns, maxConns))
	}
	if c.MaxUpstreamConns == 0 {
		c.MaxUpstreamConns = maxConns
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		or    time.Duration
	}{
		{"DialTimeout", &c.DialTimeout, 5 * time.Second},
		{"ResponseTimeout", &c.ResponseTimeout, time.Minute},
		{"StallTimeout", &c.StallTimeout, 30 * time.Second},
	} {
		if *d.value < 0 {
			errs = append(errs, fmt.Errorf("%s is %v; give a time such as 30s, or 0 for %v", d.name, *d.value, d.or))
		}
		if *d.value == 0 {
			*d.value = d.or
		}
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	return up, nil
}
