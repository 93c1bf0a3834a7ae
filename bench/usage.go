package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage"
	"github.com/ipwarden/ipwarden/internal/usage/ledger"
	"github.com/ipwarden/ipwarden/internal/usage/rediscallers"
	"github.com/ipwarden/ipwarden/internal/usage/wan"
)

// names of the rows that others refer to.
const (
	incrRow           = "INCR each, 64 callers, go-redis"
	incrPipelineRow   = "INCR in pipelines of 1,000, go-redis"
	drawRow           = "the drawing of calls alone, which is in each row of the ledger"
	counterKeyRow     = "ipwarden's ledger, by key"
	counterClientRow  = "ipwarden's ledger, by client address"
	counterRefererRow = "ipwarden's ledger, by referer"
	countCallRow      = "ipwarden's ledger, a call with all three"
	expectClientRow   = "ipwarden's ledger, by client address, expected"
	expectCallRow     = "ipwarden's ledger, a call with all three, expected"
	endToEndRow       = "ipwarden, end to end, a call"
	readLedgerRow     = "350,000 clients from ipwarden's ledger"
	readMGETRow       = "350,000 counters by MGET, 10,000 at a time, go-redis"
	readRedisRow      = "350,000 clients from Redis, ipwarden"

	usageClients = 350_000
	usageKeys    = 100_000
	usageHosts   = 5_000
)

// usageWorkload is clients by Zipf's law.
func usageWorkload() []uint32 {
	z := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), zipfExponent, 1, usageClients-1)
	order := make([]uint32, limitEvents)
	for i := range order {
		order[i] = uint32(z.Uint64())
	}
	return order
}

// runLedger counts, and reads what was counted.
func runLedger(c *accountCase) (map[string]accountCost, error) {
	dir, err := os.MkdirTemp("", "ipwarden-bench-ledger")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	l, err := ledger.Open(ledger.Config{Dir: dir, Keys: 1 << 18})
	if err != nil {
		return nil, err
	}
	defer l.Close()
	keys := make([]*ledger.Key, usageKeys)
	for i := range keys {
		keys[i] = l.Key(customer.NewKeyID(), 1)
	}
	addrs := make([]netip.Addr, usageClients)
	seen := map[netip.Addr]bool{}
	r := rand.New(rand.NewPCG(3, 4))
	for i := range addrs {
		for addrs[i] = addressOf(r.Uint32() >> 8); seen[addrs[i]]; addrs[i] = addressOf(r.Uint32() >> 8) {
		}
		seen[addrs[i]] = true
	}
	hosts := make([]string, usageHosts)
	for i := range hosts {
		hosts[i] = fmt.Sprintf("www.shop-%d.example", i)
	}
	// What came with a request is in the cache, and so is what is counted here: it lies in
	// the order of its use. So does the handle of the key, which is in the slot that the
	// check has just read.
	type event struct {
		key    ledger.Key
		host   string
		client [4]byte
	}
	events := make([]event, limitEvents)
	for j, i := range usageWorkload() {
		events[j] = event{keys[i%usageKeys].Copy(), hosts[i%usageHosts], addrs[i].As4()}
	}
	out := map[string]accountCost{}
	const lookup, charged = customer.EndpointLookup, customer.Charged
	// A server expects a call when it admits it, and counts it when it was answered, some
	// microsecond later: here the calls in between are so many others. Without a class
	// nothing is counted by key.
	const between = 8
	var expected [2 * between]ledger.Expected
	ahead := func(class customer.Class, of func(*event) (netip.Addr, string)) func(int) {
		return func(j int) {
			next := &events[(j+between)&(limitEvents-1)]
			client, host := of(next)
			l.Expect(&expected[(j+between)%len(expected)], &next.key, lookup, class, client, host)
			l.CountExpected(&events[j].key, lookup, class, 1, &expected[j%len(expected)])
		}
	}
	drawn := uint64(0)
	for name, f := range map[string]func(int){
		drawRow: func(j int) {
			e := &events[j]
			drawn += uint64(e.key.ID) + uint64(e.client[0]) + uint64(e.host[0]) + uint64(e.host[len(e.host)-1])
		},
		counterRefererRow: func(j int) { l.CountReferer(events[j].host, 1) },
		counterKeyRow:     func(j int) { l.Count(&events[j].key, lookup, charged, 1) },
		expectClientRow:   ahead(customer.NumClasses, func(e *event) (netip.Addr, string) { return netip.AddrFrom4(e.client), "" }),
		expectCallRow:     ahead(charged, func(e *event) (netip.Addr, string) { return netip.AddrFrom4(e.client), e.host }),
		counterClientRow:  func(j int) { l.CountClient(netip.AddrFrom4(events[j].client), 1) },
		countCallRow: func(j int) {
			e := &events[j]
			l.CountCall(&e.key, lookup, charged, 1, netip.AddrFrom4(e.client), e.host)
		},
	} {
		for j := range events {
			f(j)
		}
		n := 4 * c.calls()
		if out[name], err = c.cost(n, func() error {
			for j := range n {
				f(j & (limitEvents - 1))
			}
			return nil
		}); err != nil {
			return nil, err
		}
	}
	runtime.KeepAlive(drawn)
	for _, a := range addrs {
		l.CountClient(a, 1)
	}
	const times = 20
	cost, err := c.cost(times, func() error {
		for range times {
			n, sum := 0, uint64(0)
			l.Clients(func(_ netip.Prefix, calls uint64) bool { n++; sum += calls; return true })
			// Of so many in a table of its default size a few count as others.
			if runtime.KeepAlive(sum); n < usageClients*999/1000 {
				return fmt.Errorf("the ledger has %d clients by themselves, of %d", n, usageClients)
			}
		}
		return nil
	})
	out[readLedgerRow] = cost.millis()
	return out, err
}

