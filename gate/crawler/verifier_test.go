package crawler_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/gate/crawler"
	"github.com/ipwarden/ipwarden/policy"
)

// The gate takes a Verifier as it is.
var _ gate.Crawlers = (*crawler.Verifier)(nil)

const google = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"

// zone is a DNS that answers from maps, inside a bubble. hold makes it wait.
type zone struct {
	mu    sync.Mutex
	names map[string][]string // by address
	addrs map[string][]string // by name, with the final dot
	err   error               // of both; overrides
	hang  bool                // until the context ends
	asked atomic.Int32
}

func (z *zone) lookup(ctx context.Context, what string, in map[string][]string) ([]string, error) {
	z.asked.Add(1)
	z.mu.Lock()
	err, hang, answers := z.err, z.hang, in[what]
	z.mu.Unlock()
	if hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if err == nil && len(answers) == 0 {
		err = &net.DNSError{Err: "no such host", Name: what, IsNotFound: true}
	}
	if err != nil {
		return nil, err
	}
	return answers, nil
}

func (z *zone) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	return z.lookup(ctx, addr, z.names)
}

func (z *zone) LookupHost(ctx context.Context, host string) ([]string, error) {
	return z.lookup(ctx, host, z.addrs)
}

func (z *zone) set(f func()) {
	z.mu.Lock()
	defer z.mu.Unlock()
	f()
}

func verifier(t *testing.T, z *zone, cfg crawler.Config) *crawler.Verifier {
	t.Helper()
	cfg.LookupAddr, cfg.LookupHost = z.LookupAddr, z.LookupHost
	v, err := crawler.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

func check(t *testing.T, v *crawler.Verifier, addr string, want policy.Crawler) {
	t.Helper()
	name, got := v.Check(google, netip.MustParseAddr(addr), time.Now())
	if name != "Googlebot" || got != want {
		t.Errorf("%s: %q is %v, want %v", addr, name, got, want)
	}
}

func TestVerified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{
			names: map[string][]string{"66.249.66.1": {"crawl-66-249-66-1.googlebot.com."}, "2001:4860:4801::1": {"crawl-6.googlebot.com."}},
			addrs: map[string][]string{"crawl-66-249-66-1.googlebot.com.": {"66.249.66.1"}, "crawl-6.googlebot.com.": {"192.0.2.1", "2001:4860:4801::1"}},
		}
		v := verifier(t, z, crawler.Config{})
		for _, addr := range []string{"66.249.66.1", "2001:4860:4801::1"} {
			check(t, v, addr, policy.Pending)
			synctest.Wait()
			check(t, v, addr, policy.Verified)
		}
		check(t, v, "::ffff:66.249.66.1", policy.Verified)
		if n := z.asked.Load(); n != 4 {
			t.Errorf("DNS was asked %d times", n)
		}
		// It stays verified while it is asked again, and not when nobody came for long.
		time.Sleep(24*time.Hour + time.Minute)
		check(t, v, "66.249.66.1", policy.Verified)
		synctest.Wait()
		if n := z.asked.Load(); n != 6 {
			t.Errorf("DNS was asked %d times", n)
		}
		time.Sleep(48 * time.Hour)
		check(t, v, "66.249.66.1", policy.Pending)
		synctest.Wait()
		check(t, v, "66.249.66.1", policy.Verified)
	})
}

