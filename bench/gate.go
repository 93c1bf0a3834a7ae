package main

import (
	"context"
	"fmt"
	"os"
	"strings"
)

// gateLoads are the addresses that the gate is asked about.
var gateLoads = []workload{workloads[0], workloads[1]}

// runGate measures the decision in process, and whole requests through real
// proxies that ask for it.
func runGate(ctx context.Context, o *options, w *world, r *report, progress func(string, ...any)) error {
	if err := runDecide(ctx, o, w, r, progress); err != nil {
		return err
	}
	return runProxies(ctx, o, w, r, progress)
}

// runDecide times the contestants of gateKinds.
func runDecide(ctx context.Context, o *options, w *world, r *report, progress func(string, ...any)) error {
	var rows []*lookupRow
	var workers []*workerProcess
	defer func() {
		for _, p := range workers {
			p.stop()
		}
	}()
	for _, k := range gateKinds() {
		if !o.chosen(k.name) {
			continue
		}
		progress("starting %s", k.name)
		p, err := startWorker(ctx, w, k)
		if err != nil {
			return err
		}
		rows = append(rows, &lookupRow{kind: k, ns: map[string]stats{}, allocs: map[string]float64{}})
		workers = append(workers, p)
	}
	r.decisions = rows
	if err := timeRounds(o, rows, workers, gateLoads, progress); err != nil {
		return err
	}
	return assertAllocs(rows)
}

// runProxies measures the rows of proxyRows.
func runProxies(ctx context.Context, o *options, w *world, r *report, progress func(string, ...any)) error {
	load, err := newLoad(w)
	if err != nil {
		r.notProxied = err.Error()
		progress("proxies are left out: %v", err)
		return nil
	}
	dir, err := os.MkdirTemp("", "ipwarden-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // workers of proxies may run as others
		return err
	}
	if err := load.writeScripts(dir); err != nil {
		return err
	}
	rows, servers, err := startProxies(ctx, w, dir, progress)
	defer func() {
		for _, s := range servers {
			s.stop()
		}
	}()
	if err != nil {
		return err
	}
	r.proxied = rows
	seconds := 3
	if o.quick {
		seconds = 1
	}
	for n := range o.rounds {
		for _, row := range rows {
			if row.missing != "" || !o.chosen(row.name) {
				continue
			}
			progress("proxies, round %d of %d: %s", n+1, o.rounds, row.name)
			if n == 0 { // pages, caches and connection pools
				if _, err := load.wrk(ctx, dir, row.name, row.base, "gate.lua", connections, 1, "/page"); err != nil {
					return err
				}
			}
			if err := row.measure(ctx, load, dir, seconds); err != nil {
				return err
			}
		}
		if err := measureHalf(ctx, rows, dir, seconds, progress); err != nil {
			return err
		}
	}
	return nil
}

// added is what a row costs beyond another.
func added(s, base stats) (out stats) {
	for i := range min(len(s), len(base)) {
		out.add(s[i] - base[i])
	}
	return out
}

func (r *report) writeGate(b *strings.Builder) {
	rows := map[string]*lookupRow{}
	fmt.Fprintf(b, "\n### The gate, in process\n\nCPU ns a request, median of the rounds (least..most). Each contestant in a process of its own, GOMAXPROCS=1, GOGC=100; the data of every feed, compact index.\n\n| contestant | what it does |")
	for _, l := range gateLoads {
		fmt.Fprintf(b, " %s |", l.title)
	}
	b.WriteString(" allocs |\n| --- | --- |" + strings.Repeat(" --- |", len(gateLoads)) + " --- |\n")
	for _, row := range r.decisions {
		rows[row.kind.name] = row
		fmt.Fprintf(b, "| %s | %s |", row.kind.name, row.kind.what)
		allocs := 0.0
		for _, l := range gateLoads {
			fmt.Fprintf(b, " %s |", spread(row.ns[l.name]))
			allocs = max(allocs, row.allocs[l.name])
		}
		fmt.Fprintf(b, " %.0f |\n", allocs)
	}
	var vs []verdict
	for _, l := range gateLoads {
		decide, handler, bare := rows[decideRow], rows[handlerRow], rows[bareRow]
		if decide == nil {
			continue
		}
		vs = append(vs, verdict{bar: decideBar, title: l.title, own: decide.ns[l.name], unit: "ns"})
		if handler != nil && bare != nil {
			over := added(added(handler.ns[l.name], bare.ns[l.name]), decide.ns[l.name])
			vs = append(vs, verdict{bar: handlerBar, title: "beyond " + decideRow + ", " + l.title, own: over, unit: "ns"})
		}
	}
	writeVerdicts(b, vs)
}
