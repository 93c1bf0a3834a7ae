package netns_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/netns"
)

func TestConfig(t *testing.T) {
	for _, n := range []int{-1, 0, 65} {
		if _, err := netns.New(netns.Config{Places: n}); err == nil || errors.Is(err, netns.ErrImpossible) {
			t.Errorf("%d places: %v", n, err)
		}
	}
}

// What is far away takes its time, what is cut off does not arrive, and after the end of
// the cut it does.
func TestFar(t *testing.T) {
	if err := netns.Possible(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	const delay = 60 * time.Millisecond
	w, err := netns.New(netns.Config{Places: 3, Delay: func(from, to int) time.Duration {
		if from+to == 1 {
			return delay
		}
		return time.Millisecond
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	addr := netip.AddrPortFrom(netns.Addr(1), 7000).String()
	var ln net.Listener
	if err := w.Do(1, func() (err error) { ln, err = net.Listen("tcp", addr); return err }); err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); c.Close() }()
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := net.InterfaceByName("far0"); err == nil {
		t.Error("the device of a place is outside of it")
	}
	echo := func(c net.Conn) {
		t.Helper()
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
	}
	var conns [3]net.Conn
	for i := range conns {
		began := time.Now()
		if conns[i], err = w.Dial(ctx, i, "tcp", addr); err != nil {
			t.Fatal(err)
		}
		defer conns[i].Close()
		echo(conns[i])
		if took := time.Since(began); i == 0 && took < 4*delay {
			t.Errorf("two round trips took %v, want at least %v", took, 4*delay)
		}
	}
	w.Cut(0, 1, true)
	if _, err := conns[0].Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := conns[0].SetReadDeadline(time.Now().Add(5 * delay)); err != nil {
		t.Fatal(err)
	}
	if n, err := conns[0].Read(make([]byte, 5)); err == nil {
		t.Errorf("%d bytes came from a place that is cut off", n)
	}
	echo(conns[2]) // which is cut off from nobody
	w.Cut(0, 1, false)
	if err := conns[0].SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conns[0], make([]byte, 5)); err != nil {
		t.Errorf("what was sent while it was cut off did not arrive later: %v", err)
	}
	w.Close()
	if err := w.Do(0, func() error { return nil }); err == nil {
		t.Error("a place lives on")
	}
}