// E1 and E2 of the catalogue, and their like.
func TestImpostors(t *testing.T) {
	for name, z := range map[string]*zone{
		"no name":                {},
		"another name":           {names: map[string][]string{"203.0.113.66": {"host.example.com."}}, addrs: map[string][]string{"host.example.com.": {"203.0.113.66"}}},
		"no forward":             {names: map[string][]string{"203.0.113.66": {"crawl-203-0-113-66.googlebot.com."}}},
		"forward elsewhere":      {names: map[string][]string{"203.0.113.66": {"crawl-66-249-66-1.googlebot.com."}}, addrs: map[string][]string{"crawl-66-249-66-1.googlebot.com.": {"66.249.66.1"}}},
		"a name that ends alike": {names: map[string][]string{"203.0.113.66": {"crawl.evilgooglebot.com.", "crawl.googlebot.com.evil.example."}}, addrs: map[string][]string{"crawl.evilgooglebot.com.": {"203.0.113.66"}, "crawl.googlebot.com.evil.example.": {"203.0.113.66"}}},
		"a name that is none":    {names: map[string][]string{"203.0.113.66": {"<script>.googlebot.com.", "a\nb.googlebot.com."}}, addrs: map[string][]string{"<script>.googlebot.com.": {"203.0.113.66"}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := verifier(t, z, crawler.Config{})
				check(t, v, "203.0.113.66", policy.Pending)
				synctest.Wait()
				check(t, v, "203.0.113.66", policy.Failed)
				asked := z.asked.Load()
				time.Sleep(59 * time.Minute)
				check(t, v, "203.0.113.66", policy.Failed)
				synctest.Wait()
				if z.asked.Load() != asked {
					t.Error("asked again within the hour")
				}
				time.Sleep(2 * time.Minute)
				check(t, v, "203.0.113.66", policy.Failed) // while it is asked again
				synctest.Wait()
				if z.asked.Load() == asked {
					t.Error("not asked again after an hour")
				}
			})
		})
	}
}

// E4 of the catalogue: DNS does not answer; neither allowed nor blocked.
func TestNoAnswerIsPending(t *testing.T) {
	for name, z := range map[string]*zone{
		"silent":  {hang: true},
		"failing": {err: &net.DNSError{Err: "server misbehaving", IsTemporary: true}},
		"refused": {err: &net.DNSError{Err: "server misbehaving"}},
		"broken":  {err: errors.New("no network")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z.names = map[string][]string{"66.249.66.1": {"crawl-66-249-66-1.googlebot.com."}}
				z.addrs = map[string][]string{"crawl-66-249-66-1.googlebot.com.": {"66.249.66.1"}}
				v := verifier(t, z, crawler.Config{Timeout: time.Second})
				check(t, v, "66.249.66.1", policy.Pending)
				for range 20 { // a request a second
					time.Sleep(time.Second)
					check(t, v, "66.249.66.1", policy.Pending)
				}
				synctest.Wait()
				if n := z.asked.Load(); n < 2 || n > 3 {
					t.Errorf("asked %d times in 20 s", n)
				}
				z.set(func() { z.hang, z.err = false, nil })
				time.Sleep(time.Minute)
				check(t, v, "66.249.66.1", policy.Pending) // now it is asked again
				synctest.Wait()
				check(t, v, "66.249.66.1", policy.Verified) // and used the next time
				if s := v.Stats(); s.Unanswered < 2 || s.Verified != 1 || s.Failed != 0 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// E7 of the catalogue: what people set off has a class of its own.
func TestPurposes(t *testing.T) {
	v := verifier(t, &zone{}, crawler.Config{})
	for agent, want := range map[string]string{
		"Mozilla/5.0 (compatible; Google-InspectionTool/1.0)":           "user_triggered",
		"facebookexternalhit/1.1":                                       "preview",
		"Mozilla/5.0; compatible; ChatGPT-User/1.0; +https://x/y":       "user_triggered",
		"FeedFetcher-Google; (+http://www.google.com/feedfetcher.html)": "user_triggered",
		google: "search",
	} {
		c, ok := v.Claim(agent)
		if !ok || c.Purpose != want {
			t.Errorf("%s: %+v", agent, c)
		}
		if named, ok := v.Named(c.Name); !ok || named.Purpose != want {
			t.Errorf("%s: %+v", c.Name, named)
		}
	}
}

// A crawler whose addresses are published and whose names say nothing is known
// by the dataset alone, if it has the list.
func TestPublishedRangesOnly(t *testing.T) {
	const gpt = "Mozilla/5.0 (compatible; GPTBot/1.2; +https://openai.com/gptbot)"
	addr := netip.MustParseAddr("203.0.113.66")
	v := verifier(t, &zone{}, crawler.Config{})
	if name, state := v.Check(gpt, addr, time.Now()); name != "GPTBot" || state != policy.Failed {
		t.Errorf("%s is %v", name, state)
	}
	v = verifier(t, &zone{}, crawler.Config{Feeds: []string{"googlebot"}})
	if name, state := v.Check(gpt, addr, time.Now()); name != "GPTBot" || state != policy.NotCrawler {
		t.Errorf("%s is %v, and nobody can tell", name, state)
	}
	if name, state := v.Check("curl/8.9", addr, time.Now()); name != "" || state != policy.NotCrawler {
		t.Errorf("%q is %v", name, state)
	}
}

func TestNobodysAddress(t *testing.T) {
	z := &zone{}
	v := verifier(t, z, crawler.Config{})
	for _, addr := range []netip.Addr{{}, netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("fe80::1")} {
		if _, state := v.Check(google, addr, time.Now()); state != policy.Failed {
			t.Errorf("%s is %v", addr, state)
		}
	}
	if z.asked.Load() != 0 {
		t.Error("DNS was asked")
	}
}

// A million claims while DNS is silent: nobody waits, memory is bounded, and who
// was verified before stays so.
func TestSprayIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{
			names: map[string][]string{"66.249.66.1": {"crawl-66-249-66-1.googlebot.com."}},
			addrs: map[string][]string{"crawl-66-249-66-1.googlebot.com.": {"66.249.66.1"}},
		}
		v := verifier(t, z, crawler.Config{Entries: 100, Queue: 10, Workers: 2})
		check(t, v, "66.249.66.1", policy.Pending)
		synctest.Wait()
		z.set(func() { z.hang = true })
		start := time.Now()
		for i := range 100_000 {
			addr := netip.AddrFrom4([4]byte{8, byte(i >> 16), byte(i >> 8), byte(i)})
			if _, state := v.Check(google, addr, time.Now()); state != policy.Pending {
				t.Fatal(state)
			}
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("requests waited %v", d)
		}
		check(t, v, "66.249.66.1", policy.Verified)
		s := v.Stats()
		if s.Remembered > 200 || s.Dropped < 99_000 {
			t.Errorf("%+v", s)
		}
	})
}

