package main

import (
	"net/netip"
	"testing"

	"github.com/ipwarden/ipwarden/clientip"
	"github.com/ipwarden/ipwarden/dataset"
)

var _ clientip.Feeds = (*dataset.Dataset)(nil)

// The presets whose proxies publish their addresses find them in the embedded
// dataset.
func TestPresetsOfTheEmbeddedDataset(t *testing.T) {
	if len(embeddedDataset()) == 0 {
		t.Skip("this checkout has no embedded dataset; make dataset FEEDS=DIR builds one")
	}
	ds, err := openDataset("")
	if err != nil {
		t.Fatal(err)
	}
	inside := map[string][]string{
		"cloudflare": {"173.245.48.1", "2606:4700::1"},
		"cloudfront": {"130.176.0.1", "64.252.64.1", "2600:9000:1000::1"},
		"fastly":     {"151.101.1.1", "2a04:4e42::1"},
	}
	for _, p := range clientip.Presets() {
		if p.Feed == "" {
			continue
		}
		cfg, err := p.Apply(clientip.Config{}, ds)
		if err != nil {
			t.Error(err)
			continue
		}
		t.Logf("%s: %d networks", p.Name, len(cfg.Trusted))
		x, err := clientip.New(cfg)
		if err != nil {
			t.Error(err)
			continue
		}
		if len(inside[p.Name]) == 0 {
			t.Errorf("no proxy of %s to try", p.Name)
		}
		for _, a := range inside[p.Name] {
			if !x.Trusts(netip.MustParseAddr(a)) {
				t.Errorf("%s: %s is not among its %d networks", p.Name, a, len(cfg.Trusted))
			}
		}
		for _, a := range []string{"8.8.8.8", "3.5.0.1", "2001:4860:4860::8888", "10.0.0.1"} {
			if x.Trusts(netip.MustParseAddr(a)) {
				t.Errorf("%s trusts %s", p.Name, a)
			}
		}
	}
}
