package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// report is everything a run has found.
type report struct {
	machine   machine
	world     *world
	quick     bool
	rounds    int
	lookups   []*lookupRow
	builds    []buildRow
	serving   []*httpRow
	notServed string // why HTTP was left out
	limits    []*limitRow
	providers []*providerRow
	dialects  []*dialectRow
	notSpoken string // why dialects were left out
	files     []*fileRow
	events    []*eventRow
	accounts  []*accountRow
	keyed     []*keyedHTTP
	notKeyed  string // why keys over HTTP were left out

	decisions  []*lookupRow
	proxied    []*proxyRow
	notProxied string // why proxies were left out
}

func (r *report) write(w io.Writer) error {
	b := &strings.Builder{}
	m := &r.machine
	fmt.Fprintf(b, "Measured %s on %s. Load average %s before, %s after. %d rounds, interleaved",
		m.date.Format(time.DateOnly), m, m.loadBefore, m.loadAfter, r.rounds)
	if r.quick {
		b.WriteString("; **quick run: these figures are rough**")
	}
	b.WriteString(".\n")
	if r.world != nil {
		fmt.Fprintf(b, "The world: %s IPv4 and %s IPv6 ranges, data of %s.\n", thousands(r.world.spans4), thousands(r.world.spans6), r.world.date.Format(time.DateOnly))
	}
	if r.lookups != nil {
		r.writeLookups(b)
	}
	if r.serving != nil || r.notServed != "" {
		r.writeHTTP(b)
	}
	if r.decisions != nil {
		r.writeGate(b)
	}
	if r.proxied != nil || r.notProxied != "" {
		r.writeProxies(b)
	}
	if r.builds != nil {
		r.writeBuilds(b)
	}
	if r.limits != nil {
		r.writeLimits(b)
	}
	if r.providers != nil {
		r.writeProviders(b)
	}
	if r.events != nil {
		r.writeEvents(b)
	}
	if r.dialects != nil || r.notSpoken != "" {
		r.writeDialects(b)
	}
	if r.files != nil {
		r.writeFiles(b)
	}
	if slices.ContainsFunc(r.accounts, func(row *accountRow) bool { return !row.usage }) {
		r.writeAccounts(b)
	}
	if r.keyed != nil || r.notKeyed != "" {
		r.writeKeyed(b)
	}
	if slices.ContainsFunc(r.accounts, func(row *accountRow) bool { return row.usage }) {
		r.writeUsage(b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *report) lookup(name string) *lookupRow {
	for _, row := range r.lookups {
		if row.kind.name == name {
			return row
		}
	}
	return nil
}

func (r *report) writeLookups(b *strings.Builder) {
	fmt.Fprintf(b, "\n### In process\n\nCPU ns an address, median of the rounds (least..most), and × the cost of %s, round by round. Each contestant in a process of its own, GOMAXPROCS=1, GOGC=100.\n\n", structRow)
	b.WriteString("| contestant | what it reads |")
	for _, l := range workloads {
		fmt.Fprintf(b, " %s | × |", l.title)
	}
	b.WriteString(" allocs | resident MiB |\n| --- | --- |" + strings.Repeat(" --- | --- |", len(workloads)) + " --- | --- |\n")
	peer := r.lookup(structRow)
	for _, row := range r.lookups {
		k := &row.kind
		if k.missing != "" {
			fmt.Fprintf(b, "| %s | missing: %s |%s\n", k.name, k.missing, strings.Repeat(" |", 2*len(workloads)+2))
			continue
		}
		fmt.Fprintf(b, "| %s | %s |", k.name, k.what)
		allocs := 0.0
		for _, l := range workloads {
			s := row.ns[l.name]
			if len(s) == 0 {
				b.WriteString(" | |")
				continue
			}
			fmt.Fprintf(b, " %s | ", spread(s))
			if peer != nil {
				fmt.Fprintf(b, "%.3f |", s.ratio(peer.ns[l.name]).median())
			} else {
				b.WriteString("|")
			}
			allocs = max(allocs, row.allocs[l.name])
		}
		fmt.Fprintf(b, " %.0f | %d |\n", allocs, row.rss>>20)
	}
	b.WriteString("\n")
	for _, l := range workloads {
		fmt.Fprintf(b, "- %s: %s.\n", l.title, l.about)
	}
	r.writeAgreement(b)
	var bars []verdict
	for _, bar := range lookupBars() {
		row, peer := r.lookup(bar.row), r.lookup(bar.peer)
		if row == nil || peer == nil {
			continue
		}
		bars = append(bars, verdict{bar, titleOf(bar.load), row.ns[bar.load], peer.ns[bar.load], "ns"})
	}
	writeVerdicts(b, bars)
}

func titleOf(load string) string {
	for _, l := range workloads {
		if l.name == load {
			return l.title
		}
	}
	return load
}

// writeAgreement says who answers otherwise than the ranges do.
func (r *report) writeAgreement(b *strings.Builder) {
	fmt.Fprintf(b, "\nBefore anything was timed, each answered %s addresses; against the feeds laid over each other the slow way:\n\n", thousands(sampleSize))
	for _, row := range r.lookups {
		k := &row.kind
		switch {
		case k.missing != "" || !k.country && !k.as:
			continue
		case k.otherData:
			fmt.Fprintf(b, "- %s: %d differ; it has other data.\n", k.name, row.differ)
		case row.differ == 0:
			fmt.Fprintf(b, "- %s: all agree.\n", k.name)
		default:
			fmt.Fprintf(b, "- %s: **%d differ**", k.name, row.differ)
			for i, d := range row.shown {
				fmt.Fprintf(b, "%s %s is %v, it says %v", [2]string{":", ";"}[min(i, 1)], d.addr, d.want, d.have)
			}
			b.WriteString(".\n")
		}
	}
}

func (r *report) writeBuilds(b *strings.Builder) {
	b.WriteString("\n### Building the world\n\nEach in a process of its own; CPU seconds, user and system of all threads, and the largest resident set, as the kernel counts them; median (least..most) of half as many rounds. What a contestant begins with differs, and speaks against ipwarden: mmdbwriter gets disjoint ranges and lays nothing over anything.\n\n")
	b.WriteString("| contestant | CPU s | × | peak MiB | × | file MiB |\n| --- | --- | --- | --- | --- | --- |\n")
	var peer, own *buildRow
	for i := range r.builds {
		switch row := &r.builds[i]; row.name {
		case mmdbwriterRow:
			peer = row
		case everythingBuildRow:
			own = row
		}
	}
	for i := range r.builds {
		row := &r.builds[i]
		if len(row.cpu) == 0 {
			continue
		}
		fmt.Fprintf(b, "| %s | %s | %.2f | %.0f (%.0f..%.0f) | %.2f | %.1f |\n", row.name, spread(row.cpu), row.cpu.ratio(peer.cpu).median(),
			row.peak.median(), row.peak.min(), row.peak.max(), row.peak.ratio(peer.peak).median(), float64(row.bytes)/(1<<20))
	}
	if len(peer.cpu) > 0 && len(own.cpu) > 0 {
		writeVerdicts(b, []verdict{
			{buildCPUBar, buildCPUBar.load, own.cpu, peer.cpu, "s"},
			{buildPeakBar, buildPeakBar.load, own.peak, peer.peak, "MiB"},
		})
	}
}

// A verdict is a bar and what was measured.
type verdict struct {
	bar
	title     string
	own, peer stats
	unit      string
}

func (v *verdict) met() bool {
	if v.bar.peer == "" {
		return v.own.median() <= v.goal
	}
	return v.own.ratio(v.peer).median() <= v.share()
}

func writeVerdicts(b *strings.Builder, vs []verdict) {
	if len(vs) == 0 {
		return
	}
	b.WriteString("\n| bar | measured | peer in this run | × measured | × allowed | |\n| --- | --- | --- | --- | --- | --- |\n")
	for i := range vs {
		v := &vs[i]
		name := v.row
		if v.title != "" {
			name += ", " + v.title
		}
		word := "**not met**"
		if v.met() {
			word = "met"
		}
		if v.bar.peer == "" {
			fmt.Fprintf(b, "| %s | %s %s | none; at most %s %s | | | %s |\n", name, figure(v.own.median()), v.unit, figure(v.goal), v.unit, word)
			continue
		}
		fmt.Fprintf(b, "| %s | %s %s | %s %s (%s) | %.3f | %.3f | %s |\n", name, figure(v.own.median()), v.unit,
			figure(v.peer.median()), v.unit, v.bar.peer, v.own.ratio(v.peer).median(), v.share(), word)
	}
}

// spread is "median (least..most)".
func spread(s stats) string {
	return fmt.Sprintf("%s (%s..%s)", figure(s.median()), figure(s.min()), figure(s.max()))
}

// figure has three digits that count.
func figure(v float64) string {
	switch {
	case v >= 1000:
		return thousands(int(v + 0.5))
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