// millis are a cost in milliseconds.
func (a accountCost) millis() accountCost {
	a.CPU, a.Server, a.Wall = a.CPU/1e6, a.Server/1e6, a.Wall/1e6
	return a
}

// runIncr counts a client in Redis.
func runIncr(c *accountCase) (map[string]accountCost, error) {
	client := goredis.NewClient(&goredis.Options{Addr: c.redis, PoolSize: 64})
	defer client.Close()
	ctx, order := context.Background(), usageWorkload()
	names := counterNames()
	each := func() func(int) bool {
		return func(i int) bool { return client.Incr(ctx, names[order[i]]).Err() == nil }
	}
	const pipeline = 1000
	piped := func(n int) error {
		for i := 0; i < n; i += pipeline {
			p := client.Pipeline()
			for j := i; j < i+pipeline; j++ {
				p.Incr(ctx, names[order[j%limitEvents]])
			}
			if _, err := p.Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	}
	if err := piped(limitEvents / 2); err != nil { // to be warm
		return nil, err
	}
	asks := 300_000
	if c.quick {
		asks /= 8
	}
	out := map[string]accountCost{}
	var err error
	if out[incrRow], err = c.cost(asks, func() error {
		passed, err := askAll(each, 64, asks, 0)
		if err == nil && passed != int64(asks) {
			err = errors.New("a call was not counted")
		}
		return err
	}); err != nil {
		return nil, err
	}
	n := c.calls() / pipeline * pipeline
	out[incrPipelineRow], err = c.cost(n, func() error { return piped(n) })
	return out, err
}

func counterNames() []string {
	names := make([]string, usageClients)
	for i := range names {
		names[i] = "usage:" + addressOf(uint32(i)).String()
	}
	return names
}

// runMGET reads counters of clients.
func runMGET(c *accountCase) (map[string]accountCost, error) {
	client := goredis.NewClient(&goredis.Options{Addr: c.redis, ReadTimeout: 30 * time.Second})
	defer client.Close()
	ctx, names := context.Background(), counterNames()
	const part = 10_000
	for i := 0; i < len(names); i += part {
		p := client.Pipeline()
		for j := i; j < i+part; j++ {
			p.Set(ctx, names[j], 1+j%97, 0)
		}
		if _, err := p.Exec(ctx); err != nil {
			return nil, err
		}
	}
	return c.reading(readMGETRow, func() (n int, err error) {
		for i := 0; i < len(names); i += part {
			got, err := client.MGet(ctx, names[i:i+part]...).Result()
			if err != nil {
				return n, err
			}
			for _, v := range got {
				s, _ := v.(string)
				calls, err := strconv.ParseInt(s, 10, 64)
				if err != nil {
					return n, err
				}
				runtime.KeepAlive(calls)
				n++
			}
		}
		return n, nil
	})
}

// runRedisCallers reads clients as `ipwarden usage --by client` does with --usage-redis.
func runRedisCallers(c *accountCase) (map[string]accountCost, error) {
	store, err := rediscallers.Open("redis://" + c.redis + "/0")
	if err != nil {
		return nil, err
	}
	defer store.Close()
	ctx := context.Background()
	day := uint32(time.Now().Unix() / 86400)
	node := usage.Mark{Node: 1, Region: accountRegions}
	var was uint64
	for i := 0; i < usageClients; {
		add := map[usage.Caller]int64{}
		for end := i + 10_000; i < end; i++ {
			add[usage.Caller{Day: day, Client: ledger.ClientKey(addressOf(uint32(i)))}] = int64(1 + i%97)
		}
		if err := store.AddCallers(ctx, add, map[usage.Mark]uint64{node: was}, map[usage.Mark]uint64{node: was + 1}); err != nil {
			return nil, err
		}
		was++
	}
	return c.reading(readRedisRow, func() (n int, err error) {
		err = store.Callers(ctx, day, day, true, func(_ usage.Caller, calls int64) bool {
			runtime.KeepAlive(calls)
			n++
			return true
		})
		return n, err
	})
}

// reading measures what reads all clients.
func (c *accountCase) reading(row string, read func() (int, error)) (map[string]accountCost, error) {
	const times = 5
	pass := func() error {
		for range times {
			if n, err := read(); err != nil || n != usageClients {
				return fmt.Errorf("%s: %d were read (%w)", row, n, errors.Join(err, errClients))
			}
		}
		return nil
	}
	if err := pass(); err != nil {
		return nil, err
	}
	cost, err := c.cost(times, pass)
	return map[string]accountCost{row: cost.millis()}, err
}

var errClients = fmt.Errorf("there are %d", usageClients)

// runEndToEnd counts a million calls a second, until all are in the sums: ledger,
// batches on the disk, a stream in memory, the aggregator.
func runEndToEnd(c *accountCase) (map[string]accountCost, error) {
	const rate = 1_000_000
	log := &wan.Log{}
	m, stop, err := openMeter(log.From(0))
	if err != nil {
		return nil, err
	}
	defer stop()
	keys := make([]*usage.Key, usageKeys)
	for i := range keys {
		keys[i] = m.Key(customer.NewKeyID(), customer.NewAccountID())
	}
	// They lie in the order of their use, as in runLedger.
	type event struct {
		key    usage.Key
		client [4]byte
	}
	events := make([]event, limitEvents)
	for j, i := range usageWorkload() {
		events[j] = event{keys[i%usageKeys].Copy(), addressOf(i % usageKeys).As4()}
	}
	tick := time.NewTicker(10 * time.Millisecond) // to wake up more often is no part of counting, and costs
	defer tick.Stop()
	const between = 8
	var expected [2 * between]usage.Expected
	sent := uint64(0)
	count := func(n int) error {
		began := time.Now()
		for i := range between {
			e := &events[i]
			m.Expect(&expected[i], &e.key, customer.EndpointLookup, customer.Charged, netip.AddrFrom4(e.client), "shop.example")
		}
		for done := 0; done < n; <-tick.C {
			for due := min(n, int(time.Since(began).Seconds()*rate)); done < due; done++ {
				// As a server does: see runLedger.
				next := &events[(done+between)&(limitEvents-1)]
				m.Expect(&expected[(done+between)%len(expected)], &next.key, customer.EndpointLookup, customer.Charged, netip.AddrFrom4(next.client), "shop.example")
				m.RecordExpected(&events[done&(limitEvents-1)].key, customer.EndpointLookup, customer.Charged, 1, &expected[done%len(expected)])
			}
		}
		for sent += uint64(n); m.Stats().Events < sent; {
			if <-tick.C; time.Since(began) > 5*time.Minute {
				return fmt.Errorf("after five minutes %d of %d calls are in the sums", m.Stats().Events, sent)
			}
		}
		return nil
	}
	if err := count(limitEvents); err != nil { // to be warm: all keys are known
		return nil, err
	}
	n := 2 * c.calls()
	cost, err := c.cost(n, func() error { return count(n) })
	return map[string]accountCost{endToEndRow: cost}, err
}
