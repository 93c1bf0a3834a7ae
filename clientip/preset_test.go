package clientip_test

import (
	"iter"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/clientip"
)

// feeds is a Feeds in a test: by feed, networks and their services.
type feeds map[string]map[string]string

func (f feeds) FeedNetworks(feed string) iter.Seq2[netip.Prefix, ipwarden.HostingInfo] {
	return func(yield func(netip.Prefix, ipwarden.HostingInfo) bool) {
		for _, network := range slices.Sorted(maps.Keys(f[feed])) {
			if !yield(netip.MustParsePrefix(network), ipwarden.HostingInfo{Service: f[feed][network]}) {
				return
			}
		}
	}
}

func TestPresets(t *testing.T) {
	published := feeds{
		"cloudflare": {"173.245.48.0/20": ""},
		"aws":        {"130.176.0.0/18": "CLOUDFRONT_ORIGIN_FACING", "3.5.0.0/20": "S3", "13.32.0.0/15": "CLOUDFRONT"},
		"fastly":     {"151.101.0.0/16": ""},
	}
	given := func(networks ...string) clientip.Config { return clientip.Config{Trusted: prefixes(networks...)} }
	for _, c := range []struct {
		preset       string
		cfg          clientip.Config
		peer, header string
		want         string
	}{
		{"nginx", clientip.Config{}, "127.0.0.1", "X-Forwarded-For: " + attacker, "forwarded " + attacker},
		{"nginx", given("10.0.0.0/8"), "127.0.0.1", "X-Forwarded-For: " + attacker, "direct 127.0.0.1"},
		{"nginx", clientip.Config{Header: "X-Real-IP"}, "127.0.0.1", "X-Real-IP: " + attacker, "forwarded " + attacker},
		{"haproxy", clientip.Config{}, "::1", "X-Forwarded-For: " + attacker, "forwarded " + attacker},
		{"alb", clientip.Config{}, "172.31.4.7", "X-Forwarded-For: " + victim + ", " + attacker, "forwarded " + attacker},
		{"cloudflare", clientip.Config{}, "173.245.48.1", "CF-Connecting-IP: " + attacker, "forwarded " + attacker},
		{"cloudflare", clientip.Config{}, "151.101.0.1", "CF-Connecting-IP: " + attacker, "direct 151.101.0.1"},
		{"cloudflare", given("10.0.0.0/8"), "10.0.0.1", "CF-Connecting-IP: " + attacker, "forwarded " + attacker},
		{"cloudfront", clientip.Config{}, "130.176.0.9", "X-Forwarded-For: " + victim + ", " + attacker, "forwarded " + attacker},
		{"cloudfront", clientip.Config{}, "3.5.0.9", "X-Forwarded-For: " + victim, "direct 3.5.0.9"},
		{"cloudfront", given("10.0.0.0/8"), "10.0.0.9", "X-Forwarded-For: " + attacker + ", 130.176.0.9", "forwarded " + attacker},
		{"fastly", clientip.Config{}, "151.101.0.9", "X-Forwarded-For: " + attacker + ", 151.101.4.1", "forwarded " + attacker},
		{"fly", clientip.Config{TrustPeer: true}, "172.16.0.9", "Fly-Client-IP: " + attacker, "forwarded " + attacker},
		{"fly", given("172.16.0.0/12"), "172.16.0.9", "Fly-Client-IP: " + attacker, "forwarded " + attacker},
		{"vercel", clientip.Config{TrustPeer: true}, "127.0.0.1", "X-Vercel-Forwarded-For: " + attacker, "forwarded " + attacker},
		{"alb", clientip.Config{Hops: 2}, attacker, "X-Forwarded-For: " + victim + ", " + attacker, "forwarded " + victim},
	} {
		p, ok := clientip.PresetNamed(c.preset)
		if !ok {
			t.Fatalf("no preset %s", c.preset)
		}
		cfg, err := p.Apply(c.cfg, published)
		if err != nil {
			t.Errorf("%s: %v", c.preset, err)
			continue
		}
		name, value, _ := strings.Cut(c.header, ": ")
		h := http.Header{}
		h.Set(name, value)
		if got := told(extractor(t, cfg).From(netip.MustParseAddr(c.peer), h)); got != c.want {
			t.Errorf("%s, %s, %s: %q, want %q", c.preset, c.peer, c.header, got, c.want)
		}
	}
	for preset, want := range map[string]string{
		"fly":        "the addresses of fly are not published",
		"vercel":     "the addresses of vercel are not published",
		"cloudfront": `no networks of cloudfront (feed "aws", service CLOUDFRONT_ORIGIN_FACING)`,
		"fastly":     `no networks of fastly (feed "fastly")`,
	} {
		p, _ := clientip.PresetNamed(preset)
		if _, err := p.Apply(clientip.Config{}, feeds{"aws": {"3.5.0.0/20": "S3"}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", preset, err)
		}
	}
	if _, ok := clientip.PresetNamed("netscaler"); ok {
		t.Error("a preset that is not there")
	}
	if !slices.IsSortedFunc(clientip.Presets(), func(a, b clientip.Preset) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("not in order")
	}
	for _, p := range clientip.Presets() {
		if p.Trap == "" || !slices.Contains(clientip.SourceHeaders(), http.CanonicalHeaderKey(p.Header)) {
			t.Errorf("%s: %+v", p.Name, p)
		}
	}
}

// docs/client-address.md has each preset, with its header and its feed, and each
// status.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/client-address.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range clientip.Presets() {
		row := "| `" + p.Name + "` | " + p.Header + " | "
		if p.Feed != "" {
			row += "feed `" + p.Feed + "`"
		}
		if p.Service != "" {
			row += ", service `" + p.Service + "`"
		}
		if !strings.Contains(string(text), row) {
			t.Errorf("no row %q", row)
		}
		if !strings.Contains(string(text), "- **"+p.Name+"**") {
			t.Errorf("the trap of %s is not told", p.Name)
		}
	}
	for s := clientip.Unresolved; s <= clientip.NoHeader; s++ {
		if safe := (clientip.Client{Status: s}).Safe(); !regexp.MustCompile("(?m)^\\| `" + s.String() + "` \\| .* \\| " + map[bool]string{true: "yes", false: "no"}[safe] + "\\b").Match(text) {
			t.Errorf("%s is not told", s)
		}
	}
	if !strings.Contains(string(text), "At most "+strconv.Itoa(clientip.MaxElements)+" elements") {
		t.Error("the number of elements is another")
	}
}
