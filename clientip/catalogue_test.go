package clientip_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/clientip"
)

// The catalogue of ways to forge a client's address: A, choosing it, and B,
// spelling it. The trusted proxies are 10.0.0.0/8, the peer is 10.0.0.5 unless
// said, the attacker 203.0.113.66, the victim 198.51.100.20.
//
// A3 and A4 (limits), A16 (what goes upstream), B11 and B12's look-ups are told
// here as far as the address goes. A17 is not about addresses; A18 to A20 are in
// internal/proxyproto.

const (
	proxy    = "10.0.0.5"
	attacker = "203.0.113.66"
	victim   = "198.51.100.20"
)

func prefixes(text ...string) (all []netip.Prefix) {
	for _, t := range text {
		all = append(all, netip.MustParsePrefix(t))
	}
	return all
}

func extractor(t testing.TB, cfg clientip.Config) *clientip.Extractor {
	t.Helper()
	x, err := clientip.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// lines makes a header of "Name: value" lines.
func lines(text ...string) http.Header {
	h := http.Header{}
	for _, l := range text {
		name, value, _ := strings.Cut(l, ": ")
		h.Add(name, value)
	}
	return h
}

// told is what a Client says, in one line: "forwarded 203.0.113.66".
func told(c clientip.Client) string {
	s := c.Status.String() + " " + c.Addr.String()
	if c.Transition != ipwarden.NotWrapped {
		s += " " + c.Transition.String()
	}
	if c.Zone {
		s += " zone"
	}
	if c.Conflict {
		s += " conflict"
	}
	return s
}

func TestCatalogue(t *testing.T) {
	byTrust := clientip.Config{Trusted: prefixes("10.0.0.0/8")}
	byCount := clientip.Config{Trusted: prefixes("10.0.0.0/8"), Hops: 2}
	rfc7239 := clientip.Config{Trusted: prefixes("10.0.0.0/8"), Header: "Forwarded"}
	cloudflare := clientip.Config{Trusted: prefixes("173.245.48.0/20"), Header: "CF-Connecting-IP"}
	xff := func(v string) []string { return []string{"X-Forwarded-For: " + v} }

	for _, c := range []struct {
		id, name string
		cfg      clientip.Config
		peer     string
		header   []string
		want     string
	}{
		{"A1", "a forged header without a proxy", byTrust, attacker, xff(victim), "direct " + attacker},
		{"A2", "a forged element, and the proxy's", byTrust, proxy, xff(victim + ", " + attacker), "forwarded " + attacker},
		{"A3", "junk in front", byTrust, proxy, xff("x7f!, " + attacker), "forwarded " + attacker},
		{"A4", "the victim in front", byTrust, proxy, xff(victim + "," + victim + "," + attacker), "forwarded " + attacker},
		{"A5", "a second line", byTrust, proxy, []string{"X-Forwarded-For: " + victim, "X-Forwarded-For: " + attacker}, "forwarded " + attacker},
		{"A5", "a second line, of a proxy", byTrust, proxy, []string{"X-Forwarded-For: " + victim + ", " + attacker, "X-Forwarded-For: 10.0.0.9"}, "forwarded " + attacker},
		{"A6", "spaces and tabs", byTrust, proxy, xff(victim + "," + attacker + " ,\t10.0.0.9 \t"), "forwarded " + attacker},
		{"A6", "a no-break space is no space", byTrust, proxy, xff(victim + ", " + attacker + "\u00a0"), "unresolved " + proxy},
		{"A7", "X-Real-IP is not the source", byTrust, proxy, []string{"X-Real-IP: " + victim, "X-Forwarded-For: " + attacker}, "forwarded " + attacker + " conflict"},
		{"A7", "X-Real-IP that agrees", byTrust, proxy, []string{"X-Real-IP: " + attacker, "X-Forwarded-For: " + attacker}, "forwarded " + attacker},
		{"A7", "X-Real-IP that names a proxy of ours", byTrust, proxy, []string{"X-Real-IP: 10.0.0.9", "X-Forwarded-For: " + attacker + ", 10.0.0.9"}, "forwarded " + attacker},
		{"A8", "Cloudflare's header from elsewhere", cloudflare, attacker, []string{"CF-Connecting-IP: " + victim}, "direct " + attacker},
		{"A8", "Cloudflare's header from Cloudflare", cloudflare, "173.245.48.1", []string{"CF-Connecting-IP: " + victim}, "forwarded " + victim},
		{"A8", "twice", cloudflare, "173.245.48.1", []string{"CF-Connecting-IP: " + victim, "CF-Connecting-IP: " + attacker}, "unresolved 173.245.48.1"},
		{"A8", "a list where one is due", cloudflare, "173.245.48.1", []string{"CF-Connecting-IP: " + victim + ", " + attacker}, "unresolved 173.245.48.1"},
		{"A10", "Forwarded beside the source", byTrust, proxy, []string{"Forwarded: for=" + victim, "X-Forwarded-For: " + attacker}, "forwarded " + attacker + " conflict"},
		{"A10", "Forwarded that agrees", byTrust, proxy, []string{"Forwarded: for=" + attacker, "X-Forwarded-For: " + attacker}, "forwarded " + attacker},
		{"A11", "Forwarded as the source", rfc7239, proxy, []string{`Forwarded: for="[2001:db8:1::7]:4711";proto=https`}, "forwarded 2001:db8:1::7"},
		{"A11", "Forwarded with a forged element", rfc7239, proxy, []string{`Forwarded: for=` + victim + `, For=` + attacker + `;by=10.0.0.5`}, "forwarded " + attacker},
		{"A11", "a hidden name", rfc7239, proxy, []string{"Forwarded: for=" + victim + ", for=_hidden"}, "unresolved " + proxy},
		{"A11", "an unknown one", rfc7239, proxy, []string{"Forwarded: for=" + victim + ", for=unknown, for=10.0.0.9"}, "unresolved 10.0.0.9"},
		{"A11", "a quote left open by the client", rfc7239, proxy, []string{`Forwarded: for=` + victim + `;x=", for=` + attacker}, "forwarded " + attacker},
		{"A11", "a proxy hidden in a quoted string", rfc7239, proxy, []string{`Forwarded: for=` + attacker + `;x=", for=10.0.0.9"`}, "forwarded " + attacker},
		{"A12", "fewer elements than proxies", byCount, proxy, xff(attacker), "unresolved " + proxy},
		{"A12", "as many", byCount, proxy, xff(attacker + ", 192.0.2.1"), "forwarded " + attacker},
		{"A12", "more", byCount, proxy, xff(victim + ", " + attacker + ", 192.0.2.1"), "forwarded " + attacker},
		{"A12", "one that does not parse on the way", byCount, proxy, xff(attacker + ", junk"), "unresolved " + proxy},
		{"A12", "from elsewhere", byCount, attacker, xff(victim + ", " + victim), "direct " + attacker},
		{"A12", "without knowing the proxies", clientip.Config{Hops: 1}, attacker, xff(victim), "forwarded " + victim},
		{"A13", "all are trusted", byTrust, proxy, xff("10.1.1.1, 10.0.0.9"), "internal 10.1.1.1"},
		{"A14", "an element that is no address", byTrust, proxy, xff(attacker + ", not-an-ip"), "unresolved " + proxy},
		{"A14", "behind another proxy", byTrust, proxy, xff(attacker + ", not-an-ip, 10.0.0.9"), "unresolved 10.0.0.9"},
		{"A14", "an empty element", byTrust, proxy, xff(attacker + ", "), "unresolved " + proxy},
		{"A14", "an empty line", byTrust, proxy, xff(""), "unresolved " + proxy},
		{"A14", "a quoted element", byTrust, proxy, xff(`"` + attacker + `"`), "unresolved " + proxy},
		{"A14", "a name", byTrust, proxy, xff("unknown"), "unresolved " + proxy},
		{"A15", "no header from a proxy", byTrust, proxy, nil, "no_header " + proxy},
		{"A16", "named as hop-by-hop", byTrust, proxy, []string{"Connection: X-Forwarded-For", "X-Forwarded-For: " + attacker}, "forwarded " + attacker},

		{"B1", "mapped, dotted", byTrust, proxy, xff("::ffff:203.0.113.66"), "forwarded " + attacker + " mapped"},
		{"B1", "mapped, hexadecimal", byTrust, proxy, xff("::ffff:cb00:7142"), "forwarded " + attacker + " mapped"},
		{"B1", "mapped, in full", byTrust, proxy, xff("0:0:0:0:0:ffff:203.0.113.66"), "forwarded " + attacker + " mapped"},
		{"B1", "a mapped peer", byTrust, "::ffff:203.0.113.66", xff(victim), "direct " + attacker + " mapped"},
		{"B1", "a mapped proxy", byTrust, "::ffff:10.0.0.5", xff(victim + ", ::ffff:10.0.0.9"), "forwarded " + victim},
		{"B2", "a zone", byTrust, proxy, xff("2001:db8:1:2::1%eth0"), "forwarded 2001:db8:1:2::1 zone"},
		{"B2", "a zone of the peer", byTrust, "fe80::1%eth0", nil, "direct fe80::1 zone"},
		{"B2", "a zone that is no name", byTrust, proxy, xff("2001:db8:1:2::1%a b"), "unresolved " + proxy},
		{"B3", "in full, upper case", byTrust, proxy, xff("2001:DB8:1:2:0:0:0:1"), "forwarded 2001:db8:1:2::1"},
		{"B4", "a leading zero", byTrust, proxy, xff("0203.0.113.66"), "unresolved " + proxy},
		{"B4", "a leading zero in the third part", byTrust, proxy, xff("203.0.0113.66"), "unresolved " + proxy},
		{"B4", "hexadecimal", byTrust, proxy, xff("0xcb.0.113.66"), "unresolved " + proxy},
		{"B4", "an integer", byTrust, proxy, xff("3405803842"), "unresolved " + proxy},
		{"B4", "three parts", byTrust, proxy, xff("203.0.28994"), "unresolved " + proxy},
		{"B4", "a leading zero in the last part", byTrust, proxy, xff("203.0.113.066"), "unresolved " + proxy},
		{"B4", "a leading zero inside IPv6", byTrust, proxy, xff("::ffff:203.0.113.066"), "unresolved " + proxy},
		{"B5", "IPv4 and a port", byTrust, proxy, xff("203.0.113.66:51234"), "forwarded " + attacker},
		{"B5", "IPv6 and a port", byTrust, proxy, xff("[2001:db8::9]:51234"), "forwarded 2001:db8::9"},
		{"B5", "IPv6 in brackets", byTrust, proxy, xff("[2001:db8::9]"), "forwarded 2001:db8::9"},
		{"B5", "IPv4 in brackets", byTrust, proxy, xff("[203.0.113.66]"), "unresolved " + proxy},
		{"B5", "a port too large", byTrust, proxy, xff("203.0.113.66:65536"), "unresolved " + proxy},
		{"B5", "a port that is a name", byTrust, proxy, xff("203.0.113.66:http"), "unresolved " + proxy},
		{"B5", "no port after the colon", byTrust, proxy, xff("203.0.113.66:"), "unresolved " + proxy},
		{"B6", "NAT64", byTrust, proxy, xff("64:ff9b::cb00:7142"), "forwarded " + attacker + " nat64"},
		{"B6", "a proxy's address inside NAT64 is no proxy", byTrust, proxy, xff(victim + ", 64:ff9b::a00:9"), "forwarded 10.0.0.9 nat64"},
		{"B6", "nor is a peer", byTrust, "64:ff9b::a00:5", xff(victim), "direct 10.0.0.5 nat64"},
		{"B7", "6to4", byTrust, proxy, xff("2002:cb00:7142:1::1"), "forwarded " + attacker + " 6to4"},
		{"B7", "6to4, another subnet", byTrust, proxy, xff("2002:cb00:7142:ffff::9"), "forwarded " + attacker + " 6to4"},
		{"B7", "a peer that put a proxy's address into 6to4", byTrust, "2002:a00:5::1", xff(victim), "direct 10.0.0.5 6to4"},
		{"B8", "Teredo", byTrust, proxy, xff("2001:0:4136:e378:8000:63bf:3fff:fdd2"), "forwarded 192.0.2.45 teredo"},
		{"B13", "a mapped peer over a dual-stack listener", clientip.Config{}, "::ffff:203.0.113.66", nil, "direct " + attacker + " mapped"},
	} {
		t.Run(c.id+" "+c.name, func(t *testing.T) {
			x := extractor(t, c.cfg)
			if got := told(x.From(netip.MustParseAddr(c.peer), lines(c.header...))); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			var l ipwarden.Lines
			for _, h := range c.header {
				name, value, _ := strings.Cut(h, ": ")
				l.Add(strings.ToLower(name), value)
			}
			if got := told(x.From(netip.MustParseAddr(c.peer), &l)); got != c.want {
				t.Errorf("of Lines: %q, want %q", got, c.want)
			}
		})
	}
}

// A3, A4: whatever is in front, the key is one.
func TestForgedElementsDoNotMoveTheKey(t *testing.T) {
	x := extractor(t, clientip.Config{Trusted: prefixes("10.0.0.0/8")})
	for i := range 1000 {
		h := lines(fmt.Sprintf("X-Forwarded-For: 198.51.%d.%d, %s", i/256, i%256, attacker))
		c := x.From(netip.MustParseAddr(proxy), h)
		if got := clientip.Key(c.Addr); got != netip.MustParsePrefix(attacker+"/32") {
			t.Fatalf("key %s", got)
		}
	}
}

// A9: every other header is ignored, and removed.
func TestOtherHeadersAreIgnoredAndRemoved(t *testing.T) {
	x := extractor(t, clientip.Config{Trusted: prefixes("10.0.0.0/8")})
	for _, name := range clientip.SourceHeaders() {
		if name == x.Header() {
			continue
		}
		c := x.From(netip.MustParseAddr(proxy), lines(name+": "+victim, "X-Forwarded-For: "+attacker))
		if c.Addr != netip.MustParseAddr(attacker) || c.Status != clientip.Forwarded {
			t.Errorf("%s: %s", name, told(c))
		}
		for _, spelling := range []string{name, strings.ToLower(name), strings.ReplaceAll(strings.ToUpper(name), "-", "_")} {
			if !x.Removes(spelling) {
				t.Errorf("%s goes on", spelling)
			}
		}
	}
	for _, name := range []string{"True-Client-IP", "X-Client-IP", "X-Cluster-Client-IP", "Fastly-Client-IP", "X-Original-Forwarded-For", "X-Real-IP", "CF-Connecting-IP", "Forwarded", "X-Forwarded-For"} {
		if !slices.Contains(clientip.SourceHeaders(), http.CanonicalHeaderKey(name)) {
			t.Errorf("%s is not among them", name)
		}
	}
}

// B9, B10: one key a /64, one roll-up a /56 and a /48.
func TestKeys(t *testing.T) {
	for _, c := range []struct{ addr, key, r56, r48 string }{
		{attacker, attacker + "/32", "invalid Prefix", "invalid Prefix"},
		{"::ffff:203.0.113.66", attacker + "/32", "invalid Prefix", "invalid Prefix"},
		{"2002:cb00:7142:1::1", attacker + "/32", "invalid Prefix", "invalid Prefix"},
		{"2002:cb00:7142:ffff::9", attacker + "/32", "invalid Prefix", "invalid Prefix"},
		{"64:ff9b::cb00:7142", attacker + "/32", "invalid Prefix", "invalid Prefix"},
		{"64:ff9b::cb00:7143", "203.0.113.67/32", "invalid Prefix", "invalid Prefix"},
		{"2001:db8:1:2::1", "2001:db8:1:2::/64", "2001:db8:1::/56", "2001:db8:1::/48"},
		{"2001:DB8:1:2:0:0:0:1%eth0", "2001:db8:1:2::/64", "2001:db8:1::/56", "2001:db8:1::/48"},
		{"2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64", "2001:db8:1::/56", "2001:db8:1::/48"},
		{"2001:db8:1:ff02::", "2001:db8:1:ff02::/64", "2001:db8:1:ff00::/56", "2001:db8:1::/48"},
	} {
		addr := netip.MustParseAddr(c.addr)
		r56, r48 := clientip.Rollups(addr)
		if got := clientip.Key(addr); got.String() != c.key || r56.String() != c.r56 || r48.String() != c.r48 {
			t.Errorf("%s: %s %s %s", c.addr, got, r56, r48)
		}
	}
	if clientip.Key(netip.Addr{}).IsValid() {
		t.Error("no address has a key")
	}
}

// F10: what is looked at is bounded, whatever arrives.
func TestLongHeaders(t *testing.T) {
	x := extractor(t, clientip.Config{Trusted: prefixes("10.0.0.0/8")})
	many := strings.Repeat("198.51.100.20,", 4600)
	for name, c := range map[string]struct{ value, want string }{
		"thousands of elements":        {many + attacker, "forwarded " + attacker},
		"thousands of trusted ones":    {victim + strings.Repeat(",10.0.0.9", 7000), "unresolved 10.0.0.9"},
		"as many as are looked at":     {attacker + strings.Repeat(",10.0.0.9", clientip.MaxElements-1), "forwarded " + attacker},
		"one more":                     {attacker + strings.Repeat(",10.0.0.9", clientip.MaxElements), "unresolved 10.0.0.9"},
		"an element of 64 KB":          {victim + "," + strings.Repeat("1", 1<<16), "unresolved " + proxy},
		"64 KB of white space":         {victim + "," + strings.Repeat(" ", 1<<16) + attacker, "unresolved " + proxy},
		"64 KB of commas":              {strings.Repeat(",", 1<<16), "unresolved " + proxy},
		"64 KB before what is read":    {strings.Repeat("1", 1<<16) + "," + attacker, "forwarded " + attacker},
		"an address, and a long space": {attacker + strings.Repeat(" ", 1<<16), "unresolved " + proxy},
	} {
		if got := told(x.From(netip.MustParseAddr(proxy), lines("X-Forwarded-For: "+c.value))); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// A Unix socket has no peer's address.
func TestTrustedListener(t *testing.T) {
	x := extractor(t, clientip.Config{TrustPeer: true})
	for value, want := range map[string]string{
		attacker: "forwarded " + attacker, victim + ", " + attacker: "forwarded " + attacker,
		"junk": "unresolved invalid IP", "": "unresolved invalid IP",
	} {
		if got := told(x.From(netip.Addr{}, lines("X-Forwarded-For: "+value))); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
	if got := told(x.From(netip.Addr{}, nil)); got != "no_header invalid IP" {
		t.Error(got)
	}
	if c := extractor(t, clientip.Config{}).From(netip.Addr{}, lines("X-Forwarded-For: "+victim)); c != (clientip.Client{}) || c.Safe() {
		t.Errorf("without a peer: %s", told(c))
	}
}

func TestTrustAll(t *testing.T) {
	x := extractor(t, clientip.Config{DangerouslyTrustAll: true})
	for value, want := range map[string]string{
		victim + ", 10.0.0.9": "forwarded " + victim,
		victim + ", junk":     "unresolved " + attacker,
	} {
		if got := told(x.From(netip.MustParseAddr(attacker), lines("X-Forwarded-For: "+value))); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

// CloudFront gives a port always, and IPv6 without brackets.
func TestViewerAddress(t *testing.T) {
	x := extractor(t, clientip.Config{Trusted: prefixes("10.0.0.0/8"), Header: "CloudFront-Viewer-Address"})
	for value, want := range map[string]string{
		"203.0.113.66:46532":                          "forwarded " + attacker,
		"2001:db8:85a3::8a2e:370:7334:46532":          "forwarded 2001:db8:85a3::8a2e:370:7334",
		"2001:0db8:85a3:0000:0000:8a2e:0370:7334:443": "forwarded 2001:db8:85a3::8a2e:370:7334",
		"[2001:db8::7]:443":                           "forwarded 2001:db8::7",
		"203.0.113.66":                                "unresolved " + proxy,
		"2001:db8::beef":                              "unresolved " + proxy,
	} {
		if got := told(x.From(netip.MustParseAddr(proxy), lines("CloudFront-Viewer-Address: "+value))); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}
