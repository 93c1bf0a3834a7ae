package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// A limitKind is one way to ask whether an address may have one request more.
type limitKind struct {
	name, what string
	rate       uint32 // requests a minute
	callers    int    // goroutines that ask
	asks       int    // in a round
	redis      bool
	open       func(c *limitCase) (limitContestant, error)
}

// A limitContestant gives each caller what it asks about event i with.
type limitContestant func() func(i int) bool

// A limitCase is what a contestant is opened with.
type limitCase struct {
	rate   uint32
	events []uint32 // an address each
	redis  string   // where the server is
}

// The workload: addresses by Zipf's law, of which the most frequent one makes
// an eighth of all requests.
const (
	limitEvents    = 1 << 20
	limitAddresses = 200_000
	zipfExponent   = 1.1
)

func limitWorkload() []uint32 {
	z := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), zipfExponent, 1, limitAddresses)
	events := make([]uint32, limitEvents)
	for i := range events {
		events[i] = uint32(z.Uint64())
	}
	return events
}

// addressOf is an address of the workload.
func addressOf(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
}

// names of the rows that others refer to.
const (
	memoryRow    = "ipwarden, in memory"
	memoryKeyRow = "ipwarden, in memory, key from the address"
	sethvargoRow = "sethvargo/go-limiter, in memory"
	exactRow     = "ipwarden, Redis, exact"
	fastRow      = "ipwarden, Redis, fast"
	pipelineRow  = "INCR and EXPIRE in a pipeline, go-redis"
)

// limitKinds is the one table of contestants. In memory a hundred a minute are
// admitted, so that both answers occur; through Redis all are, so that every
// contestant asks for every request, but for one row that says so.
func limitKinds() []limitKind {
	const local, remote, leased = 4_000_000, 300_000, 4_000_000
	return []limitKind{
		{name: sethvargoRow, what: "its key a string", rate: 100, callers: 2, asks: local, open: openSethvargo},
		{name: "x/time/rate in a map under a mutex", what: "its key an address", rate: 100, callers: 2, asks: local, open: openTimeRate},
		{name: "ulule/limiter, in memory", what: "its key a string", rate: 100, callers: 2, asks: local, open: openUlule},
		{name: memoryRow, what: "its key as it is counted", rate: 100, callers: 2, asks: local, open: openMemory},
		{name: memoryKeyRow, what: "SipHash of the address too", rate: 100, callers: 2, asks: local, open: openMemoryAddr},
		{name: memoryRow + ", time given", what: "TakeAt", rate: 100, callers: 2, asks: local, open: openMemoryAt},
		{name: pipelineRow, what: "64 callers", rate: 1_000_000, callers: 64, asks: remote, redis: true, open: openPipeline},
		{name: "redis_rate, go-redis", what: "64 callers", rate: 1_000_000, callers: 64, asks: remote, redis: true, open: openRedisRate},
		{name: exactRow, what: "64 callers", rate: 1_000_000, callers: 64, asks: remote, redis: true, open: openExact},
		{name: fastRow, what: "64 callers", rate: 1_000_000, callers: 64, asks: leased, redis: true, open: openFast},
		{name: fastRow + ", a hundred a minute", what: "64 callers; most are denied", rate: 100, callers: 64, asks: leased, redis: true, open: openFast},
	}
}

// A limitRow is what a contestant's decisions cost.
type limitRow struct {
	kind   limitKind
	cpu    stats // ns a decision, of client and server
	server stats // of it the server's
	wall   stats // ns a decision
	allocs float64
	passed stats // of the requests, the part that was admitted
}

// limitMeasured is what a process of its own says of one round.
type limitMeasured struct {
	CPU, Server, Wall, Allocs, Passed float64
}

