package play

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// dayOfALog is the lines of one day of a real access log, which is not ours to pass
// on whole.
func dayOfALog(t *testing.T, day string) (lines []string) {
	t.Helper()
	dir := os.Getenv("IPWARDEN_TEST_DATA")
	if dir == "" {
		t.Skip("IPWARDEN_TEST_DATA is not set: the access log is not there")
	}
	f, err := os.Open(filepath.Join(dir, "logs", "apache_logs.first7000.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for in := bufio.NewScanner(z); in.Scan(); {
		if strings.Contains(in.Text(), "["+day+":") {
			lines = append(lines, in.Text())
		}
	}
	if len(lines) == 0 {
		t.Fatalf("the log has no %s", day)
	}
	return lines
}

// A day's visitors of a site, spread over two processes with one Redis: a provider
// that is paid by the look-up is asked once for each of their networks, and not at
// all for the same day again, also by processes that have just started.
func TestDayOfARealLog(t *testing.T) {
	lines := dayOfALog(t, "18/May/2015")
	v := startVendor(t)
	redis := proxytest.FreeAddr(t)
	proxytest.Redis(t, redis)
	start := func() (nodes []*asker) {
		for range 2 {
			nodes = append(nodes, startAsker(t, v, ", ttl: {anonymous: 24h}, price_per_lookup: 0.01", "intelligence: strict\nbudget: 20s\nstore_timeout: 10s\n", "--cache", "redis://"+redis))
		}
		return nodes
	}
	networks := map[netip.Prefix]bool{}
	var addrs []string
	for _, line := range lines {
		word, _, _ := strings.Cut(line, " ")
		addr := netip.MustParseAddr(word)
		network, _ := addr.Prefix(24)
		networks[network] = true
		addrs = append(addrs, word)
	}
	replay := func(nodes []*asker) {
		t.Helper()
		next := make(chan int)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for i := range next {
					if k := nodes[i%2].look(t, addrs[i]); !k.Security.VPN || k.Location.Country != "IS" {
						t.Errorf("%s: %+v", addrs[i], k)
					}
				}
			})
		}
		for i := range addrs {
			next <- i
		}
		close(next)
		wg.Wait()
	}
	nodes := start()
	replay(nodes)
	calls := v.calls.Load()
	t.Logf("%d requests from %d networks: %d calls, %.1f%% saved", len(lines), len(networks), calls, 100*(1-float64(calls)/float64(len(lines))))
	// Two visitors of one network who are the first of a wider one may each be asked
	// about, while nobody knows how wide the provider's answers are.
	if n := int64(len(networks)); calls < n || calls > n+n/50 {
		t.Errorf("%d calls for %d networks", calls, n)
	}
	replay(nodes)
	replay(start())
	if n := v.calls.Load(); n != calls {
		t.Errorf("%d calls more for the same day", n-calls)
	}

	// What "provider compare" says of the log is what happened.
	log := filepath.Join(nodes[0].dir, "access.log")
	write(t, log, strings.Join(lines, "\n")+"\n")
	out := ipwarden(t, nodes[0].dir, "provider", "compare", "--providers", "providers.yaml", "--sample", "100000", log)
	m := regexp.MustCompile(`of (\d+) requests from (\d+) addresses, (?:some )?(\d+) need one: ([\d.]+)% are saved`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no savings in\n%s", out)
	}
	t.Log(m[0])
	if requests, _ := strconv.Atoi(m[1]); requests != len(lines) {
		t.Errorf("%s, and the log has %d", m[0], len(lines))
	}
	if need, _ := strconv.Atoi(m[3]); need < len(networks) || need > len(networks)+len(networks)/50 {
		t.Errorf("%s, and there are %d networks", m[0], len(networks))
	}
}

// A thousand visitors come at once to two nodes, and the provider's certificate is
// not good: each is answered, and the provider is not besieged.
func TestThousandFirstQuestionsBadTLS(t *testing.T) {
	v := startVendor(t)
	wire := proxytest.NewWire(t, strings.TrimPrefix(v.Server.URL, "http://")) // no TLS at all behind it
	v.Server.URL = "https://" + wire.Addr
	thousand(t, v, wire, func() {})
	if n := v.calls.Load(); n != 0 {
		t.Errorf("%d questions went out", n)
	}
}

// The provider is killed while the first questions are with it: each visitor is
// answered, the provider is not besieged, and it is asked again when it is there.
func TestThousandFirstQuestionsKilled(t *testing.T) {
	v := startVendor(t)
	v.hang.Store(true)
	wire := proxytest.NewWire(t, strings.TrimPrefix(v.Server.URL, "http://"))
	v.Server.URL = "http://" + wire.Addr
	nodes := thousand(t, v, wire, func() {
		proxytest.Eventually(t, "a question is with it", func() bool { return v.calls.Load() > 0 })
		wire.Refuse()
	})
	v.hang.Store(false)
	wire.Accept()
	for i, n := range nodes {
		proxytest.Eventually(t, "it is asked again", func() bool { return n.look(t, fmt.Sprintf("52.93.7.%d", i)).Security.VPN })
	}
}

// thousand sends a thousand first questions about one network to two nodes that share
// a Redis, does something meanwhile, and bounds how often the provider was tried.
func thousand(t *testing.T, v *vendor, wire *proxytest.Wire, meanwhile func()) (nodes []*asker) {
	t.Helper()
	redis := proxytest.FreeAddr(t)
	proxytest.Redis(t, redis)
	const concurrency, least = 4, 5
	for range 2 {
		nodes = append(nodes, startAsker(t, v, fmt.Sprintf(", concurrency: %d, ttl: {failed: 1s}, breaker: {least: %d, pause: 2s}", concurrency, least),
			"intelligence: sync\nbudget: 20s\nstore_timeout: 10s\n", "--cache", "redis://"+redis))
	}
	before := wire.Connections()
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			if k := nodes[i%2].look(t, fmt.Sprintf("52.93.7.%d", i%256)); k.Security.VPN || k.Location.Country == "" {
				t.Errorf("%+v", k)
			}
		})
	}
	meanwhile()
	wg.Wait()
	// Each node tries until its breaker opens, with those that were on their way, and a
	// time or two after its pause on a slow machine.
	if n := wire.Connections() - before; n > 2*(concurrency+least+20) {
		t.Errorf("it was tried %d times", n)
	} else {
		t.Logf("tried %d times", n)
	}
	return nodes
}
