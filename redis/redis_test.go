package redis

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/proxytest"
	"github.com/ipwarden/ipwarden/ipwardentest"
	"github.com/ipwarden/ipwarden/limit"
)

func TestConfig(t *testing.T) {
	_, err := New(t.Context(), Config{
		Addresses: []string{"nowhere"}, Cluster: true, Master: "m", Database: 3, Prefix: strings.Repeat("x", 65), DialTimeout: -1, Lease: 99,
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"nowhere", "no sentinels", "Database", "Prefix", "DialTimeout", "Lease"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v: nothing of %s", err, want)
		}
	}
	if _, err := New(t.Context(), Config{}); err == nil || !strings.Contains(err.Error(), "Addresses") {
		t.Errorf("%v", err)
	}
}

// One server, exact and fast; a cluster; a server behind sentinels: each is a
// Limiter.
func TestIsALimiter(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	start(t, addr)
	t.Run("exact", func(t *testing.T) { ipwardentest.TestLimiter(t, limiter(t, Config{Addresses: []string{addr}})) })
	t.Run("fast", func(t *testing.T) {
		ipwardentest.TestLimiter(t, limiter(t, Config{Addresses: []string{addr}, Fast: true, Interval: 5 * time.Millisecond}))
	})
	t.Run("cluster", func(t *testing.T) {
		addrs, _ := startCluster(t)
		ipwardentest.TestLimiter(t, limiter(t, Config{Addresses: addrs, Cluster: true}))
	})
	t.Run("sentinels", func(t *testing.T) {
		_, sentinels := startSentinels(t)
		ipwardentest.TestLimiter(t, limiter(t, Config{Addresses: sentinels, Master: "limits"}))
	})
}

// Four nodes and one server hold a limit exactly in exact mode, and within the
// bound in fast mode.
func TestFourNodes(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	start(t, addr)
	for _, fast := range []bool{false, true} {
		for _, alg := range []limit.Algorithm{limit.GCRA, limit.Sliding, limit.Fixed} {
			name := "exact"
			if fast {
				name = "fast"
			}
			t.Run(name+" "+alg.String(), func(t *testing.T) {
				rate := &limit.Rate{Name: "x", Algorithm: alg, Limit: 500, Window: 100 * time.Hour}
				var passed atomic.Int64
				var wg sync.WaitGroup
				for range 4 {
					l := limiter(t, Config{Addresses: []string{addr}, Fast: fast, Interval: 10 * time.Millisecond})
					for range 16 {
						wg.Go(func() {
							for range 100 {
								got := take(t, l, limit.Request{Rate: rate, Key: key(t.Name()), Cost: 1})
								if got[0].Allowed {
									passed.Add(1)
								}
								if got[0].Source == limit.Local {
									t.Errorf("%+v", got[0])
								}
							}
						})
					}
				}
				wg.Wait()
				bound := int64(limit.SharedConfig{Fast: fast}.Overshoot(rate, 1, 4))
				if n := passed.Load(); n < 500 || n > 500+bound {
					t.Errorf("%d passed a limit of 500; the bound is %d more", n, bound)
				}
			})
		}
	}
}

// What a server cannot say, or another program wrote, is as if it were not
// there.
func TestForeignValues(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	start(t, addr)
	l := limiter(t, Config{Addresses: []string{addr}})
	rate := &limit.Rate{Name: "x", Limit: 20, Window: time.Hour}
	for name, args := range map[string][]string{
		"a list":       {"rpush", "KEY", "a", "b"},
		"a hash":       {"hset", "KEY", "a", "b"},
		"short":        {"set", "KEY", "7"},
		"text":         {"set", "KEY", "return os.execute('x')"},
		"large":        {"setrange", "KEY", "1000000", "x"},
		"17 bytes":     {"set", "KEY", "0123456789abcdefg"},
		"not a number": {"eval", `redis.call('set', KEYS[1], struct.pack('<BdI4I4', 1, 0/0, 5, 5))`, "1", "KEY"},
		"endless":      {"eval", `redis.call('set', KEYS[1], struct.pack('<BdI4I4', 1, 1/0, 5, 5))`, "1", "KEY"},
	} {
		t.Run(name, func(t *testing.T) {
			k := string(appendKey(nil, defaultPrefix, key(name)))
			for i := range args {
				if args[i] == "KEY" {
					args[i] = k
				}
			}
			cli(t, addr, args...)
			for n := range uint32(3) {
				got := take(t, l, limit.Request{Rate: rate, Key: key(name), Cost: 1})[0]
				if !got.Allowed || got.Remaining != 19-n || got.Source != limit.Exact {
					t.Errorf("%+v", got)
				}
			}
		})
	}
}

