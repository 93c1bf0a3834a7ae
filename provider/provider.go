package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden"
)

// A Provider asks one outside API. It is safe for concurrent use.
type Provider struct {
	cfg    Config
	vendor *vendor
	target *target
	client *http.Client
	header http.Header // of every request, the key among it
	zones  zones
	gate   quotaGate
	keys   keyGate
	said   atomic.Int64 // when a failure was last logged, in nanoseconds
}

// sayAgain is how often it is logged that a provider fails.
const sayAgain = 10 * time.Minute

var _ ipwarden.Source = (*Provider)(nil)

// New makes a Provider. It asks nobody yet. The error names every mistake in cfg.
func New(cfg Config) (*Provider, error) {
	v, err := cfg.check()
	if err != nil {
		return nil, fmt.Errorf("provider: %w", err)
	}
	p := &Provider{cfg: cfg, vendor: v}
	p.gate.last = unknownQuota
	if p.target, err = newTarget(&p.cfg, v); err != nil {
		return nil, fmt.Errorf("provider: %s: %w", cfg.Name, errors.New(p.redact(err.Error())))
	}
	p.header = headerOf(&p.cfg, v)
	p.client = newClient(&p.cfg)
	if p.target.clear && cfg.Key != "" {
		cfg.Log.Warn("this provider is asked over plain HTTP, so others on the way can read its key", "provider", cfg.Name)
	}
	return p, nil
}

// Name returns the provider's name.
func (p *Provider) Name() string { return p.cfg.Name }

// Kind returns the provider's kind.
func (p *Provider) Kind() string { return p.cfg.Kind }

// Terms returns the note on the licence that the evidence of its answers has.
func (p *Provider) Terms() string { return p.vendor.terms }

// Close gives up idle connections. Look-ups go on working.
func (p *Provider) Close() { p.client.CloseIdleConnections() }

// Lookup asks the vendor. An address that is not public is not sent out, and
// nothing is known of it. The error is an *[Error].
func (p *Provider) Lookup(ctx context.Context, addr netip.Addr) (ipwarden.Record, error) {
	canonical, transition := ipwarden.Canonical(addr)
	nothing := ipwarden.MakeRecord(canonical, nil, 0).Asked(transition, addr.Zone() != "")
	if !canonical.IsValid() {
		return nothing, &Error{Provider: p.cfg.Name, Kind: Invalid, Err: said("the address is not valid")}
	}
	if !p.cfg.Public(canonical) {
		return nothing, nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return nothing, &Error{Provider: p.cfg.Name, Kind: Timeout, Err: err}
	}
	if retry, ok := p.keys.enter(p.cfg.Now()); !ok {
		return nothing, &Error{Provider: p.cfg.Name, Kind: Auth, RetryAt: retry}
	}
	if retry, ok := p.gate.enter(p.cfg.Now()); !ok {
		p.keys.fail()
		return nothing, &Error{Provider: p.cfg.Name, Kind: OverQuota, RetryAt: retry}
	}
	rec, err := p.ask(ctx, canonical)
	if err != nil {
		return nothing, err
	}
	return rec.Asked(transition, addr.Zone() != ""), nil
}

// ask makes one call. That it fails is in the log, for who has written a wrong
// URL, but not each time; neither is what the vendor says, which may be about the
// address. That the key is refused is in the log once, until it is good again.
func (p *Provider) ask(ctx context.Context, addr netip.Addr) (ipwarden.Record, error) {
	rec, err := p.call(ctx, addr)
	var e *Error
	switch errors.As(err, &e); {
	case e == nil:
		if p.keys.pass() {
			p.cfg.Log.Info("a provider takes the key again", "provider", p.cfg.Name)
		}
		return rec, err
	case e.Kind == Auth:
		var first bool
		if e.RetryAt, first = p.keys.shut(p.cfg.Now()); first {
			p.cfg.Log.Warn("a provider refuses the key; it is asked now and then whether it still does", "provider", p.cfg.Name, "status", e.Status)
		}
		return rec, err
	}
	p.keys.fail()
	if e.Kind != OverQuota && ctx.Err() == nil {
		now, last := p.cfg.Now().UnixNano(), p.said.Load()
		if (last == 0 || now-last >= int64(sayAgain)) && p.said.CompareAndSwap(last, now) {
			p.cfg.Log.Warn("a provider fails", "provider", p.cfg.Name, "why", string(e.Kind), "status", e.Status)
		}
	}
	return rec, err
}

