package main

import (
	"net/http"
	"net/netip"
	"testing"

	"github.com/ipwarden/ipwarden/clientip"
)

// HAProxy is the one hop in front: what its agent is told as the peer is the
// client, and the header is whatever that client has written.
func TestHopsBehindHAProxy(t *testing.T) {
	forged := http.Header{"X-Forwarded-For": {"198.51.100.20"}}
	appended := http.Header{"X-Forwarded-For": {"192.0.2.1, 198.51.100.20"}}
	for _, c := range []struct {
		hops   int
		peer   string
		header http.Header
		want   string
		status clientip.Status
	}{
		{1, "203.0.113.66", forged, "203.0.113.66", clientip.Direct},
		{2, "203.0.113.66", appended, "198.51.100.20", clientip.Forwarded},
		{3, "203.0.113.66", forged, "203.0.113.66", clientip.Unresolved},
		{0, "203.0.113.66", forged, "203.0.113.66", clientip.Direct},
	} {
		found, err := (&gateFlags{TrustedHops: c.hops}).clients(nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := found.spoa.From(netip.MustParseAddr(c.peer), c.header); got.Addr.String() != c.want || got.Status != c.status {
			t.Errorf("%d hops: %s, %s; want %s, %s", c.hops, got.Addr, got.Status, c.want, c.status)
		}
	}
}
