package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/nats"
	"github.com/ipwarden/ipwarden/internal/usage"
	"github.com/ipwarden/ipwarden/internal/usage/ledger"
	"github.com/ipwarden/ipwarden/internal/usage/rediscallers"
	"github.com/ipwarden/ipwarden/internal/usage/sqlsums"
)

// usageFlags say how calls are counted, and with which other regions.
type usageFlags struct {
	Region            string   `env:"IPWARDEN_REGION" default:"local" placeholder:"NAME" help:"The region that this server is in, such as eu-west-1; default ${default}."`
	UsageListen       string   `env:"IPWARDEN_USAGE_LISTEN" placeholder:"ADDR" help:"Other regions read this one's usage here, such as 10.0.0.5:4222; default nobody does."`
	UsageRegion       []string `env:"IPWARDEN_USAGE_REGION" placeholder:"NAME=URL" help:"Another region, and where its usage is read, such as us-east-1=tls://10.1.0.5:4222; may be repeated."`
	UsageStream       string   `env:"IPWARDEN_USAGE_STREAM" placeholder:"URL" help:"This region's stream is on NATS or Kafka elsewhere, such as nats://10.0.0.9:4222 or kafka://10.0.0.9:9092; default NATS in this process."`
	UsageUser         string   `env:"IPWARDEN_USAGE_USER" default:"ipwarden" placeholder:"NAME" help:"Who this server is to the streams, and who others are to its own; default ${default}."`
	UsagePasswordFile string   `env:"IPWARDEN_USAGE_PASSWORD_FILE" placeholder:"FILE" help:"The password for that."`
	UsageTLSCert      string   `name:"usage-tls-cert" env:"IPWARDEN_USAGE_TLS_CERT" placeholder:"FILE" help:"Certificate of --usage-listen; with --usage-tls-key."`
	UsageTLSKey       string   `name:"usage-tls-key" env:"IPWARDEN_USAGE_TLS_KEY" placeholder:"FILE" help:"Its key."`
	UsageTLSCA        string   `name:"usage-tls-ca" env:"IPWARDEN_USAGE_TLS_CA" placeholder:"FILE" help:"Who signs the certificates of the other regions; default the authorities of this machine."`
	UsageNoLeases     bool     `env:"IPWARDEN_USAGE_NO_LEASES" help:"Another server of this region gives leases: of several in a region all but one have this."`
	UsageRedis        string   `env:"IPWARDEN_USAGE_REDIS" placeholder:"URL" help:"Counts by client and by page of all regions are kept in Redis or Valkey, such as redis://127.0.0.1:6379/0; default in the database."`
	UsageClients      int      `env:"IPWARDEN_USAGE_CLIENTS" default:"524288" placeholder:"N" help:"How many client addresses a day are counted by themselves, 48 bytes of disk each; default ${default}. It is of the first start."`
}

// counting counts while it runs.
type counting struct {
	*usage.Meter
	callers *usage.Callers
	redis   *rediscallers.Store // nil: they are in the database
	busiest usage.Busiest
	clock   atomic.Int64 // seconds since 1970, as of a second ago: cheaper than to ask
	server  *nats.Server
	conns   []streamConn
}

// check says all that is wrong with the flags.
func (f *usageFlags) check() ([]usage.Source, error) {
	var errs []error
	sources := []usage.Source{{Region: f.Region}}
	for _, r := range f.UsageRegion {
		name, url, ok := strings.Cut(r, "=")
		switch {
		case !ok || name == "" || url == "":
			errs = append(errs, fmt.Errorf("--usage-region is %q; it is a name and a URL, such as us-east-1=tls://10.1.0.5:4222", withoutPassword(r)))
		case slices.ContainsFunc(sources, func(s usage.Source) bool { return s.Region == name }):
			errs = append(errs, fmt.Errorf("--usage-region: %q is there twice; each region has a name of its own, and this one's is --region %s", name, f.Region))
		}
		sources = append(sources, usage.Source{Region: name})
	}
	if f.UsageListen != "" && f.UsagePasswordFile == "" {
		errs = append(errs, errors.New("--usage-listen needs --usage-password-file: who reaches the stream could change what customers have used"))
	}
	if f.UsageListen != "" && f.UsageStream != "" {
		errs = append(errs, errors.New("--usage-listen is of the stream in this process, and --usage-stream says that it is elsewhere: say one"))
	}
	if (f.UsageTLSCert == "") != (f.UsageTLSKey == "") {
		errs = append(errs, errors.New("--usage-tls-cert and --usage-tls-key go together"))
	}
	return sources, errors.Join(errs...)
}

// withoutPassword leaves out what stands before an @.
func withoutPassword(s string) string {
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		return "…" + s[i:]
	}
	return s
}

