package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// paced is what the child "pace" says of a run at a fixed rate. Times are in
// microseconds, from when a request was due: one that had to wait for a free
// connection has waited for an answer.
type paced struct {
	Requests, Bad      int
	P50, P90, P99, Max float64
	// Calm99 is the median of the p99 of each tenth of a second: a machine that stands
	// still for a moment makes all those late that are due meanwhile, and a hundredth of
	// some seconds is soon full.
	Calm99 float64
}

// A wait is when a request was due, since the start, and how long it took from then.
type wait struct{ due, took time.Duration }

// calmFor is a tenth of a second.
const calmFor = 100 * time.Millisecond

// summed is what is said of waits, which it sorts.
func summed(waits []wait, bad int) paced {
	parts := map[time.Duration][]time.Duration{}
	all := make([]time.Duration, 0, len(waits))
	for _, w := range waits {
		all = append(all, w.took)
		parts[w.due/calmFor] = append(parts[w.due/calmFor], w.took)
	}
	at := func(sorted []time.Duration, share float64) float64 {
		if len(sorted) == 0 {
			return 0
		}
		return float64(sorted[int(share*float64(len(sorted)-1))].Nanoseconds()) / 1000
	}
	var calm stats
	for _, part := range parts {
		slices.Sort(part)
		calm.add(at(part, .99))
	}
	slices.Sort(all)
	out := paced{Requests: len(all), Bad: bad, P50: at(all, .5), P90: at(all, .9), P99: at(all, .99), Max: at(all, 1)}
	if len(calm) > 0 {
		out.Calm99 = calm.median()
	}
	return out
}

// paceConnections is how many requests may be under way.
const paceConnections = 64

// measureHalf asks nginx's rows at half the rate that the row of ipwarden has
// reached in this round.
func measureHalf(ctx context.Context, rows []*proxyRow, dir string, seconds int, progress func(string, ...any)) error {
	var most float64
	for _, row := range rows {
		if row.name == nginxGateRow && len(row.rate) > 0 {
			most = row.rate[len(row.rate)-1]
		}
	}
	if most == 0 {
		return nil
	}
	for _, row := range rows {
		if row.plain != nginxPlainRow || row.missing != "" || len(row.rate) == 0 {
			continue
		}
		progress("%s, %.0f requests a second", row.name, most/2)
		got, err := pace(ctx, row.base, dir, most/2, seconds)
		if err != nil {
			return fmt.Errorf("%s: %w", row.name, err)
		}
		row.half.add(got.P99 / 1000)
		row.halfP50.add(got.P50 / 1000)
		row.calm.add(got.Calm99 / 1000)
	}
	return nil
}

// pace runs the child on the core of the load.
func pace(ctx context.Context, base, dir string, rate float64, seconds int) (got paced, err error) {
	self, err := os.Executable()
	if err != nil {
		return got, err
	}
	cmd := exec.CommandContext(ctx, "taskset", "-c", loadCore, self, "pace", strings.TrimPrefix(base, "http://"),
		strconv.FormatFloat(rate, 'f', 0, 64), strconv.Itoa(seconds), filepath.Join(dir, "addresses"))
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return got, err
	}
	if err := json.Unmarshal(text, &got); err != nil {
		return got, err
	}
	if got.Bad > 0 || got.Requests == 0 {
		return got, fmt.Errorf("%d of %d answers were none", got.Bad, got.Requests)
	}
	return got, nil
}

// browserRequests are the requests of the list of addresses in a file, as
// gate.lua writes them.
func browserRequests(file string) ([][]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var head strings.Builder
	head.WriteString("GET /page HTTP/1.1\r\n")
	for _, f := range fields {
		fmt.Fprintf(&head, "%s: %s\r\n", f.name, f.value)
	}
	var out [][]byte
	for addr := range strings.Lines(string(text)) {
		out = append(out, []byte(head.String()+"X-Client: "+strings.TrimSpace(addr)+"\r\n\r\n"))
	}
	return out, nil
}

// answerSize is how long an answer with a Content-Length is that b begins with;
// false when its head is not whole.
func answerSize(b []byte) (size int, ok bool) {
	head, _, ok := bytes.Cut(b, []byte("\r\n\r\n"))
	if !ok {
		return 0, false
	}
	_, length, _ := bytes.Cut(head, []byte("Content-Length: "))
	for _, c := range length {
		if c < '0' || c > '9' {
			break
		}
		size = 10*size + int(c-'0')
	}
	return len(head) + 4 + size, true
}