// runLimits measures all contestants, each round in a process of its own, with a
// server of its own.
func runLimits(ctx context.Context, o *options, r *report, progress func(string, ...any)) error {
	var rows []*limitRow
	for _, k := range limitKinds() {
		if o.chosen(k.name) {
			rows = append(rows, &limitRow{kind: k})
		}
	}
	_, missing := exec.LookPath("redis-server")
	for n := range o.rounds {
		for _, row := range rows {
			if row.kind.redis && missing != nil {
				continue
			}
			progress("limits, round %d of %d: %s", n+1, o.rounds, row.kind.name)
			m, err := limitRound(ctx, o, &row.kind)
			if err != nil {
				return fmt.Errorf("%s: %w", row.kind.name, err)
			}
			row.cpu.add(m.CPU)
			row.server.add(m.Server)
			row.wall.add(m.Wall)
			row.passed.add(m.Passed)
			row.allocs = max(row.allocs, m.Allocs)
		}
	}
	r.limits = rows
	return nil
}

// limitRound runs this program again for one contestant.
func limitRound(ctx context.Context, o *options, k *limitKind) (m limitMeasured, err error) {
	asks := k.asks
	if o.quick {
		asks /= 8
	}
	args := []string{"limit", k.name, strconv.Itoa(asks)}
	if k.redis {
		addr, pid, stop, err := startRedis(ctx)
		if err != nil {
			return m, err
		}
		defer stop()
		args = append(args, addr, strconv.Itoa(pid))
	}
	self, err := os.Executable()
	if err != nil {
		return m, err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(out, &m)
}

// limitMain is the process of one contestant and round: NAME ASKS [ADDR PID].
func limitMain(args []string) error {
	if len(args) != 2 && len(args) != 4 {
		return errors.New("want NAME ASKS [ADDR PID]")
	}
	var kind limitKind
	for _, k := range limitKinds() {
		if k.name == args[0] {
			kind = k
		}
	}
	asks, err := strconv.Atoi(args[1])
	if kind.open == nil || err != nil || asks <= 0 {
		return fmt.Errorf("%q is no contestant, or %q no number", args[0], args[1])
	}
	c := &limitCase{rate: kind.rate, events: limitWorkload()}
	pid := 0
	if len(args) == 4 {
		c.redis = args[2]
		if pid, err = strconv.Atoi(args[3]); err != nil {
			return err
		}
	}
	one, err := kind.open(c)
	if err != nil {
		return err
	}
	if _, err := askAll(one, kind.callers, min(asks, 200_000), 0); err != nil { // to be warm
		return err
	}
	m, err := measureLimit(one, kind.callers, asks, pid)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(m)
}

func measureLimit(one limitContestant, callers, asks, pid int) (m limitMeasured, err error) {
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	server, err := serverTime(pid)
	if err != nil {
		return m, err
	}
	cpu, begun := cpuTime(), time.Now()
	passed, err := askAll(one, callers, asks, limitEvents/2)
	if err != nil {
		return m, err
	}
	n := float64(asks)
	m.Wall = float64(time.Since(begun)) / n
	own := float64(cpuTime()-cpu) / n
	end, err := serverTime(pid)
	if err != nil {
		return m, err
	}
	runtime.ReadMemStats(&after)
	m.Server = float64(end-server) / n
	m.CPU = own + m.Server
	m.Passed = float64(passed) / n
	m.Allocs = float64(after.Mallocs-before.Mallocs) / n
	return m, nil
}

// askAll lets callers ask about so many events, from one on. Each takes a stretch
// of them at a time.
func askAll(one limitContestant, callers, asks, from int) (passed int64, err error) {
	const stretch = 256
	var next, sum atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			take, n := one(), int64(0)
			for {
				begin := int(next.Add(stretch)) - stretch
				if begin >= asks {
					break
				}
				for i := begin; i < min(begin+stretch, asks); i++ {
					if take((from + i) % limitEvents) {
						n++
					}
				}
			}
			sum.Add(n)
		})
	}
	wg.Wait()
	if passed = sum.Load(); passed == 0 {
		return 0, errors.New("nothing was admitted")
	}
	return passed, nil
}