// Many requests of one address ask once.
func TestSingleFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{hang: true}
		v := verifier(t, z, crawler.Config{})
		var wait sync.WaitGroup
		for range 100 {
			wait.Go(func() { v.Check(google, netip.MustParseAddr("203.0.113.66"), time.Now()) })
		}
		wait.Wait()
		synctest.Wait()
		if n := z.asked.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

func TestManyNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{names: map[string][]string{}, addrs: map[string][]string{}}
		for i := range 1000 {
			z.names["203.0.113.66"] = append(z.names["203.0.113.66"], fmt.Sprintf("crawl-%d.googlebot.com.", i))
		}
		v := verifier(t, z, crawler.Config{})
		check(t, v, "203.0.113.66", policy.Pending)
		synctest.Wait()
		check(t, v, "203.0.113.66", policy.Failed)
		if n := z.asked.Load(); n > 5 {
			t.Errorf("its owner made us ask %d times", n)
		}
	})
}

// Of a name with very many addresses only the first count.
func TestManyAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const name = "crawl-1.googlebot.com."
		z := &zone{names: map[string][]string{"66.249.66.1": {name}, "66.249.66.2": {name}}, addrs: map[string][]string{name: {"66.249.66.1"}}}
		for i := range 1000 {
			z.addrs[name] = append(z.addrs[name], fmt.Sprintf("2001:db8::%x", i))
		}
		z.addrs[name] = append(z.addrs[name], "66.249.66.2")
		v := verifier(t, z, crawler.Config{})
		for addr, want := range map[string]policy.Crawler{"66.249.66.1": policy.Verified, "66.249.66.2": policy.Failed} {
			check(t, v, addr, policy.Pending)
			synctest.Wait()
			check(t, v, addr, want)
		}
	})
}

