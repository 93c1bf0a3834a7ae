package main

// A bar is what ipwarden must reach, as a share of what a peer costs in the
// same run. Absolute figures move with the machine, so the share comes from
// figures of both that were taken on one machine.
type bar struct {
	row, load string
	goal      float64 // ns, µs or s, on the machine of the peer's figure
	peer      string  // "": nobody does the same, and the goal is taken as it is
	peerCost  float64 // on that machine
}

// share is the most that the row may cost, in peers.
func (b *bar) share() float64 { return b.goal / b.peerCost }

// Bars of the gate. Of what it does in process there is no peer.
var (
	decideBar  = bar{row: decideRow, goal: 600}
	handlerBar = bar{row: handlerRow, goal: 1500}
	nginxBar   = bar{row: nginxGateRow, goal: 1.06, peer: nginxEmptyRow, peerCost: 1}
	haproxyBar = bar{row: haproxyGateRow, goal: 1.4, peer: haproxyTrivialRow, peerCost: 1}
	halfBar    = bar{row: nginxGateRow, goal: 1}
)

// peerCosts are maxminddb-golang's, decoding into a struct of three fields, on
// the machine that the goals were set on.
var structCosts = map[string]float64{random4: 338, zipf4: 293, random6: 477}

func lookupBars() []bar {
	goals := []struct {
		row, load string
		goal      float64 // ns
	}{
		{compactRow, random4, 60},
		{compactRow, zipf4, 25},
		{compactRow, random6, 80},
		{flatRow, random4, 30},
		{flatRow, zipf4, 15},
		{flatRow, random6, 80},
		{flatBatchRow, random4, 18},
		{flatBatchRow, zipf4, 9},
	}
	var out []bar
	for _, g := range goals {
		out = append(out, bar{g.row, g.load, g.goal, structRow, structCosts[g.load]})
	}
	return out
}

// Bars of building the world, of every feed from its raw form: seconds of CPU
// and MiB of memory against mmdbwriter's.
var (
	buildCPUBar  = bar{row: everythingBuildRow, load: "CPU s", goal: 4, peer: mmdbwriterRow, peerCost: 10.9}
	buildPeakBar = bar{row: everythingBuildRow, load: "peak MiB", goal: 400, peer: mmdbwriterRow, peerCost: 616}
)

// httpBars are in microseconds of the server's CPU a request, or an address.
func httpBars() []bar {
	return []bar{
		{fastSmallRow, "", 1.06, nginxRow, 1},
		{netSmallRow, "", 15, plainRow, 14.5},
		{fastFullRow, "", 11, nginxRow, 8.48},
		{bulkRow, "", 0.45, nginxRow, 8.48},
	}
}
