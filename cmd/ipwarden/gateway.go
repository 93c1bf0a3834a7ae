package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/ipwarden/ipwarden/internal/api"
	"github.com/ipwarden/ipwarden/internal/gateway"
)

// gatewayCmd is the gate as a reverse proxy.
type gatewayCmd struct {
	Listen        string        `env:"IPWARDEN_LISTEN" default:"127.0.0.1:8080" placeholder:"ADDR" help:"Where clients come, such as 0.0.0.0:80 or unix:/run/ipwarden.sock; default ${default}."`
	Upstream      string        `env:"IPWARDEN_UPSTREAM" placeholder:"URL" help:"The application: http://127.0.0.1:3000, https://app.internal, h2c://127.0.0.1:3000 or unix:/run/app.sock."`
	UpstreamHost  string        `env:"IPWARDEN_UPSTREAM_HOST" placeholder:"HOST" help:"The Host that the application sees; default the client's."`
	TLSCert       string        `name:"tls-cert" env:"IPWARDEN_TLS_CERT" placeholder:"FILE" help:"Speak TLS with this certificate, and the key of --tls-key; both are read anew when they change."`
	TLSKey        string        `name:"tls-key" env:"IPWARDEN_TLS_KEY" placeholder:"FILE" help:"The key of --tls-cert."`
	Upgrade       []string      `env:"IPWARDEN_UPGRADE" sep:"," placeholder:"NAME,..." help:"Protocols that clients may switch to; default websocket."`
	KeepOverrides bool          `env:"IPWARDEN_KEEP_OVERRIDES" help:"Let headers through that make applications serve another method or path than the one that was judged."`
	MaxBody       int64         `env:"IPWARDEN_MAX_BODY" placeholder:"BYTES" help:"Refuse longer bodies of requests; default none."`
	UpstreamWait  time.Duration `env:"IPWARDEN_UPSTREAM_WAIT" default:"60s" placeholder:"TIME" help:"How long the application may take to begin its answer; default ${default}."`
	ProxyProtocol []string      `env:"IPWARDEN_PROXY_PROTOCOL" sep:"," placeholder:"CIDR,..." help:"Balancers that tell the client in a PROXY header, which they then must; default nobody."`
	AdminListen   string        `env:"IPWARDEN_ADMIN_LISTEN" placeholder:"ADDR" help:"Where metrics, profiles and what applications ask are; loopback only."`
	ServiceListen string        `env:"IPWARDEN_SERVICE_LISTEN" placeholder:"ADDR" help:"Where the application tells outcomes and asks for decisions, such as unix:/run/ipwarden-service.sock; default nowhere but --admin-listen."`
	LogFormat     string        `env:"IPWARDEN_LOG_FORMAT" enum:"text,json" default:"text" help:"${enum}."`
	LogLevel      string        `env:"IPWARDEN_LOG_LEVEL" enum:"debug,info,warn,error" default:"info" help:"${enum}."`
	dataFlags
	providerFlags
	reportFlags
	gateFlags `group:"Gate"`
}

// Help is the long help.
func (gatewayCmd) Help() string {
	return `Stands in front of an application: each request is decided about by a policy, and
goes on with what is known of it, or is answered here. It speaks HTTP/1.1, HTTP/2
and what clients switch to, such as WebSocket. What goes on is what was judged.

Examples:
  ipwarden gateway --upstream http://127.0.0.1:3000 --policy policy.yaml
  ipwarden gateway --listen 0.0.0.0:443 --tls-cert cert.pem --tls-key key.pem --upstream unix:/run/app.sock
  ipwarden gateway --listen 0.0.0.0:80 --trusted-proxies 10.0.0.0/8 --upstream http://app:3000
  ipwarden gateway --service-listen unix:/run/ipwarden-service.sock --upstream http://127.0.0.1:3000`
}

