package gateway

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// upstream is where requests go on to.
type upstream struct {
	scheme, host string // of the URL: http or https, and what to dial
	socket       string // of a Unix socket, else ""
	h2c          bool
}

func parseUpstream(text string) (*upstream, error) {
	const example = "an example: \"http://127.0.0.1:3000\""
	if text == "" {
		return nil, fmt.Errorf("the Upstream is missing: say where the application is; %s", example)
	}
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if path == "" {
			return nil, fmt.Errorf("the Upstream %q has no path; an example: \"unix:/run/app.sock\"", text)
		}
		return &upstream{scheme: "http", host: "localhost", socket: path}, nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("the Upstream %q is no URL; %s", text, example)
	}
	up := &upstream{scheme: u.Scheme, host: u.Host}
	switch {
	case u.Scheme == "h2c":
		up.scheme, up.h2c = "http", true
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("the Upstream %q is no URL of http, https, h2c or unix; %s", text, example)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/" {
		return nil, fmt.Errorf("the Upstream %q has more than a scheme, a host and a port: the path that goes on is the one that was judged; %s", text, example)
	}
	if _, _, ok := readHost(u.Host); !ok {
		return nil, fmt.Errorf("the Upstream %q has no host; %s", text, example)
	}
	return up, nil
}

// transport returns what carries requests to u. It goes by no proxy of the
// environment, and changes no encoding.
func (u *upstream) transport(c *Config) *http.Transport {
	dialer := &net.Dialer{Timeout: c.DialTimeout, KeepAlive: 30 * time.Second}
	t := &http.Transport{
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    c.DialTimeout,
		DisableCompression:     true,
		MaxIdleConns:           c.MaxUpstreamConns,
		MaxIdleConnsPerHost:    min(c.MaxUpstreamConns, 1024),
		MaxConnsPerHost:        c.MaxUpstreamConns,
		IdleConnTimeout:        90 * time.Second,
		ResponseHeaderTimeout:  c.ResponseTimeout,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 1 << 20,
		WriteBufferSize:        8 << 10,
		ReadBufferSize:         8 << 10,
		Protocols:              new(http.Protocols),
	}
	switch {
	case u.h2c:
		t.Protocols.SetUnencryptedHTTP2(true)
	case u.scheme == "https":
		t.Protocols.SetHTTP1(true)
		t.Protocols.SetHTTP2(true)
		if c.UpstreamTLS != nil {
			t.TLSClientConfig = c.UpstreamTLS.Clone()
		}
	default:
		t.Protocols.SetHTTP1(true)
	}
	if u.socket != "" {
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", u.socket)
		}
	}
	return t
}

// reaches reports whether connecting to u would reach the listener at addr, so
// that every request would come round again.
func (u *upstream) reaches(addr net.Addr) bool {
	if addr.Network() == "unix" {
		return u.socket == addr.String()
	}
	t, ok := addr.(*net.TCPAddr)
	if !ok || u.socket != "" {
		return false
	}
	host, port, err := net.SplitHostPort(u.host)
	if err != nil {
		host, port = u.host, map[string]string{"http": "80", "https": "443"}[u.scheme]
	}
	if port != fmt.Sprint(t.Port) {
		return false
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err != nil {
		return host == "localhost" && (t.IP.IsLoopback() || t.IP.IsUnspecified())
	}
	at := t.AddrPort().Addr().Unmap()
	return ip.Unmap() == at || at.IsUnspecified() && (ip.IsLoopback() || ip.IsUnspecified())
}
