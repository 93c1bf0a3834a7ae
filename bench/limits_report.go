package main

import (
	"fmt"
	"strings"
)

// limitBars are in nanoseconds a decision. Fast decisions are made in process,
// and so are measured against those that are.
func limitBars() []bar {
	return []bar{
		{row: memoryRow, goal: 60, peer: sethvargoRow, peerCost: 133},
		{row: exactRow, goal: 12_000, peer: pipelineRow, peerCost: 20_100},
		{row: fastRow, goal: 200, peer: sethvargoRow, peerCost: 133},
	}
}

func (r *report) limit(name string) *limitRow {
	for _, row := range r.limits {
		if row.kind.name == name && len(row.cpu) > 0 {
			return row
		}
	}
	return nil
}

func (r *report) writeLimits(b *strings.Builder) {
	fmt.Fprintf(b, "\n### Limits\n\nCPU ns a decision, client and server together, median (least..most) of the rounds; each contestant and round in a process of its own, with a Redis of its own. %s addresses by Zipf's law (exponent %.1f), a key an address; keys are made beforehand where a row does not say otherwise.\n\n", thousands(limitAddresses), zipfExponent)
	b.WriteString("| contestant | | a minute | CPU ns | of it the server | wall ns | allocs | admitted |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, row := range r.limits {
		k := &row.kind
		if len(row.cpu) == 0 {
			fmt.Fprintf(b, "| %s | missing: redis-server | | | | | | |\n", k.name)
			continue
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %.1f | %.1f %% |\n", k.name, k.what, thousands(int(k.rate)),
			spread(row.cpu), figure(row.server.median()), figure(row.wall.median()), row.allocs, 100*row.passed.median())
	}
	var bars []verdict
	for _, bar := range limitBars() {
		if row, peer := r.limit(bar.row), r.limit(bar.peer); row != nil && peer != nil {
			bars = append(bars, verdict{bar, "", row.cpu, peer.cpu, "ns"})
		}
	}
	writeVerdicts(b, bars)
}
