package main

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ipwarden/ipwarden/dnsbl"
	"github.com/ipwarden/ipwarden/internal/config"
	"github.com/ipwarden/ipwarden/source"
)

// blockLists is a provider of kind dnsbl.
type blockLists struct{ *dnsbl.List }

func openDNSBL(s *config.DNSBLSpec, deps providerDeps) (blockLists, error) {
	zones, err := dnsblZones(s)
	if err != nil {
		return blockLists{}, err
	}
	// It waits as long as who asks: what stands before it answers at once from what
	// is known.
	l, err := dnsbl.New(dnsbl.Config{
		Zones: zones, Resolvers: s.Resolvers, IPv6Bits: s.IPv6Bits, Wait: true, Public: deps.public, Now: deps.now, Log: deps.log,
	})
	return blockLists{l}, err
}

// Close is part of io.Closer.
func (b blockLists) Close() error {
	b.List.Close()
	return nil
}

// listed are the zones that are known to list an address, of all providers.
func (o *outside) listed(addr netip.Addr) (zones []string) {
	if o == nil {
		return nil
	}
	for _, p := range o.asks.Load().providers {
		if b, ok := p.src.(blockLists); ok {
			zones = append(zones, b.Cached(addr)...)
		}
	}
	return zones
}

// zones are those that are asked, in small letters.
func (o *outside) zones() (all []string) {
	if o == nil {
		return nil
	}
	for _, p := range o.asks.Load().providers {
		if b, ok := p.src.(blockLists); ok {
			for _, name := range b.Zones() {
				all = append(all, strings.ToLower(strings.TrimSuffix(name, ".")))
			}
		}
	}
	return all
}

// Impaired tells which zones are out of use.
func (b blockLists) Impaired() (lines []string) {
	for _, h := range b.Health() {
		if h.State == dnsbl.Off {
			lines = append(lines, fmt.Sprintf("block list %s is not asked: %s", h.Zone, h.Reason))
		}
	}
	return lines
}

// dnsblAsking sets how long what a list said is kept beside its own memory, where
// the file does not say: not long, for that knows the TTL of each answer, and takes
// back what a zone said that lies.
func dnsblAsking(a *config.Asking) {
	const kept = time.Minute
	if a.TTL == (source.TTL{}) {
		a.TTL = source.TTL{Threat: kept, Anonymous: kept, Residential: kept, Hosting: kept, Negative: kept}
	}
	if a.Stale == 0 {
		a.Stale = kept
	}
}

var (
	metricZoneUp      = providerDesc("dnsbl_zone_up", "1 while a block list is asked; 0 before its first check, and while its control addresses are wrong.", "zone")
	metricZoneAnswers = providerDesc("dnsbl_answers_total", "Answers of block lists: listed, not_listed, unknown_code, unanswered, refused, lied.", "zone", "answer")
	metricListWaiting = providerDesc("dnsbl_waiting", "Addresses that block lists are asked about now, or that wait for that.")
	metricListEntries = providerDesc("dnsbl_entries", "Addresses of which block lists' answers are remembered.")
	metricListDropped = providerDesc("dnsbl_dropped_total", "Addresses that found no room: queue (asked about later), memory (forgotten early).", "of")
)

// dnsblMetrics are what metrics tell of block lists; the zones are those of the
// operator's file.
func dnsblMetrics() []*prometheus.Desc {
	return []*prometheus.Desc{metricZoneUp, metricZoneAnswers, metricListWaiting, metricListEntries, metricListDropped}
}

func (b blockLists) collect(provider string, counter func(*prometheus.Desc, uint64, ...string), gauge func(*prometheus.Desc, float64, ...string)) {
	for _, h := range b.Health() {
		up := 0.0
		if h.State == dnsbl.On {
			up = 1
		}
		gauge(metricZoneUp, up, provider, h.Zone)
		counter(metricZoneAnswers, h.Listed, provider, h.Zone, "listed")
		counter(metricZoneAnswers, h.NotListed, provider, h.Zone, "not_listed")
		counter(metricZoneAnswers, h.Unknown, provider, h.Zone, "unknown_code")
		counter(metricZoneAnswers, h.Unanswered, provider, h.Zone, "unanswered")
		counter(metricZoneAnswers, h.Refused, provider, h.Zone, "refused")
		counter(metricZoneAnswers, h.Lied, provider, h.Zone, "lied")
	}
	s := b.Stats()
	gauge(metricListWaiting, float64(s.Waiting), provider)
	gauge(metricListEntries, float64(s.Entries), provider)
	counter(metricListDropped, s.TurnedAway, provider, "queue")
	counter(metricListDropped, s.Dropped, provider, "memory")
}
