package provider

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Bounds of a connection. A look-up that has less time ends before.
const (
	maxConns      = 64
	maxHeader     = 32 << 10
	idleTime      = 90 * time.Second
	handshakeTime = 5 * time.Second
	// An HTTP/2 connection that is silent for so long is asked whether it lives.
	pingAfter, pingTime = 15 * time.Second, 5 * time.Second
	maxRedirects        = 3
)

// newClient makes the one client of a provider.
func newClient(cfg *Config) *http.Client {
	rt := cfg.Transport
	if rt == nil {
		t := &http.Transport{
			DialContext:           (&net.Dialer{Timeout: cfg.Timeout, KeepAlive: 30 * time.Second}).DialContext,
			TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs},
			TLSHandshakeTimeout:   min(handshakeTime, cfg.Timeout),
			ResponseHeaderTimeout: cfg.Timeout,
			ExpectContinueTimeout: time.Second, MaxResponseHeaderBytes: maxHeader,
			MaxIdleConns: maxConns, MaxIdleConnsPerHost: maxConns, MaxConnsPerHost: maxConns, IdleConnTimeout: idleTime,
			ForceAttemptHTTP2: true, HTTP2: &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTime},
		}
		if cfg.ProxyFromEnvironment {
			t.Proxy = http.ProxyFromEnvironment
		}
		rt = t
	}
	return &http.Client{Transport: rt, CheckRedirect: sameHost}
}

// sameHost follows a redirect only to where the question went anyway: it holds
// the address, and perhaps the key.
func sameHost(to *http.Request, via []*http.Request) error {
	first := via[0].URL
	if to.URL.Host != first.Host || to.URL.Scheme != first.Scheme || len(via) > maxRedirects {
		return http.ErrUseLastResponse
	}
	to.Header.Del("Referer") // it would hold the whole URL
	return nil
}

// A target is a URL with a place for the address.
type target struct {
	parts []part
	clear bool // plain HTTP to another machine
}

// part is a piece of text, and how the address is escaped behind it.
type part struct {
	text   string
	escape func(string) string // nil: nothing is behind it
}

// newTarget puts the template of the vendor behind the base address and checks
// the whole: there is one place for the address, and not in the host.
func newTarget(cfg *Config, v *vendor) (*target, error) {
	var text string
	if cfg.Map != nil {
		var err error
		if text, err = cfg.Map.target(cfg); err != nil {
			return nil, err
		}
	} else {
		text = cfg.BaseURL + v.target(cfg)
		if cfg.Key != "" && cfg.KeyIn == inQuery {
			text = addQuery(text, v.query, cfg.Key)
		}
	}
	if err := checkTemplate(text); err != nil {
		return nil, err
	}
	u, err := url.Parse(strings.Replace(text, "{ip}", "192.0.2.1", 1))
	if err != nil {
		return nil, err
	}
	before, after, _ := strings.Cut(text, "{ip}")
	escape := url.PathEscape
	if strings.Contains(before, "?") {
		escape = url.QueryEscape
	}
	ip, err := netip.ParseAddr(u.Hostname())
	loopback := u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
	return &target{parts: []part{{before, escape}, {after, nil}}, clear: u.Scheme == "http" && !loopback}, nil
}

// checkTemplate says what is wrong with a URL that should have {ip} in it.
func checkTemplate(text string) error {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok || scheme != "http" && scheme != "https" {
		return errors.New("the address must begin with https:// or http://")
	}
	host := rest[:strings.IndexAny(rest+"/", "/?#")]
	u, err := url.Parse(strings.ReplaceAll(text, "{ip}", "192.0.2.1"))
	switch {
	case strings.Contains(host, "{ip}"):
		return errors.New("{ip} must be in the path or the query, not in the host")
	case strings.Count(text, "{ip}") != 1:
		return errors.New("the address must have {ip} in it once, such as https://api.example.com/{ip}")
	case err != nil || u.Host == "" || u.User != nil || strings.Contains(text, "#"):
		return errors.New("the address must be like https://api.example.com/{ip}, without user and #")
	case strings.ContainsAny(strings.Replace(text, "{ip}", "", 1), "{} \r\n\t"):
		return errors.New("the address has spaces, or braces that are neither {ip} nor {key}")
	}
	return nil
}

func addQuery(text, name, value string) string {
	sep := "?"
	if strings.Contains(text, "?") {
		sep = "&"
	}
	return text + sep + name + "=" + url.QueryEscape(value)
}

// of is the URL of one address. Only the canonical text of an address is ever
// substituted, never one that was asked with.
func (t *target) of(addr netip.Addr) string {
	var b strings.Builder
	for _, p := range t.parts {
		b.WriteString(p.text)
		if p.escape != nil {
			b.WriteString(p.escape(addr.String()))
		}
	}
	return b.String()
}

// headerOf is the header of every request.
func headerOf(cfg *Config, v *vendor) http.Header {
	h := http.Header{}
	for name, values := range v.extra {
		for _, value := range values {
			if cfg.Key == "" && strings.Contains(value, "{key}") {
				continue
			}
			h.Add(name, strings.ReplaceAll(value, "{key}", cfg.Key))
		}
	}
	accept := v.accept
	if accept == "" {
		accept = "application/json"
	}
	if h.Get("Accept") == "" {
		h.Set("Accept", accept)
	}
	h.Set("User-Agent", cfg.UserAgent)
	if cfg.Key == "" {
		return h
	}
	switch cfg.KeyIn {
	case inHeader:
		h.Set(v.header, cfg.Key)
	case inBearer:
		h.Set("Authorization", "Bearer "+cfg.Key)
	case inBasic:
		user := cfg.Account + ":" + cfg.Key
		if cfg.Account == "" {
			user = cfg.Key + ":"
		}
		h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user)))
	}
	return h
}

// response is an answer that was read.
type response struct {
	status int
	header http.Header
	doc    node
	junk   error // why there is no doc
}

type tooLarge struct{ most int64 }

func (e *tooLarge) Error() string { return fmt.Sprintf("it has more than %d bytes", e.most) }

// fetch makes the request and reads the answer, all of it within ctx.
func (p *Provider) fetch(ctx context.Context, addr netip.Addr) (*response, *Error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.target.of(addr), nil)
	if err != nil {
		return nil, p.failed(ctx, 0, err)
	}
	req.Header = p.header.Clone()
	res, err := p.client.Do(req)
	if err != nil {
		return nil, p.failed(ctx, 0, err)
	}
	defer res.Body.Close()
	r := &response{status: res.StatusCode, header: res.Header}
	body, err := io.ReadAll(io.LimitReader(res.Body, p.cfg.MaxBytes+1))
	switch {
	case err == nil && int64(len(body)) > p.cfg.MaxBytes:
		err = &tooLarge{p.cfg.MaxBytes}
	case err == nil:
		r.doc, r.junk = parse(body)
		if r.junk == nil && !r.doc.object() {
			r.doc, r.junk = node{}, said("it is no JSON object")
		}
	}
	if err != nil {
		if r.status < 200 || r.status >= 300 {
			return r, nil // the status says enough
		}
		return nil, p.failed(ctx, r.status, err)
	}
	return r, nil
}