// The script says what limit.Ask.Carry says, whatever is asked.
func TestScriptIsCarry(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	start(t, addr)
	l := limiter(t, Config{Addresses: []string{addr}})
	client, err := l.store.connected()
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	rates := []*limit.Rate{
		{Name: "a", Limit: 5, Window: time.Second},
		{Name: "b", Limit: 100, Burst: 10, Window: time.Minute},
		{Name: "c", Limit: 6, Window: 20 * time.Second, Algorithm: limit.Sliding},
		{Name: "d", Limit: 7, Window: 10 * time.Second, Algorithm: limit.Fixed},
		{Name: "e", Limit: 0, Window: 10 * time.Second},
	}
	type state struct {
		until             int64
		current, previous uint32
	}
	states := map[limit.Key]state{}
	now := int64(1e15) // nanoseconds since the script's epoch
	for n := range 5000 {
		now += random.Int64N(int64(2*time.Second)) / 1000 * 1000
		ours, theirs := &limit.Ask{}, &limit.Ask{}
		for range 1 + random.IntN(3) {
			r := rates[random.IntN(len(rates))]
			it := limit.Item{
				Key: key(r.Name), Rate: r, Raise: uint16(random.IntN(2)) * 2,
				Cost: uint32(random.IntN(4)), Report: uint32(max(0, random.IntN(8)-5)),
			}
			it.Raise = uint16(r.Name[0] % 3) // one a key
			ours.Items = append(ours.Items, it)
		}
		theirs.Items = append(theirs.Items, ours.Items...)
		ours.Carry(now, func(k limit.Key) (int64, uint32, uint32) {
			s := states[k]
			return s.until, s.current, s.previous
		}, func(k limit.Key, until int64, current, previous uint32) {
			states[k] = state{until, current, previous}
		})
		c := &call{}
		for i := range theirs.Items {
			it := &theirs.Items[i]
			c.add(opTake, it, string(appendKey(nil, "test:", it.Key)), i == len(theirs.Items)-1)
		}
		args := c.arguments(l.store.script.text)
		args[len(args)-1] = formatMicroseconds(now)
		text, err := client.Do(t.Context(), client.B().Arbitrary("EVAL").Args(args...).Build()).ToString()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.answer(text); err != nil {
			t.Fatal(err)
		}
		for i := range ours.Items {
			a, b := ours.Items[i], theirs.Items[i]
			if d := a.Until - b.Until; a.Allowed != b.Allowed || d < -10*time.Microsecond || d > 10*time.Microsecond {
				t.Fatalf("%d: item %d of %s:\n%+v\n%+v", n, i, a.Rate.Name, a, b)
			}
			if a.Until > 0 && (a.Current != b.Current || a.Previous != b.Previous) {
				t.Fatalf("%d: item %d of %s:\n%+v\n%+v", n, i, a.Rate.Name, a, b)
			}
		}
	}
}

// formatMicroseconds is a time as the script reads it.
func formatMicroseconds(ns int64) string { return strconv.FormatInt(ns/1000, 10) }