// Run sends requests on until it is told to stop.
func (c *gatewayCmd) Run(e *env) error {
	reports, err := c.reportFlags.open(e)
	if err != nil {
		return err
	}
	defer reports.Close()
	log := reported(newLog(e.stderr, c.LogFormat, c.LogLevel), reports)
	if c.Upstream == "" {
		return usagef("say where the application is: --upstream http://127.0.0.1:3000")
	}
	file, err := c.policyFile(&c.dirFlag, e)
	if err != nil {
		return err
	}
	if file == "" {
		return usagef("there is no policy to decide by: give --policy policy.yaml; 'ipwarden policy init' writes one")
	}
	s := &server{loader: &loader{flags: &c.dataFlags, env: e, policy: file}, log: log}
	seen := s.loader.fingerprint()
	first, err := s.loader.load()
	if err != nil {
		return err
	}
	s.use(first)
	if s.beside, err = c.providerFlags.open(e, s.live.Load, log); err != nil {
		return err
	}
	defer s.beside.Close()
	s.shield = newShield(s.live.Load, s.beside, e, log)
	if s.gate, err = c.gateFlags.open(file, &c.dirFlag, e, s.live.Load, s.beside, s.shield, log); err != nil {
		return err
	}
	defer s.gate.Close()
	if err := s.shield.open(context.Background(), &c.dirFlag, e, s.gate, nil); err != nil {
		return err
	}
	defer s.shield.Close()
	if s.loader.also = s.named(); len(s.loader.also) > 0 {
		seen = s.loader.fingerprint()
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(api.GateMetrics(s.gate.Gate, s.gate.challenges), api.LimitMetrics(s.gate.Gate), api.CrawlerMetrics(s.gate.crawlers), api.BanMetrics(s.gate.bans), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s.failed.register(registry)
	s.beside.register(registry)
	s.shield.register(registry)
	registry.MustRegister(reportMetrics{reports})
	proxy, err := gateway.New(gateway.Config{
		Gate: s.gate.Gate, Challenges: s.gate.challenges, Upstream: c.Upstream, UpstreamHost: c.UpstreamHost, Upgrades: c.Upgrade,
		KeepOverrides: c.KeepOverrides, MaxBody: c.MaxBody, ResponseTimeout: c.UpstreamWait, Metrics: registry, Log: log, Now: e.now,
	})
	if err != nil {
		return usageError{err}
	}
	certificates, err := c.certificates(e.now)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	balancers, err := parseNetworks("--proxy-protocol", c.ProxyProtocol)
	if err != nil {
		return err
	}
	asked, err := api.New(api.Config{Data: s.data(), Gate: s.gate.routes(), GateOnly: true, Now: e.now, Version: version(), Log: log})
	if err != nil {
		return err
	}
	service, err := c.service(asked)
	if err != nil {
		return err
	}
	front, err := gateway.Listen(gateway.ServerConfig{Gateway: proxy, Listen: c.Listen, TLS: certificates, ProxyProtocol: balancers})
	if err != nil {
		return err
	}
	others, err := c.admin(registry, asked.Handler(), s.shield)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "ipwarden %s listens on %s:%s\n  sends on to %s\n  decides by %s\n", version(), front.Addr().Network(), front.Addr(), c.Upstream, file)
	service.greet(e.stdout)
	others.greet(e.stdout)
	watched := s.watching(ctx, seen, hangup)
	wait := others.run(ctx, stop)
	// What becomes of the last requests is told too.
	served, endService := context.WithCancel(context.Background())
	defer endService()
	waitService := service.run(served, stop)
	err = front.Run(ctx)
	stop()
	endService()
	watched()
	return errors.Join(err, wait(), waitService())
}

// admin opens the listener for metrics and profiles, and for bans, outcomes and
// questions, which clients have no business with.
func (c *gatewayCmd) admin(registry prometheus.Gatherer, asked http.Handler, sh *shieldRun) (ways, error) {
	if c.AdminListen == "" {
		return nil, nil
	}
	if !api.OnLoopback(c.AdminListen) {
		return nil, usagef("the admin listener %q can be reached by others: it shows metrics and profiles to whoever asks; give a loopback address such as 127.0.0.1:9090", c.AdminListen)
	}
	healthy := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	operator, err := sh.page()
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/v1/", asked)
	mux.Handle("/", api.AdminOf(registry, healthy, operator))
	h := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 2 * time.Minute}
	return ways(nil).add("admin", c.AdminListen, func(ctx context.Context, ln net.Listener) error {
		defer context.AfterFunc(ctx, func() { _ = h.Close() })() // nobody waits for a metric
		if err := h.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
}

// certificates reads the certificate, and reads it again for a connection that
// begins after its files have changed.
func (c *gatewayCmd) certificates(now func() time.Time) (*tls.Config, error) {
	return certificates("tls", c.TLSCert, c.TLSKey, now)
}

// certificates does so for two flags whose names begin with prefix.
func certificates(prefix, cert, key string, now func() time.Time) (*tls.Config, error) {
	if cert == "" && key == "" {
		return nil, nil
	}
	if cert == "" || key == "" {
		return nil, usagef("--%s-cert and --%s-key belong together", prefix, prefix)
	}
	pair := &keyPair{cert: cert, key: key, now: now}
	if _, err := pair.get(nil); err != nil {
		return nil, err
	}
	return &tls.Config{GetCertificate: pair.get, MinVersion: tls.VersionTLS12}, nil
}

// keyPair is a certificate and its key, in two files.
type keyPair struct {
	cert, key string
	now       func() time.Time
	mu        sync.Mutex // guards the rest
	checked   time.Time
	modified  [2]time.Time
	loaded    *tls.Certificate
}

// get returns what the files hold. It looks once a second at most, and keeps what
// it has when they cannot be read: one of them may be replaced already and the
// other not.
func (p *keyPair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if p.loaded != nil && now.Sub(p.checked) < time.Second {
		return p.loaded, nil
	}
	p.checked = now
	var modified [2]time.Time
	for i, name := range [...]string{p.cert, p.key} {
		info, err := os.Stat(name)
		if err != nil {
			return p.loaded, p.unless(err)
		}
		modified[i] = info.ModTime()
	}
	if p.loaded != nil && modified == p.modified {
		return p.loaded, nil
	}
	pair, err := tls.LoadX509KeyPair(p.cert, p.key)
	if err != nil {
		return p.loaded, p.unless(err)
	}
	p.loaded, p.modified = &pair, modified
	return p.loaded, nil
}

// unless returns the error when there is no certificate to go on with.
func (p *keyPair) unless(err error) error {
	if p.loaded != nil {
		return nil
	}
	return err
}
