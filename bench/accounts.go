package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden/internal/authz"
	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage"
	"github.com/ipwarden/ipwarden/internal/usage/ledger"
)

// names of the rows that others refer to.
const (
	checkRow       = "ipwarden, a check, random keys"
	checkZipfRow   = "ipwarden, a check, zipf keys"
	checkFirstRow  = "ipwarden, a check, the first of each key"
	checkOtherRow  = "ipwarden, an unknown key"
	settleRow      = "ipwarden, a check and its counting, zipf keys"
	underwayRow    = "ipwarden, the same with client and referer, eight calls under way"
	keyMemoryRow   = "ipwarden, memory of a key and its account"
	mapRow         = "a map of SHA-256 under a RWMutex, random keys"
	mapZipfRow     = "the same map, zipf keys"
	mapMemoryRow   = "the same map, memory of a key"
	accountKeys    = 1_000_000
	accountRegions = "bench"
)

// An accountKind is one program that measures rows, in a process of its own.
type accountKind struct {
	name  string
	rows  []string
	usage bool // of -usage, else of -accounts
	redis bool
	run   func(c *accountCase) (map[string]accountCost, error)
}

// An accountCase is what a contestant is run with.
type accountCase struct {
	quick bool
	redis string // where the server is
	pid   int    // and its process; 0 is none
}

// An accountCost is what one of them said of one round: of a call, or of a reading.
type accountCost struct{ CPU, Server, Wall, Allocs float64 }

// An accountRow collects it.
type accountRow struct {
	name, unit      string
	usage           bool
	missing         string
	cpu, own, walls stats // own is without the server of a store
	allocs          float64
}

// accountKinds is the one table of contestants.
func accountKinds() []accountKind {
	return []accountKind{
		{name: "map", rows: []string{mapRow, mapZipfRow, mapMemoryRow}, run: runKeyMap},
		{name: "authorizer", rows: []string{checkRow, checkZipfRow, checkFirstRow, settleRow, underwayRow, checkOtherRow, keyMemoryRow}, run: runAuthorizer},
		{name: "incr", rows: []string{incrRow, incrPipelineRow}, usage: true, redis: true, run: runIncr},
		{name: "ledger", rows: []string{drawRow, counterKeyRow, counterClientRow, expectClientRow, counterRefererRow, countCallRow, expectCallRow, readLedgerRow}, usage: true, run: runLedger},
		{name: "endtoend", rows: []string{endToEndRow}, usage: true, run: runEndToEnd},
		{name: "mget", rows: []string{readMGETRow}, usage: true, redis: true, run: runMGET},
		{name: "rediscallers", rows: []string{readRedisRow}, usage: true, redis: true, run: runRedisCallers},
	}
}

func accountUnit(row string) string {
	switch row {
	case keyMemoryRow, mapMemoryRow:
		return "bytes"
	case readLedgerRow, readMGETRow, readRedisRow:
		return "ms"
	}
	return "ns"
}

// runAccounts measures what is chosen, each round in a process of its own, where there
// is a store with a Redis of its own.
func runAccounts(ctx context.Context, o *options, r *report, progress func(string, ...any)) error {
	_, noRedis := exec.LookPath("redis-server")
	rows := map[string]*accountRow{}
	var kinds []accountKind
	for _, k := range accountKinds() {
		if k.usage && !o.usage || !k.usage && !o.accounts || !o.chosen(k.name) {
			continue
		}
		missing := ""
		if k.redis && noRedis != nil {
			missing = "redis-server"
		} else {
			kinds = append(kinds, k)
		}
		for _, name := range k.rows {
			row := &accountRow{name: name, unit: accountUnit(name), usage: k.usage, missing: missing}
			rows[name] = row
			r.accounts = append(r.accounts, row)
		}
	}
	for n := range o.rounds {
		for _, k := range kinds {
			progress("accounts, round %d of %d: %s", n+1, o.rounds, k.name)
			got, err := accountRound(ctx, o, &k)
			if err != nil {
				return fmt.Errorf("%s: %w", k.name, err)
			}
			for _, name := range k.rows {
				c, row := got[name], rows[name]
				row.cpu.add(c.CPU)
				row.own.add(c.CPU - c.Server)
				row.walls.add(c.Wall)
				row.allocs = max(row.allocs, c.Allocs)
			}
		}
	}
	return nil
}

