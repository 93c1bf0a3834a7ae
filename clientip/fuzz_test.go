package clientip

import (
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden"
)

// FuzzNode compares our parser with the one of net/netip.
func FuzzNode(f *testing.F) {
	for _, s := range []string{
		"203.0.113.66", "203.0.113.066", "1.2.3", "1.2.3.4.5", "1.2.3.4:80", "[2001:db8::1]:80", "[::]", "::", ":::", "1::2::3",
		"::ffff:1.2.3.4", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8::", "1:2:3:4:5:6:1.2.3.4", "1::1.2.3.4.5",
		"fe80::1%eth0", "fe80::1%", "[fe80::1%eth0]:1", "12345::", "::1.2.3.4%x", "1:2", "g::", "[1.2.3.4]", "1.2.3.4:", "1.2.3.4:65536", "[::1]x",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, zone, ok := parseNode(s)
		want, wantZone, wantOK := slowNode(s)
		if ok != wantOK || ok && (got != want || zone != wantZone) {
			t.Errorf("%q: %v %v %v, want %v %v %v", s, got, zone, ok, want, wantZone, wantOK)
		}
	})
}

var (
	portPattern  = regexp.MustCompile(`^:[0-9]{1,5}$`)
	plainPattern = regexp.MustCompile(`^(?s:[0-9.]+(:[0-9]{1,5})?|\[.*\](:[0-9]{1,5})?)$`)
)

// slowNode reads an element with the standard library.
func slowNode(s string) (netip.Addr, bool, bool) {
	if plainPattern.MatchString(s) {
		host, port := s, ""
		if s[0] == '[' {
			end := strings.IndexByte(s, ']')
			host, port = s[1:end], s[end+1:]
			if !strings.Contains(host, ":") {
				return netip.Addr{}, false, false
			}
		} else if i := strings.IndexByte(s, ':'); i >= 0 {
			host, port = s[:i], s[i:]
		}
		if port != "" {
			if !portPattern.MatchString(port) {
				return netip.Addr{}, false, false
			}
			// Leading zeros of a port are in the grammar, and not in ParseAddrPort's.
			if p := strings.TrimLeft(port[1:], "0"); len(p) == 5 && p > "65535" {
				return netip.Addr{}, false, false
			}
		}
		s = host
	}
	a, err := ipwarden.ParseAddr(s)
	return a.WithZone(""), a.Zone() != "", err == nil
}

// forwardedPattern is an element of Forwarded as RFC 7239 section 4 has it, with
// white space allowed round a semicolon.
const (
	tokenPattern  = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+"
	quotedPattern = `"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"`
	pairPattern   = tokenPattern + `=(?:` + tokenPattern + `|` + quotedPattern + `)`
)

var (
	elementPattern = regexp.MustCompile(`^[ \t]*(?:` + pairPattern + `)?(?:[ \t]*;[ \t]*(?:` + pairPattern + `)?)*[ \t]*$`)
	pairsPattern   = regexp.MustCompile(pairPattern)
	v4Pattern      = regexp.MustCompile(`^([0-9.]+)(:[0-9]{1,5}|:_[0-9A-Za-z._-]+)?$`)
	v6Pattern      = regexp.MustCompile(`^(\[[^\]]*\])(:[0-9]{1,5}|:_[0-9A-Za-z._-]+)?$`)
)

