package main

import (
	"context"
	"fmt"
	"net/netip"
)

// A lookupRow is what a contestant's look-ups cost.
type lookupRow struct {
	kind   kind
	ns     map[string]stats   // CPU time per address, by workload
	allocs map[string]float64 // per address, the most of any round
	rss    int64              // bytes, at the end
	differ int                // of the sample
	shown  []disagreement     // the first few
}

// aboutCPU is how much CPU time one figure is taken over; getrusage counts in
// microseconds, so that much less would do, but a longer stretch sees more of
// the neighbours' noise alike.
func aboutCPU(quick bool) float64 {
	if quick {
		return 0.05
	}
	return 0.25 // seconds
}

// runInProcess times look-ups, each contestant in a worker of its own, a
// workload and a round at a time: A B C, A B C.
func runInProcess(ctx context.Context, o *options, w *world, r *report, progress func(string, ...any)) error {
	spans, err := readRanges(w.ranges())
	if err != nil {
		return err
	}
	addrs, err := readAddresses(w.addresses(sample))
	if err != nil {
		return err
	}
	want := make([]answer, len(addrs))
	for i, a := range addrs {
		want[i] = answerAt(spans, a)
	}
	var rows []*lookupRow
	var workers []*workerProcess
	defer func() {
		for _, p := range workers {
			if p != nil {
				p.stop()
			}
		}
	}()
	for _, k := range kinds() {
		if !o.chosen(k.name) {
			continue
		}
		row := &lookupRow{kind: k, ns: map[string]stats{}, allocs: map[string]float64{}}
		rows = append(rows, row)
		if k.missing != "" {
			workers = append(workers, nil)
			continue
		}
		progress("starting %s", k.name)
		p, err := startWorker(ctx, w, k)
		if err != nil {
			return err
		}
		workers = append(workers, p)
		if k.country || k.as { // the others answer nothing
			if err := row.check(p, addrs, want); err != nil {
				return err
			}
		}
	}
	r.lookups = rows
	if err := timeRounds(o, rows, workers, workloads, progress); err != nil {
		return err
	}
	return assertAllocs(rows)
}

// timeRounds times each worker on each list, round by round.
func timeRounds(o *options, rows []*lookupRow, workers []*workerProcess, loads []workload, progress func(string, ...any)) error {
	for _, load := range loads {
		passes := make([]int, len(rows))
		for n := range o.rounds {
			progress("%s, round %d of %d", load.title, n+1, o.rounds)
			for i, p := range workers {
				if p == nil || load.name == random6 && rows[i].kind.only4 {
					continue
				}
				if passes[i] == 0 {
					first, err := p.do(order{Workload: load.name, Passes: 1})
					if err != nil {
						return err
					}
					passes[i] = 1 + int(aboutCPU(o.quick)/max(first.Pass, 1e-6))
				}
				got, err := p.do(order{Workload: load.name, Passes: passes[i]})
				if err != nil {
					return err
				}
				row := rows[i]
				s := row.ns[load.name]
				s.add(got.NS)
				row.ns[load.name] = s
				row.allocs[load.name] = max(row.allocs[load.name], got.Allocs)
				row.rss = max(row.rss, got.RSS)
			}
		}
	}
	return nil
}

// check compares the worker's answers with those of the ranges.
func (row *lookupRow) check(p *workerProcess, addrs []netip.Addr, want []answer) error {
	got, err := p.do(order{Workload: sample, Answers: true})
	if err != nil {
		return err
	}
	if len(got.Answers) != len(want) {
		return fmt.Errorf("%s answered %d of %d addresses", row.kind.name, len(got.Answers), len(want))
	}
	d := compare(&row.kind, addrs, want, got.Answers)
	row.differ, row.shown = len(d), d[:min(len(d), 3)]
	return nil
}

// noAllocs is what counts as none: the runtime's own allocations beside
// millions of look-ups.
const noAllocs = 0.001

// assertAllocs fails the run when a look-up allocates that must not.
func assertAllocs(rows []*lookupRow) error {
	for _, r := range rows {
		for load, n := range r.allocs {
			if r.kind.allocs >= 0 && n > float64(r.kind.allocs)+noAllocs {
				return fmt.Errorf("%s makes %.3f allocations an address (%s); it may make %d", r.kind.name, n, load, r.kind.allocs)
			}
		}
	}
	return nil
}