func TestMistakes(t *testing.T) {
	_, err := crawler.New(crawler.Config{
		Workers: -1, Timeout: -1,
		Table: []crawler.Crawler{{Name: "X", Tokens: []string{"bot"}, Hosts: []string{"*.com", "*", "a b.example.com", "*.Example.com", "*googlebot.com"}}},
	})
	for _, want := range []string{"Workers is -1", "Timeout is -1ns", `"bot" of X`, `"*.com" of X`, `"*" of X`, `"a b.example.com" of X`, `"*.Example.com" of X`, `"*googlebot.com" of X`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v has no %s", err, want)
		}
	}
}

func TestCheckDoesNotAllocate(t *testing.T) {
	z := &zone{err: errors.New("down")}
	v := verifier(t, z, crawler.Config{})
	addr, now := netip.MustParseAddr("203.0.113.66"), time.Now()
	v.Check(google, addr, now)
	const browser = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
	if n := testing.AllocsPerRun(100, func() { v.Check(google, addr, now); v.Check(browser, addr, now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Who can wait is told now, and nothing is remembered of it.
func TestVerify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{
			names: map[string][]string{"66.249.66.1": {"crawl.googlebot.com."}, "192.0.2.9": {"host.example."}},
			addrs: map[string][]string{"crawl.googlebot.com.": {"66.249.66.1"}},
		}
		v := verifier(t, z, crawler.Config{})
		for addr, want := range map[string]policy.Crawler{
			"66.249.66.1": policy.Verified, "::ffff:66.249.66.1": policy.Verified, "192.0.2.9": policy.Failed, "8.8.8.8": policy.Failed, "10.0.0.1": policy.Failed,
		} {
			name, got, err := v.Verify(t.Context(), google, netip.MustParseAddr(addr))
			if name != "Googlebot" || got != want || err != nil {
				t.Errorf("%s: %q is %v, %v; want %v", addr, name, got, err, want)
			}
		}
		if name, got, err := v.Verify(t.Context(), "curl/8", netip.MustParseAddr("8.8.8.8")); name != "" || got != policy.NotCrawler || err != nil {
			t.Errorf("no claim: %q is %v, %v", name, got, err)
		}
		if v.Stats().Remembered != 0 {
			t.Errorf("%+v", v.Stats())
		}
		z.set(func() { z.hang = true })
		begun := time.Now()
		_, got, err := v.Verify(t.Context(), google, netip.MustParseAddr("66.249.66.1"))
		if got != policy.Pending || err == nil || time.Since(begun) != 4*time.Second {
			t.Errorf("DNS hangs: %v, %v after %s", got, err, time.Since(begun))
		}
	})
}

// A claim that DNS never answers is not pending for ever; one that it answers in the
// end is what it is.
func TestUnansweredForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{
			hang:  true,
			names: map[string][]string{"66.249.66.1": {"crawl-66-249-66-1.googlebot.com."}},
			addrs: map[string][]string{"crawl-66-249-66-1.googlebot.com.": {"66.249.66.1"}},
		}
		v := verifier(t, z, crawler.Config{})
		begun := time.Now()
		for z.asked.Load() < crawler.Tries {
			check(t, v, "66.249.66.1", policy.Pending)
			time.Sleep(5 * time.Second)
		}
		if took := time.Since(begun); took < 5*time.Minute || took > 15*time.Minute {
			t.Errorf("%d tries took %s", crawler.Tries, took)
		}
		check(t, v, "66.249.66.1", policy.Unanswered)
		time.Sleep(4 * time.Minute)
		check(t, v, "66.249.66.1", policy.Unanswered)
		if n := z.asked.Load(); n != crawler.Tries {
			t.Errorf("asked %d times", n)
		}
		z.mu.Lock()
		z.hang = false
		z.mu.Unlock()
		time.Sleep(10 * time.Minute)
		check(t, v, "66.249.66.1", policy.Unanswered) // it is asked for behind
		synctest.Wait()
		check(t, v, "66.249.66.1", policy.Verified)
	})
}
