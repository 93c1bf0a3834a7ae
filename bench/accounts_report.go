package main

import (
	"fmt"
	"strings"
)

// accountBars are in nanoseconds, bytes, milliseconds and microseconds.
func accountBars() []bar {
	return []bar{
		{row: checkRow, goal: 400},
		{row: checkZipfRow, goal: 250},
		{row: keyMemoryRow, goal: 250},
	}
}

func keyedBars() []bar {
	return []bar{
		{row: refusedRow, goal: 9, peer: stringRow, peerCost: 7.2},
		{row: keyedMoreRow, goal: 1.5},
	}
}

func usageBars() []bar {
	return []bar{
		{row: counterKeyRow, goal: 15, peer: incrPipelineRow, peerCost: 860},
		{row: counterClientRow, goal: 15, peer: incrPipelineRow, peerCost: 860},
		{row: expectClientRow, goal: 15, peer: incrPipelineRow, peerCost: 860},
		{row: counterRefererRow, goal: 15, peer: incrPipelineRow, peerCost: 860},
		{row: countCallRow, goal: 45, peer: incrPipelineRow, peerCost: 860},
		{row: expectCallRow, goal: 45, peer: incrPipelineRow, peerCost: 860},
		{row: endToEndRow, goal: 150},
		{row: readLedgerRow, goal: 5, peer: readMGETRow, peerCost: 160},
		{row: readRedisRow, goal: 200, peer: readMGETRow, peerCost: 160},
	}
}

func (r *report) account(name string) *accountRow {
	for _, row := range r.accounts {
		if row.name == name && len(row.cpu) > 0 {
			return row
		}
	}
	return nil
}

func (r *report) writeAccountRows(b *strings.Builder, usage bool, bars []bar) {
	b.WriteString("| contestant | CPU | of it a server | wall | allocs |\n| --- | --- | --- | --- | --- |\n")
	for _, row := range r.accounts {
		switch {
		case row.usage != usage:
		case row.missing != "":
			fmt.Fprintf(b, "| %s | missing: %s | | | |\n", row.name, row.missing)
		case row.unit == "bytes":
			fmt.Fprintf(b, "| %s | %s bytes | | | |\n", row.name, spread(row.cpu))
		default:
			fmt.Fprintf(b, "| %s | %s %s | %s | %s | %.1f |\n", row.name, spread(row.cpu), row.unit,
				figure(row.cpu.median()-row.own.median()), figure(row.walls.median()), row.allocs)
		}
	}
	var vs []verdict
	for _, bar := range bars {
		row, peer := r.account(bar.row), r.account(bar.peer)
		switch {
		case row == nil:
		case bar.peer == "":
			vs = append(vs, verdict{bar, "", row.cpu, nil, row.unit})
		case peer != nil:
			vs = append(vs, verdict{bar, "", row.cpu, peer.cpu, row.unit})
		}
	}
	writeVerdicts(b, vs)
}

func (r *report) writeAccounts(b *strings.Builder) {
	fmt.Fprintf(b, "\n### Keys\n\nCPU ns a call at %s keys, one an account, on a plan with a quota and a burst; median (least..most) of the rounds, each in a process of its own. The map is what one writes first; it knows no plan, no burst and no secret.\n\n", thousands(accountKeys))
	r.writeAccountRows(b, false, accountBars())
}

func (r *report) writeKeyed(b *strings.Builder) {
	fmt.Fprintf(b, "\n### Keys, over HTTP\n\nCPU µs a request of all of the server's processes, user and system. The same requests for all, with a key and a referer; the small body. The server on one core, wrk with %d connections on another; median (least..most).\n\n", connections)
	if r.notKeyed != "" {
		fmt.Fprintf(b, "Missing: %s.\n", r.notKeyed)
		return
	}
	b.WriteString("| contestant | CPU µs | requests/s | p99 ms | resident MiB |\n| --- | --- | --- | --- | --- |\n")
	rows := map[string]stats{}
	for _, row := range r.keyed {
		switch {
		case row.missing != "":
			fmt.Fprintf(b, "| %s | missing: %s | | | |\n", row.name, row.missing)
		case len(row.cpu) > 0:
			rows[row.name] = row.cpu
			fmt.Fprintf(b, "| %s | %s | %s | %s | %d |\n", row.name, spread(row.cpu), thousands(int(row.rate.median())), figure(row.p99.median()), row.peak>>20)
		}
	}
	open := rows[openLookupRow]
	for i, v := range rows[keyedRow][:min(len(rows[keyedRow]), len(open))] {
		rows[keyedMoreRow] = append(rows[keyedMoreRow], v-open[i])
	}
	var vs []verdict
	for _, bar := range keyedBars() {
		if own, peer := rows[bar.row], rows[bar.peer]; len(own) > 0 && (bar.peer == "" || len(peer) > 0) {
			vs = append(vs, verdict{bar, "", own, peer, "µs"})
		}
	}
	writeVerdicts(b, vs)
}

func (r *report) writeUsage(b *strings.Builder) {
	fmt.Fprintf(b, "\n### Usage\n\nCPU of client and server together, of a call in ns, of a reading in ms; median (least..most) of the rounds, each in a process of its own, with a Redis of its own. %s clients by Zipf's law (exponent %.1f), %s keys, %s referers. End to end is the ledger, batches on the disk, a stream in memory and the sums, at a million calls a second. What is expected was announced when it was admitted, as a server does, eight calls before it is counted.\n\n",
		thousands(usageClients), zipfExponent, thousands(usageKeys), thousands(usageHosts))
	r.writeAccountRows(b, true, usageBars())
}