// slowForwarded reads an element with regular expressions.
func slowForwarded(s string) (netip.Addr, bool, bool) {
	s = latin1(s)
	if !elementPattern.MatchString(s) {
		return netip.Addr{}, false, false
	}
	var nodes []string
	for _, pair := range pairsPattern.FindAllString(s, -1) {
		if name, value, _ := strings.Cut(pair, "="); strings.EqualFold(name, "for") {
			nodes = append(nodes, strings.Trim(value, `"`))
		}
	}
	if len(nodes) != 1 || strings.HasPrefix(nodes[0], `\`) {
		return netip.Addr{}, false, false
	}
	for _, p := range []*regexp.Regexp{v4Pattern, v6Pattern} {
		if m := p.FindStringSubmatch(nodes[0]); m != nil {
			if strings.HasPrefix(m[2], ":_") {
				m[2] = ""
			}
			return slowNode(m[1] + m[2])
		}
	}
	return netip.Addr{}, false, false
}

// latin1 makes each byte a character, which is what a pattern matches.
func latin1(s string) string {
	r := make([]rune, len(s))
	for i := range len(s) {
		r[i] = rune(s[i])
	}
	return string(r)
}

func FuzzForwarded(f *testing.F) {
	for _, s := range []string{
		`for=192.0.2.60;proto=http;by=203.0.113.43`, `For="[2001:db8:cafe::17]:4711"`, `for="_gazonk"`, `for=unknown`, `for="192.0.2.43:47011"`,
		`for=192.0.2.43:47011`, `for="2001:db8::1"`, `for=[2001:db8::1]`, `for=1.2.3.4;for=1.2.3.4`, `;;for=1.2.3.4;`, `for=1.2.3.4 ; proto=https`,
		`for = 1.2.3.4`, `for="1.2.3.4`, `a="\"";for=1.2.3.4`, `a="\\";for=1.2.3.4`, `for="1.2.3.4:_x"`, `for="[::1]:_x"`, `for="1\.2.3.4"`, "a=\"\xff\";for=1.2.3.4",
		`proto=http`, ``, `for=`, `for=""`, `xfor=1.2.3.4`, `for="[fe80::1%eth0]"`, `a="for=1.2.3.4"`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > maxForwarded {
			return
		}
		got, zone, ok := parseForwarded(s)
		want, wantZone, wantOK := slowForwarded(s)
		if ok != wantOK || ok && (got != want || zone != wantZone) {
			t.Errorf("%q: %v %v %v, want %v %v %v", s, got, zone, ok, want, wantZone, wantOK)
		}
	})
}

// slowWalk is the contract said in another way: all elements first, then the
// shortest tail of them that ends the search.
func slowWalk(x *Extractor, text string, peer netip.Addr) (netip.Addr, Status) {
	parse, elements := slowNode, []string(nil)
	for _, line := range strings.Split(text, "\n") {
		parts := strings.Split(line, ",")
		for i := range parts {
			parts[i] = strings.Trim(parts[i], " \t")
		}
		if x.form == rfc7239 {
			parse, parts = slowForwarded, slowSplit(line)
		}
		elements = append(elements, parts...)
	}
	type hop struct {
		addr netip.Addr
		ok   bool
	}
	hops := []hop{{peer, true}}
	for _, e := range slices.Backward(elements) {
		a, _, ok := parse(e)
		hops = append(hops, hop{a, ok})
	}
	isTrusted := func(a netip.Addr) bool {
		return netip.MustParsePrefix("10.0.0.0/8").Contains(a.Unmap())
	}
	known := slices.IndexFunc(hops, func(h hop) bool { return !h.ok }) // those before it
	if known < 0 {
		known = len(hops)
	}
	client := slices.IndexFunc(hops[:known], func(h hop) bool { return !isTrusted(h.addr) })
	switch {
	case client >= 0 && client <= MaxElements:
		return hops[client].addr, Forwarded
	case known < len(hops) && known <= MaxElements:
		return hops[known-1].addr, Unresolved
	case len(hops)-1 > MaxElements:
		return hops[MaxElements].addr, Unresolved
	}
	return hops[len(hops)-1].addr, Internal
}

// slowSplit cuts elements off from the right: the shortest tail after a comma
// that is an element, else one that is none.
func slowSplit(line string) (parts []string) {
	for {
		at := -1
		for i := len(line) - 1; i >= 0 && at < 0; i-- {
			if line[i] == ',' && elementPattern.MatchString(latin1(line[i+1:])) {
				at = i
			}
		}
		if at < 0 {
			return slices.Insert(parts, 0, line)
		}
		parts = slices.Insert(parts, 0, line[at+1:])
		line = line[:at]
	}
}

// FuzzFrom: whatever the header has, the outcome is the oracle's, and no
// address comes from the left of an element that is no address.
func FuzzFrom(f *testing.F) {
	for _, s := range []string{
		"198.51.100.20, 203.0.113.66", "203.0.113.66, not-an-ip, 10.0.0.9", "10.1.1.1, 10.0.0.9", "198.51.100.20\n203.0.113.66 ,\t10.0.0.9",
		"", ",", "\n", "[2001:db8::1]:80,10.0.0.1", "::ffff:10.0.0.1,::ffff:10.0.0.2", "64:ff9b::a00:9", "1.2.3.4%x,10.0.0.1", strings.Repeat("10.0.0.9,", 40) + "10.0.0.9",
		`for=198.51.100.20, for="[2001:db8::1]:443";by=10.0.0.9, for=10.0.0.9`, `for=1.2.3.4;x=", for=203.0.113.66`, `for=203.0.113.66;x=", for=10.0.0.9"`,
		`for=_a, for=10.0.0.1`, `for="\", for=10.0.0.9`, `a="x,y\"",for=10.0.0.9`, `for=198.51.100.20,`,
	} {
		f.Add(s, true)
		f.Add(s, false)
	}
	peer := netip.MustParseAddr("10.0.0.5")
	extractors := map[bool]*Extractor{}
	for _, rfc := range []bool{false, true} {
		header := forwardedFor
		if rfc {
			header = forwarded
		}
		x, err := New(Config{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Header: header})
		if err != nil {
			f.Fatal(err)
		}
		extractors[rfc] = x
	}
	f.Fuzz(func(t *testing.T, text string, rfc bool) {
		if len(text) > 400 {
			return // the limits of length have a test of their own
		}
		x := extractors[rfc]
		c := x.From(peer, http.Header{x.header: strings.Split(text, "\n")})
		addr, status := slowWalk(x, text, peer)
		if want, _ := ipwarden.Canonical(addr); c.Addr != want || c.Status != status {
			t.Errorf("%q: %s %s, want %s %s", text, c.Status, c.Addr, status, want)
		}
	})
}