func TestParseURL(t *testing.T) {
	for in, want := range map[string]Config{
		"redis://127.0.0.1":                      {Addresses: []string{"127.0.0.1:6379"}},
		"redis://u:p%40@h:1/3":                   {Addresses: []string{"h:1"}, Username: "u", Password: "p@", Database: 3},
		"redis://a:1,b,[::1]:2?cluster=1":        {Addresses: []string{"a:1", "b:6379", "[::1]:2"}, Cluster: true},
		"redis://:secret@a:26379?master=limits":  {Addresses: []string{"a:26379"}, Password: "secret", Master: "limits"},
		"unix:///run/redis/redis.sock?db=2":      {Addresses: []string{"/run/redis/redis.sock"}, Database: 2},
		"redis://127.0.0.1:6379/0?cluster=false": {Addresses: []string{"127.0.0.1:6379"}},
	} {
		got, err := ParseURL(in)
		if err != nil || strings.Join(got.Addresses, " ") != strings.Join(want.Addresses, " ") || got.Username != want.Username ||
			got.Password != want.Password || got.Database != want.Database || got.Cluster != want.Cluster || got.Master != want.Master {
			t.Errorf("%s: %+v %v", in, got, err)
		}
	}
	if got, err := ParseURL("rediss://h"); err != nil || got.TLS == nil {
		t.Errorf("%+v %v", got, err)
	}
	for in, want := range map[string]string{
		"127.0.0.1:6379":            "without a scheme",
		"http://h":                  `scheme "http"`,
		"redis://":                  "empty host",
		"redis://h/x?y=1&cluster=2": `"x" is not a number`,
		"redis://u:hidden@h/%zz":    "cannot be read",
		"unix://x":                  "three slashes",
		"redis://:hidden@h:x/0":     `the port "x"`,
		"redis://a:1,b:0":           `the port "0"`,
		"redis://h:65536":           `the port "65536"`,
		"redis://h:":                `the port ""`,
	} {
		_, err := ParseURL(in)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%s: %v, want %q", in, err, want)
		}
	}
}

func TestSlots(t *testing.T) {
	for key, want := range map[string]uint16{
		"": 0, "123456789": 0x31c3, "foo": 12182, "{foo}bar": 12182, "bar{foo}baz{x}": 12182, "foo{}{bar}": 8363, "{": slotOf("{"),
	} {
		if got := slotOf(key); got != want {
			t.Errorf("%q: %d, want %d", key, got, want)
		}
	}
}

// An ID is spent once, by whichever node comes first, until its time is up; who
// asks while the server is away is told that nobody knows.
func TestSpend(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	server := start(t, addr)
	one, two := limiter(t, Config{Addresses: []string{addr}}), limiter(t, Config{Addresses: []string{addr}})
	until := time.Now().Add(time.Hour)
	for i := range byte(10) {
		var wins atomic.Int32
		var wg sync.WaitGroup
		for n := range 20 {
			l := []*Limiter{one, two}[n%2]
			wg.Go(func() {
				first, err := l.Spend(t.Context(), [16]byte{i}, until)
				if err != nil {
					t.Error(err)
				}
				if first {
					wins.Add(1)
				}
			})
		}
		wg.Wait()
		if wins.Load() != 1 {
			t.Errorf("%d were the first of 20", wins.Load())
		}
	}
	if first, err := one.Spend(t.Context(), [16]byte{0xff}, time.Now().Add(-time.Hour)); !first || err != nil {
		t.Errorf("an end that is over: %v, %v", first, err)
	}
	proxytest.Eventually(t, "its key is gone", func() bool {
		first, err := two.Spend(t.Context(), [16]byte{0xff}, time.Now().Add(-time.Hour))
		return first && err == nil
	})
	server.Stop()
	if first, err := one.Spend(t.Context(), [16]byte{1}, until); first || err == nil {
		t.Errorf("without a server: %v, %v", first, err)
	}
}

// On a cluster too.
func TestSpendOnACluster(t *testing.T) {
	addrs, _ := startCluster(t)
	one, two := limiter(t, Config{Addresses: addrs, Cluster: true}), limiter(t, Config{Addresses: addrs[:1], Cluster: true})
	for i := range byte(20) {
		id := [16]byte{i}
		first, err := one.Spend(t.Context(), id, time.Now().Add(time.Hour))
		again, err2 := two.Spend(t.Context(), id, time.Now().Add(time.Hour))
		if !first || again || err != nil || err2 != nil {
			t.Fatalf("%d: %v, %v; then %v, %v", i, first, err, again, err2)
		}
	}
}