// open starts to count in a data directory, and into its database.
func (f *usageFlags) open(ctx context.Context, a *accounts, e *env, log *slog.Logger) (_ *counting, err error) {
	sources, err := f.check()
	if err != nil {
		return nil, usageError{err}
	}
	password := ""
	if f.UsagePasswordFile != "" {
		b, err := os.ReadFile(f.UsagePasswordFile)
		if err != nil {
			return nil, fmt.Errorf("--usage-password-file: %w", err)
		}
		if password = strings.TrimSpace(string(b)); password == "" {
			return nil, fmt.Errorf("--usage-password-file: %s is empty", f.UsagePasswordFile)
		}
	}
	run := &counting{}
	defer func() {
		if err != nil {
			err = errors.Join(err, run.Close())
		}
	}()
	roots, err := f.roots()
	if err != nil {
		return nil, err
	}
	var server *nats.Server
	if f.UsageStream == "" {
		c := nats.ServerConfig{Dir: filepath.Join(a.dir, "stream"), Listen: f.UsageListen, User: f.UsageUser, Password: password}
		if f.UsageTLSCert != "" {
			pair, err := tls.LoadX509KeyPair(f.UsageTLSCert, f.UsageTLSKey)
			if err != nil {
				return nil, fmt.Errorf("--usage-tls-cert: %w", err)
			}
			c.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
		}
		if server, err = nats.Serve(c); err != nil {
			return nil, err
		}
		run.server = server
	}
	dials := make([]streamDial, len(sources))
	for i := range dials {
		dials[i] = streamDial{region: sources[i].Region, url: f.UsageStream, user: f.UsageUser, password: password, roots: roots}
		if i == 0 {
			dials[i].server = server
		} else {
			_, dials[i].url, _ = strings.Cut(f.UsageRegion[i-1], "=")
		}
	}
	conns, err := connectAll(dials, streamDial.connect)
	run.conns = conns
	if err != nil {
		return nil, err
	}
	byRegion := map[string]streamConn{}
	for i, conn := range conns {
		byRegion[sources[i].Region] = conn
		sources[i].Stream = conn.stream(sources[i].Region)
	}
	l, err := ledger.Open(ledger.Config{Dir: filepath.Join(a.dir, "ledger"), Region: f.Region, Clients: f.UsageClients, Now: e.now})
	if err != nil {
		return nil, err
	}
	c := usage.Config{
		Ledger: l, Region: f.Region, Stream: sources[0].Stream, Sources: sources, Store: sqlsums.New(a.db, usageBooks),
		GivesLeases: !f.UsageNoLeases, Alert: a.alert, Now: e.now, Logger: log,
	}
	if len(sources) > 1 || f.UsageStream != "" {
		c.Lessor = func(ctx context.Context, region string, node uint64, reports []usage.LeaseReport) ([]usage.LeaseGrant, error) {
			return byRegion[region].AskLeases(ctx, region, node, reports)
		}
	}
	if run.Meter, err = usage.New(ctx, c); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	var callers usage.CallerStore = sqlsums.New(a.db, usageBooks)
	if f.UsageRedis != "" {
		if run.redis, err = rediscallers.Open(f.UsageRedis); err != nil {
			return nil, fmt.Errorf("--usage-redis: %w", err)
		}
		callers = run.redis
	}
	run.callers = usage.CountCallers(usage.CallersConfig{Sources: sources, Store: callers, Logger: log})
	if c.Lessor != nil && c.GivesLeases {
		if err := run.conns[0].GiveLeases(f.Region, run.Grant); err != nil {
			return nil, err
		}
	}
	return run, nil
}

func (f *usageFlags) roots() (*x509.CertPool, error) {
	if f.UsageTLSCA == "" {
		return nil, nil // those of the machine
	}
	pem, err := os.ReadFile(f.UsageTLSCA)
	if err != nil {
		return nil, fmt.Errorf("--usage-tls-ca: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--usage-tls-ca: %s has no certificate in PEM", f.UsageTLSCA)
	}
	return roots, nil
}

// RecordExpected counts, and notes from where calls came for who owns the account.
func (r *counting) RecordExpected(k *usage.Key, e customer.Endpoint, c customer.Class, n uint32, x *usage.Expected) {
	r.Meter.RecordExpected(k, e, c, n, x)
	r.busiest.Note(k.Account, c, n, x.Client, time.Unix(r.clock.Load(), 0))
}

// tick keeps the clock until ctx ends.
func (r *counting) tick(ctx context.Context, now func() time.Time) {
	ticks := time.NewTicker(time.Second)
	defer ticks.Stop()
	for {
		r.clock.Store(now().Unix())
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
	}
}

// Close freezes what was counted and ends.
func (r *counting) Close() error {
	if r == nil {
		return nil
	}
	var err error
	if r.Meter != nil {
		err = r.Meter.Close()
	}
	if r.callers != nil {
		r.callers.Close()
	}
	if r.redis != nil {
		r.redis.Close()
	}
	for _, c := range r.conns {
		c.Close()
	}
	if r.server != nil {
		r.server.Close()
	}
	return err
}
