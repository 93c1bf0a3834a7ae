package main

import (
	"strings"
	"testing"
)

// A stream that cannot be is named, and those that were connected to are there to be
// closed. One that is away is none of these: it is tried again.
func TestConnectAll(t *testing.T) {
	away := streamDial{region: "eu", url: "nats://127.0.0.1:1"}
	conns, err := connectAll([]streamDial{away, {region: "us", url: "kafka://"}, away})
	for _, c := range conns {
		c.Close() // none is nil
	}
	if len(conns) != 2 || err == nil || !strings.Contains(err.Error(), "region us") || strings.Contains(err.Error(), "region eu") {
		t.Errorf("%d connections, %v", len(conns), err)
	}
	if conns, err = connectAll([]streamDial{away, away}); len(conns) != 2 || err != nil {
		t.Errorf("%d connections, %v", len(conns), err)
	}
	for _, c := range conns {
		c.Close()
	}
}