// accountRound runs this program again for one contestant.
func accountRound(ctx context.Context, o *options, k *accountKind) (map[string]accountCost, error) {
	args := []string{"account", k.name, strconv.FormatBool(o.quick)}
	if k.redis {
		addr, pid, stop, err := startRedis(ctx)
		if err != nil {
			return nil, err
		}
		defer stop()
		args = append(args, addr, strconv.Itoa(pid))
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	got := map[string]accountCost{}
	return got, json.Unmarshal(out, &got)
}

// accountMain is the process of one contestant and round: NAME QUICK [ADDR PID].
func accountMain(args []string) error {
	if len(args) != 2 && len(args) != 4 {
		return fmt.Errorf("want NAME QUICK [ADDR PID], not %q", args)
	}
	c := &accountCase{quick: args[1] == "true"}
	if len(args) == 4 {
		var err error
		if c.pid, err = strconv.Atoi(args[3]); err != nil {
			return err
		}
		c.redis = args[2]
	}
	for _, k := range accountKinds() {
		if k.name == args[0] {
			got, err := k.run(c)
			if err != nil {
				return err
			}
			return json.NewEncoder(os.Stdout).Encode(got)
		}
	}
	return fmt.Errorf("no contestant is called %q", args[0])
}

// cost is what f costs for each of n.
func (c *accountCase) cost(n int, f func() error) (a accountCost, err error) {
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	server, err := serverTime(c.pid)
	if err != nil {
		return a, err
	}
	cpu, begun := cpuTime(), time.Now()
	if err := f(); err != nil {
		return a, err
	}
	a.Wall = float64(time.Since(begun)) / float64(n)
	own := float64(cpuTime()-cpu) / float64(n)
	end, err := serverTime(c.pid)
	if err != nil {
		return a, err
	}
	runtime.ReadMemStats(&after)
	a.Server = float64(end-server) / float64(n)
	a.CPU = own + a.Server
	a.Allocs = float64(after.Mallocs-before.Mallocs) / float64(n)
	return a, nil
}

// keyTexts are keys, and lists of them in the order of their use, 2^20 of them and each
// of them once: those that come from a socket are in the cache, and so are these.
func keyTexts(n int) (texts, uniform, zipf, once []string) {
	texts = make([]string, n)
	for i := range texts {
		texts[i] = customer.NewKeyText(customer.Secret, customer.Live)
	}
	r := rand.New(rand.NewPCG(1, 2))
	z := rand.NewZipf(r, zipfExponent, 1, uint64(n-1))
	list := func(calls int, next func() int) []string {
		var all strings.Builder
		all.Grow(calls * customer.KeyLen)
		for range calls {
			all.WriteString(texts[next()])
		}
		out := make([]string, calls)
		for i := range out {
			out[i] = all.String()[i*customer.KeyLen : (i+1)*customer.KeyLen]
		}
		return out
	}
	uniform = list(limitEvents, func() int { return r.IntN(n) })
	zipf = list(limitEvents, func() int { return int(z.Uint64()) })
	order := r.Perm(n)
	once = list(n, func() int { i := order[0]; order = order[1:]; return i })
	return texts, uniform, zipf, once
}

func heap() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what finalizers kept
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

func (c *accountCase) calls() int {
	if c.quick {
		return limitEvents / 4
	}
	return 2 * limitEvents
}

// openMeter is a Meter as in a server, on a ledger in a folder that goes with stop.
func openMeter(stream usage.Stream) (m *usage.Meter, stop func(), err error) {
	dir, err := os.MkdirTemp("", "ipwarden-bench-ledger")
	if err != nil {
		return nil, nil, err
	}
	l, err := ledger.Open(ledger.Config{Dir: dir, Region: accountRegions, Keys: 1 << 18})
	if err == nil {
		m, err = usage.New(context.Background(), usage.Config{Ledger: l, Region: accountRegions, Stream: stream})
	}
	if err != nil {
		os.RemoveAll(dir)
		return nil, nil, err
	}
	return m, func() {
		_ = m.Close() // its counts go with the folder
		os.RemoveAll(dir)
	}, nil
}

// forgetful is a stream that keeps nothing.
type forgetful struct{}

func (forgetful) Append(context.Context, usage.Sealed) error { return nil }

func (forgetful) Read(ctx context.Context, _ uint64, _ func(usage.Item) error) error {
	<-ctx.Done()
	return ctx.Err()
}

// runAuthorizer checks keys: the hash, the burst and the quota are in it.
func runAuthorizer(c *accountCase) (map[string]accountCost, error) {
	texts, uniform, zipf, once := keyTexts(accountKeys)
	_, unknown, _, _ := keyTexts(1 << 16)
	hasher, err := authz.NewHasher(make([]byte, authz.SecretLen))
	if err != nil {
		return nil, err
	}
	m, stop, err := openMeter(forgetful{})
	if err != nil {
		return nil, err
	}
	defer stop()
	empty := heap()
	a, err := authz.New(authz.Config{Hasher: hasher, Usage: m})
	if err != nil {
		return nil, err
	}
	plans := []customer.Plan{{Name: "bench", PerDay: 1 << 40, PerMonth: 1 << 50, PerSecond: 1 << 30, Bulk: 100}}
	a.Apply(&authz.Changes{Plans: plans})
	const part = 10_000 // as they come from a database
	for i := 0; i < len(texts); i += part {
		var ch authz.Changes
		for _, text := range texts[i : i+part] {
			id := customer.NewAccountID()
			ch.Accounts = append(ch.Accounts, customer.Account{ID: id, Plan: "bench"})
			ch.Keys = append(ch.Keys, customer.Key{ID: customer.NewKeyID(), Account: id, Hash: hasher.Hash(text)})
		}
		a.Apply(&ch)
	}
	each := (heap() - empty) / accountKeys
	a.Compact() // as in a server that has read all keys
	out := map[string]accountCost{keyMemoryRow: {CPU: each}}
	for _, row := range []struct {
		name          string
		texts         []string
		known, settle bool
		warm, calls   int // before it is measured, and while it is
	}{
		// What is learnt of a key with its first call is known in the rows behind this one.
		{checkFirstRow, once, true, false, 0, len(once)},
		{checkRow, uniform, true, false, limitEvents / 4, c.calls()},
		{checkZipfRow, zipf, true, false, limitEvents / 4, c.calls()},
		{settleRow, zipf, true, true, limitEvents / 4, c.calls()},
		{checkOtherRow, unknown, false, false, limitEvents / 4, c.calls()},
	} {
		var call authz.Call
		now := time.Now()
		pass := func(n int) error {
			for i := range n {
				call.Reset()
				call.Key, call.Items, call.Now = row.texts[i&(limitEvents-1)], 1, now
				a.Ahead(&call) // a server does something else between
				if refused := a.Check(&call); (refused == nil) != row.known {
					return fmt.Errorf("%s: a key that is known, or is not, is refused, or is not", row.name)
				}
				if row.settle {
					a.Settle(&call, 200, 1, false)
				}
			}
			return nil
		}
		if err := pass(row.warm); err != nil {
			return nil, err
		}
		cost, err := c.cost(row.calls, func() error { return pass(row.calls) })
		if err != nil {
			return nil, err
		}
		out[row.name] = cost
	}
	out[underwayRow], err = c.underway(a, zipf)
	runtime.KeepAlive(texts)
	return out, err
}

// underway checks calls and counts each of them when eight more were checked: as in a
// server, where what a look-up and its answer cost lies between.
func (c *accountCase) underway(a *authz.Authorizer, texts []string) (accountCost, error) {
	type from struct {
		client netip.Addr
		page   string
	}
	pages := make([]string, usageHosts)
	for i := range pages {
		pages[i] = fmt.Sprintf("https://www.shop-%d.example/checkout", i)
	}
	who := make([]from, limitEvents) // in the order of its use
	for j, i := range usageWorkload() {
		who[j] = from{addressOf(i), pages[i%usageHosts]}
	}
	const between = 8
	var calls [2 * between]authz.Call
	now := time.Now()
	pass := func(n int) error {
		for i := range n {
			call := &calls[i%len(calls)]
			call.Reset()
			call.Key, call.Items, call.Now = texts[i&(limitEvents-1)], 1, now
			a.Ahead(call)
			call.Client, call.Referer = who[i&(limitEvents-1)].client, who[i&(limitEvents-1)].page
			if a.Check(call) != nil {
				return errors.New("a known key is refused")
			}
			if i >= between {
				a.Settle(&calls[(i-between)%len(calls)], 200, 1, false)
			}
		}
		for i := n - between; i < n; i++ {
			a.Settle(&calls[i%len(calls)], 200, 1, false)
		}
		return nil
	}
	if err := pass(limitEvents); err != nil {
		return accountCost{}, err
	}
	return c.cost(c.calls(), func() error { return pass(c.calls()) })
}

// runKeyMap is what one writes first: a hash, a map, a lock and a counter. It knows no
// plan, no burst, no restriction and no secret.
func runKeyMap(c *accountCase) (map[string]accountCost, error) {
	texts, uniform, zipf, _ := keyTexts(accountKeys)
	type entry struct {
		account, plan string
		used          atomic.Int64
		limit         int64
	}
	empty := heap()
	var mu sync.RWMutex // guards known
	known := map[[sha256.Size]byte]*entry{}
	for _, text := range texts {
		known[sha256.Sum256([]byte(text))] = &entry{account: text[12:20], plan: "bench", limit: 1 << 40}
	}
	out := map[string]accountCost{mapMemoryRow: {CPU: (heap() - empty) / accountKeys}}
	for name, texts := range map[string][]string{mapRow: uniform, mapZipfRow: zipf} {
		pass := func(n int) error {
			for i := range n {
				hash := sha256.Sum256([]byte(texts[i&(limitEvents-1)]))
				mu.RLock()
				e := known[hash]
				mu.RUnlock()
				if e == nil || e.used.Add(1) > e.limit {
					return fmt.Errorf("%s: a known key is refused", name)
				}
			}
			return nil
		}
		if err := pass(limitEvents / 4); err != nil {
			return nil, err
		}
		cost, err := c.cost(c.calls(), func() error { return pass(c.calls()) })
		if err != nil {
			return nil, err
		}
		out[name] = cost
	}
	runtime.KeepAlive(texts)
	return out, nil
}
