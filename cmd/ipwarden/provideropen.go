package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/client"
	"github.com/ipwarden/ipwarden/internal/config"
	"github.com/ipwarden/ipwarden/provider"
)

// providerDeps is what providers are made with.
type providerDeps struct {
	country func(code string) (ipwarden.Location, bool)
	public  func(netip.Addr) bool // nil: what is set aside is not sent out
	now     func() time.Time
	log     *slog.Logger
}

func (o *outside) newProvider(spec *config.ProviderSpec) (ipwarden.Source, io.Closer, error) {
	return openProvider(spec, providerDeps{
		country: func(code string) (ipwarden.Location, bool) { return o.live().Country(code) },
		public:  o.public(ipwarden.Public), now: o.env.now, log: o.log,
	})
}

// openProvider makes the provider of a specification: the one table of kinds.
func openProvider(spec *config.ProviderSpec, deps providerDeps) (ipwarden.Source, io.Closer, error) {
	if spec.Kind == "dnsbl" {
		l, err := openDNSBL(spec.DNSBL, deps)
		if err != nil {
			return nil, nil, err
		}
		return l, l, nil
	}
	roots, err := rootsOf(spec.CAFile)
	if err != nil {
		return nil, nil, err
	}
	if spec.Kind == "ipwarden" {
		c, err := client.New(client.Config{
			URL: spec.URL, Key: string(spec.Key), Name: spec.Name, Explain: true, Public: deps.public, RootCAs: roots, Now: deps.now,
		})
		if err != nil {
			return nil, nil, err
		}
		return c, closerFunc(c.Close), nil
	}
	cfg := provider.Config{
		Kind: spec.Kind, Name: spec.Name, Plan: spec.Plan, BaseURL: spec.URL, Key: string(spec.Key), KeyIn: spec.KeyIn, Account: spec.Account,
		AbuseFrom: spec.AbuseFrom, RootCAs: roots, ProxyFromEnvironment: spec.ProxyFromEnv, MaxBytes: spec.MaxBytes, Country: deps.country, Public: deps.public, Now: deps.now, Log: deps.log,
	}
	var errs []error
	if spec.Map != "" {
		m, err := providerMap(spec.Map)
		errs, cfg.Map = append(errs, err), m
	}
	if err := errors.Join(errs...); err != nil {
		return nil, nil, err
	}
	p, err := provider.New(cfg)
	if err != nil {
		return nil, nil, err
	}
	return p, closerFunc(p.Close), nil
}

// rootsOf are the authorities in a file, nil without one: the system's.
func rootsOf(name string) (*x509.CertPool, error) {
	if name == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca_file %s has no certificate in it", name)
	}
	return roots, nil
}

// providerMap is one that ships, or is in a file.
func providerMap(name string) (*provider.Map, error) {
	if slices.Contains(provider.MapNames(), name) {
		return provider.ShippedMap(name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return provider.ReadMap(f, name)
}

// countsAgainst reports whether an error is a provider's failure: one whose quota is
// used up, or that refuses the key, is left alone by itself, and a question that it
// calls wrong is ours.
func countsAgainst(err error) bool {
	var e *provider.Error
	return !errors.As(err, &e) || e.Kind != provider.OverQuota && e.Kind != provider.Auth && e.Kind != provider.Invalid
}

// worthAnother reports whether asking again may help.
func worthAnother(err error) bool {
	var e *provider.Error
	return !errors.As(err, &e) || e.Kind == provider.Server || e.Kind == provider.Timeout
}
