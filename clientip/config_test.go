package clientip_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden/clientip"
)

func TestConfigMistakes(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  clientip.Config
		want []string
	}{
		"all of IPv4":             {clientip.Config{Trusted: prefixes("0.0.0.0/0")}, []string{"covers all of IPv4", "10.0.0.0/8", "DangerouslyTrustAll"}},
		"all of IPv4, in halves":  {clientip.Config{Trusted: prefixes("0.0.0.0/1", "128.0.0.0/2", "192.0.0.0/2")}, []string{"covers all of IPv4"}},
		"all of IPv4, mapped":     {clientip.Config{Trusted: prefixes("::ffff:0:0/96")}, []string{"covers all of IPv4"}},
		"all of IPv6":             {clientip.Config{Trusted: prefixes("::/0")}, []string{"covers all of IPv6"}},
		"all that is routed":      {clientip.Config{Trusted: prefixes("2000::/3")}, []string{"covers all of IPv6"}},
		"all that is routed too":  {clientip.Config{Trusted: prefixes("3000::/4", "2000::/4")}, []string{"covers all of IPv6"}},
		"beyond the mapped block": {clientip.Config{Trusted: prefixes("::ffff:0:0/90")}, []string{"begins at an IPv4-mapped address"}},
		"the zero prefix":         {clientip.Config{Trusted: make([]netip.Prefix, 1)}, []string{"invalid prefix", "10.0.0.0/8"}},
		"no name of a header":     {clientip.Config{Header: "X Forwarded For"}, []string{`"X Forwarded For" is no name`, "X-Forwarded-For"}},
		"another header":          {clientip.Config{Header: "cookie"}, []string{"Cookie is not about the client's address"}},
		"too many hops":           {clientip.Config{Hops: 33}, []string{"Hops is 33", "1 to 32"}},
		"fewer than none":         {clientip.Config{Hops: -1}, []string{"Hops is -1"}},
		"hops of one address":     {clientip.Config{Hops: 1, Header: "X-Real-IP"}, []string{"X-Real-Ip has one address", "TrustPeer"}},
		"all, and some":           {clientip.Config{DangerouslyTrustAll: true, Hops: 1}, []string{"DangerouslyTrustAll makes Trusted and Hops meaningless"}},
		"all mistakes at once":    {clientip.Config{Header: "", Hops: -1, Trusted: prefixes("::/0")}, []string{"covers all of IPv6", "Hops is -1"}},
	} {
		x, err := clientip.New(c.cfg)
		if err == nil || x != nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q has no %q", name, err, want)
			}
		}
	}
}

func TestHeaderNames(t *testing.T) {
	for given, want := range map[string]string{
		"": "X-Forwarded-For", "x-forwarded-for": "X-Forwarded-For", "CF-Connecting-IP": "Cf-Connecting-Ip", "X-My_Client": "X-My_client",
	} {
		x := extractor(t, clientip.Config{Header: given})
		if x.Header() != want {
			t.Errorf("%q: %q", given, x.Header())
		}
		if !x.Removes(x.Header()) {
			t.Errorf("%q goes on", given)
		}
	}
}
