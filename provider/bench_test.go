package provider

import (
	"net/netip"
	"testing"
)

// BenchmarkRead is what reading an answer costs, without the network.
func BenchmarkRead(b *testing.B) {
	for _, d := range dialects {
		if d.sample != "ipinfo-core" && d.sample != "ipdata" && d.sample != "generic-ipregistry" {
			continue
		}
		b.Run(d.sample, func(b *testing.B) {
			cfg := Config{Kind: d.kind, Plan: d.plan, Key: "k"}
			if d.kind == Generic {
				m, err := ShippedMap(d.plan)
				if err != nil {
					b.Fatal(err)
				}
				cfg.Map, cfg.Plan = m, ""
			}
			p, body, addr := open(b, cfg), []byte(good(b, d.sample)), netip.MustParseAddr(d.addr)
			b.ReportAllocs()
			for b.Loop() {
				doc, err := parse(body)
				if err != nil {
					b.Fatal(err)
				}
				a := &answer{cfg: &p.cfg, zones: &p.zones, addr: addr}
				p.vendor.read(a, doc)
				_ = a.record(p.vendor.terms, noon)
			}
		})
	}
}
