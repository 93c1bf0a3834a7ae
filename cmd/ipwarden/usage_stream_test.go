package main

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Ten streams take as long as the slowest one: nobody waits for another to be connected.
func TestConnectAllAtOnce(t *testing.T) {
	dials := make([]streamDial, 10)
	var there atomic.Int32
	all := make(chan struct{})
	_, err := connectAll(dials, func(streamDial) (streamConn, error) {
		if there.Add(1) == int32(len(dials)) {
			close(all)
		}
		select {
		case <-all:
			return nil, nil
		case <-time.After(10 * time.Second):
			return nil, errors.New("it waits for others")
		}
	})
	if err != nil {
		t.Errorf("after %d of %d: %v", there.Load(), len(dials), err)
	}
}

// A stream that cannot be is named, and those that were connected to are there to be
// closed. One that is away is none of these: it is tried again.
func TestConnectAll(t *testing.T) {
	away := streamDial{region: "eu", url: "nats://127.0.0.1:1"}
	conns, err := connectAll([]streamDial{away, {region: "us", url: "kafka://"}, away}, streamDial.connect)
	for _, c := range conns {
		c.Close() // none is nil
	}
	if len(conns) != 2 || err == nil || !strings.Contains(err.Error(), "region us") || strings.Contains(err.Error(), "region eu") {
		t.Errorf("%d connections, %v", len(conns), err)
	}
	if conns, err = connectAll([]streamDial{away, away}, streamDial.connect); len(conns) != 2 || err != nil {
		t.Errorf("%d connections, %v", len(conns), err)
	}
	for _, c := range conns {
		c.Close()
	}
}