func (p *Provider) call(ctx context.Context, addr netip.Addr) (ipwarden.Record, error) {
	r, ferr := p.fetch(ctx, addr)
	now := p.cfg.Now()
	if ferr != nil {
		p.gate.fail()
		return ipwarden.Record{}, ferr
	}
	q := commonQuota(r.header, now)
	if p.vendor.left != nil {
		q = p.vendor.left(r.header, r.doc, now)
	}
	p.gate.saw(q)
	means, message := p.meaning(r)
	switch {
	case means == meansQuota:
		return ipwarden.Record{}, p.overQuota(r, q, now, message)
	case means == meansUnknown, means == meansFine && r.status == http.StatusNoContent:
		p.answered(q, now)
		return ipwarden.MakeRecord(addr, nil, 0), nil
	case means != meansFine:
		p.gate.fail()
		return ipwarden.Record{}, &Error{Provider: p.cfg.Name, Kind: means.kind(), Status: r.status, Err: p.clean(message)}
	case r.status == http.StatusNotFound:
		p.gate.fail()
		return ipwarden.Record{}, &Error{Provider: p.cfg.Name, Kind: NotFound, Status: r.status, Err: p.clean(message)}
	case r.junk != nil:
		p.gate.fail()
		return ipwarden.Record{}, &Error{Provider: p.cfg.Name, Kind: Junk, Status: r.status, Err: p.clean(r.junk.Error())}
	}
	a := &answer{cfg: &p.cfg, zones: &p.zones, addr: addr}
	p.vendor.read(a, r.doc)
	if wrong := r.doc.first("error", "errors", "message"); a.said == (ipwarden.Fields{}) && wrong.v != nil {
		p.gate.fail() // an error that came as an answer: keeping that nothing is known would hide it
		return ipwarden.Record{}, &Error{Provider: p.cfg.Name, Kind: Junk, Status: r.status, Err: p.clean("it says only: " + r.doc.first("error.message", "error.info", "message", "error").text())}
	}
	p.answered(q, now)
	return a.record(p.vendor.terms, now), nil
}

// meaning is what the vendor says an answer means, else what its status does.
func (p *Provider) meaning(r *response) (means meaning, message string) {
	if p.vendor.refused != nil {
		if means, message = p.vendor.refused(r.status, r.doc); means != meansFine {
			return means, message
		}
	}
	if r.status >= 200 && r.status < 300 {
		return meansFine, ""
	}
	message = r.doc.first("message", "error.message", "error.info", "error.title", "title", "detail", "errors.0.detail", "error").text()
	switch s := r.status; {
	case s >= 300 && s < 400:
		return meansServer, "it redirects to another host, where nothing is sent"
	case s == http.StatusTooManyRequests, s == http.StatusPaymentRequired:
		return meansQuota, message
	case s == http.StatusUnauthorized, s == http.StatusForbidden, s == http.StatusProxyAuthRequired, s == http.StatusUnavailableForLegalReasons:
		return meansAuth, message
	case s == http.StatusNotFound:
		return meansFine, message // a wrong path; told by the status
	case s >= 500:
		return meansServer, message
	}
	return meansInvalid, message
}

// overQuota closes the gate.
func (p *Provider) overQuota(r *response, q Quota, now time.Time, message string) error {
	until, was := p.gate.shut(now, resetOf(r.header, q, now))
	if was {
		p.cfg.Log.Warn("a provider's quota is used up; it is not asked until then", "provider", p.cfg.Name, "until", until.UTC(), "status", r.status)
	}
	return &Error{Provider: p.cfg.Name, Kind: OverQuota, Status: r.status, RetryAt: until, Err: p.clean(message)}
}

// answered notes an answer. One that says that it was the last closes the gate:
// some vendors ban who goes on asking.
func (p *Provider) answered(q Quota, now time.Time) {
	if p.gate.pass(now) {
		p.cfg.Log.Info("a provider answers again", "provider", p.cfg.Name)
	}
	if q.Remaining == 0 && q.Reset.After(now) {
		if until, was := p.gate.shut(now, q.Reset); was {
			p.cfg.Log.Warn("a provider's quota is used up; it is not asked until then", "provider", p.cfg.Name, "until", until.UTC())
		}
	}
}
