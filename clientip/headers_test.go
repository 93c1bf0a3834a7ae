package clientip_test

import (
	"net/http"
	"net/netip"
	"slices"
	"testing"

	"github.com/ipwarden/ipwarden/clientip"
)

func TestSourceHeadersAreCanonical(t *testing.T) {
	seen := map[string]bool{}
	for _, name := range clientip.SourceHeaders() {
		if http.CanonicalHeaderKey(name) != name || seen[name] {
			t.Errorf("%s is not canonical, or twice there", name)
		}
		seen[name] = true
	}
}

func TestRemoves(t *testing.T) {
	x := extractor(t, clientip.Config{Header: "X-Edge-Client"})
	for name, want := range map[string]bool{
		"X-Forwarded-For": true, "x_forwarded_for": true, "X-Real_IP": true, "X-Edge-Client": true,
		"X-Ipwarden-Verdict": true, "x-ipwarden-risk": true, "X_IPWARDEN_RISK": true, "X-Ipwarden-": true,
		"X-Middleware-Subrequest": true, "x-middleware-subrequest": true, "X-Middleware-Subrequest-Id": true,
		"X-Ipwarden": false, "X-Middleware-Prefetch": false, "X-Forwarded-Proto": false, "X-Forwarded-Host": false,
		"Accept": false, "Host": false, "User-Agent": false, "Connection": false, "": false, "X": false,
		"X-A-Header-With-A-Name-That-Is-Longer-Than-Any-Of-The-Names-That-Are-Removed": false,
	} {
		if got := x.Removes(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

func TestUpstream(t *testing.T) {
	x := extractor(t, clientip.Config{})
	for addr, want := range map[string]string{
		attacker:       "for=203.0.113.66",
		"2001:db8::7":  `for="[2001:db8::7]"`,
		"fe80::1%eth0": `for="[fe80::1]"`,
	} {
		c := x.From(netip.MustParseAddr(addr), nil)
		h := http.Header{}
		for _, f := range x.AppendUpstream(nil, c) {
			h.Set(f.Name, f.Value)
		}
		if len(h) != 3 || h.Get("X-Forwarded-For") != c.Addr.String() || h.Get("X-Real-IP") != c.Addr.String() || h.Get("Forwarded") != want {
			t.Errorf("%s: %v", addr, h)
		}
		text, same := x.AppendUpstreamIn([]byte("before"), nil, c)
		if !slices.Equal(same, x.AppendUpstream(nil, c)) || string(text) != "before"+want {
			t.Errorf("%s: %q in %q", addr, same, text)
		}
		// What we write we read.
		for _, source := range []string{"X-Forwarded-For", "X-Real-IP", "Forwarded"} {
			y := extractor(t, clientip.Config{TrustPeer: true, Header: source})
			if again := y.From(netip.Addr{}, h); again.Addr != c.Addr || again.Status != clientip.Forwarded || again.Conflict {
				t.Errorf("%s of %s is read as %s", source, addr, told(again))
			}
		}
	}
	if got := x.AppendUpstream(nil, clientip.Client{}); got != nil {
		t.Errorf("no address: %v", got)
	}
	if text, got := x.AppendUpstreamIn(nil, nil, clientip.Client{}); text != nil || got != nil {
		t.Errorf("no address: %v in %q", got, text)
	}
}

// A16: a client cannot have what was set taken off again.
func TestConnection(t *testing.T) {
	x := extractor(t, clientip.Config{})
	for line, want := range map[string]string{
		"close": "close", "": "", "keep-alive, Upgrade": "keep-alive, Upgrade", "X-Custom": "X-Custom",
		"X-Forwarded-For": "", "close, x-forwarded-for": "close", "X-Ipwarden-Verdict,\tTE ,X_Real_IP": "TE", "forwarded,,close": "close",
	} {
		got, changed := x.Connection(line)
		if got != want || changed != (line != want) {
			t.Errorf("%q: %q %v, want %q", line, got, changed, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { x.Connection("keep-alive, Upgrade") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
