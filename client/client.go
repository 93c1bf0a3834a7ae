package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden"
)

// Config says which server is asked.
type Config struct {
	// URL is where the server is: https://ip.example, http://127.0.0.1:8080, or
	// unix:/run/ipwarden.sock. Required.
	URL string
	// Key is sent as "Authorization: Bearer": an account's key, or the gate's
	// service token. Default: none.
	Key string
	// Name is the feed of the evidence where the server gives none. Default:
	// "ipwarden".
	Name string
	// Explain asks for the server's own evidence with each answer, which costs it
	// about a millisecond. Default: the server is the evidence.
	Explain bool
	// Public says which canonical addresses may be asked about; nothing is known of
	// the others. Default: all.
	Public func(netip.Addr) bool
	// Transport does the asking. Default: one of the client's own, with keep-alive,
	// HTTP/2, TLS 1.2 or later, and no proxy. It cannot be given for a Unix socket.
	Transport http.RoundTripper
	// RootCAs are whom the default Transport trusts. Default: the system's.
	RootCAs *x509.CertPool
	// Timeout bounds a call whose context has no earlier deadline. Default: 10
	// seconds.
	Timeout time.Duration
	// UserAgent is what the server is told. Default: "ipwarden".
	UserAgent string
	// Now is the clock of evidence that the server does not date. Default: time.Now.
	Now func() time.Time
}

// Bounds of an answer, decompressed.
const (
	maxAnswer = 256 << 10
	maxBulk   = 64 << 20
	maxConns  = 64
)

// A Client asks one server. It is safe for concurrent use.
type Client struct {
	cfg   Config
	base  string
	http  *http.Client
	query string

	refused atomic.Int64 // since when the key is refused, in nanoseconds; 0: it is not
}

// Refused is since when the server refuses the key; the zero time while it does
// not.
func (c *Client) Refused() time.Time {
	if ns := c.refused.Load(); ns != 0 {
		return time.Unix(0, ns)
	}
	return time.Time{}
}

var _ ipwarden.Source = (*Client)(nil)

// New makes a Client. It asks nobody yet. The error names every mistake in cfg.
func New(cfg Config) (*Client, error) {
	var errs []error
	c := &Client{base: strings.TrimRight(cfg.URL, "/")}
	socket, isUnix := strings.CutPrefix(cfg.URL, "unix:")
	if !isUnix {
		socket = ""
	}
	if isUnix {
		c.base = "http://localhost"
		if !strings.HasPrefix(socket, "/") {
			errs = append(errs, errors.New("a Unix socket is named by its absolute path, such as unix:/run/ipwarden.sock"))
		}
		if cfg.Transport != nil {
			errs = append(errs, errors.New("a Transport of your own cannot reach a Unix socket; leave it out"))
		}
	} else if u, err := url.Parse(cfg.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		errs = append(errs, errors.New("the URL must be like https://ip.example, http://127.0.0.1:8080 or unix:/run/ipwarden.sock, without user, ? and #"))
	}
	if len(cfg.Key) > 4<<10 || strings.ContainsFunc(cfg.Key, func(r rune) bool { return r < ' ' || r >= 0x7f }) {
		errs = append(errs, errors.New("the key is too long, or holds characters that no key has"))
	}
	if cfg.Timeout < 0 {
		errs = append(errs, fmt.Errorf("the timeout is %v, and must be more than nothing", cfg.Timeout))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if cfg.Name == "" {
		cfg.Name = "ipwarden"
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "ipwarden"
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Explain {
		c.query = "?explain=1"
	}
	rt := cfg.Transport
	if rt == nil {
		rt = newTransport(&cfg, socket)
	}
	c.cfg = cfg
	c.http = &http.Client{Transport: rt, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return c, nil
}

func newTransport(cfg *Config, socket string) *http.Transport {
	dialer := &net.Dialer{Timeout: cfg.Timeout, KeepAlive: 30 * time.Second}
	t := &http.Transport{
		DialContext:         dialer.DialContext,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs},
		TLSHandshakeTimeout: min(5*time.Second, cfg.Timeout), ResponseHeaderTimeout: cfg.Timeout, MaxResponseHeaderBytes: 32 << 10,
		MaxIdleConns: maxConns, MaxIdleConnsPerHost: maxConns, MaxConnsPerHost: maxConns,
		IdleConnTimeout:   60 * time.Second, // the server's is longer
		ForceAttemptHTTP2: true, HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
	}
	if socket != "" {
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		}
	}
	return t
}

// Close gives up idle connections. Calls go on working.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// call makes one request. body is JSON, nil for a GET; to takes the answer.
func (c *Client) call(ctx context.Context, path string, body []byte, limit int64, to any) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	method, reader := http.MethodGet, io.Reader(nil)
	if body != nil {
		method, reader = http.MethodPost, bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, reader)
	if err != nil {
		return c.failed(ctx, err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.cfg.Key != "" {
		req.Header.Set("Authorization", "Bearer "+c.cfg.Key)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return c.failed(ctx, err)
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
		c.refused.Store(0)
	case http.StatusUnauthorized, http.StatusForbidden:
		c.refused.CompareAndSwap(0, c.cfg.Now().UnixNano())
		return problemOf(c.cfg.Name, res)
	default:
		return problemOf(c.cfg.Name, res)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	switch {
	case err != nil:
		return c.failed(ctx, err)
	case int64(len(text)) > limit:
		return fmt.Errorf("%s: the answer has more than %d bytes", c.cfg.Name, limit)
	}
	if err := json.Unmarshal(text, to); err != nil {
		return fmt.Errorf("%s: the answer is none of ipwarden's: %w", c.cfg.Name, err)
	}
	return nil
}

// failed says what the transport says, without the URL, which holds the address
// that was asked for.
func (c *Client) failed(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil {
		return fmt.Errorf("%s: no answer in time: %w", c.cfg.Name, cause)
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return fmt.Errorf("%s: %w", c.cfg.Name, err)
}
