package gate

import (
	"testing"

	"github.com/ipwarden/ipwarden"
)

// The host and the port are the client's, and nothing that is no host becomes
// one.
func TestFamilyLocation(t *testing.T) {
	for _, c := range []struct {
		family               Family
		forwarded            string
		location, want, what string
	}{
		{ForwardAuth, "shop.example", "/c?to=%2F", "https://shop.example/c?to=%2F", "a host"},
		{ForwardAuth, "shop.example:8443", "/c", "https://shop.example:8443/c", "a port"},
		{ForwardAuth, "[2001:db8::1]:8443", "/c", "https://[2001:db8::1]:8443/c", "IPv6"},
		{ForwardAuth, "shop.example@evil.example", "/c", "https://shop.example/c", "user information"},
		{ForwardAuth, "evil.example/x", "/c", "https://shop.example/c", "a path"},
		{ForwardAuth, `evil.example\`, "/c", "https://shop.example/c", "a backslash"},
		{ForwardAuth, "shop.example", "https://elsewhere.example/", "https://elsewhere.example/", "an absolute one"},
		{ForwardAuth, "", "/c", "https://shop.example/c", "no host of the proxy"},
		{Nginx, "shop.example", "/c", "/c", "nginx"},
		{Envoy, "shop.example", "/c", "/c", "Envoy"},
	} {
		var h ipwarden.Lines
		h.Add("X-Forwarded-Host", c.forwarded)
		d := &Decision{Location: c.location, request: ipwarden.Request{Header: &h, Scheme: "https", Host: "shop.example"}}
		if got := c.family.Location(d); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
}
