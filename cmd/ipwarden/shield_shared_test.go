package main

import (
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// What one node's command says is in force at another that shares nothing with it but
// Redis, and what the command says to Redis at both.
func TestShieldIsShared(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	proxytest.Redis(t, addr)
	nodes := sharingNodes(t, addr, "lists:\n  office: {networks: [203.0.113.66], action: allow}\n")
	world := builtWorld(t)
	e := &env{stdout: io.Discard, stderr: io.Discard, getenv: func(string) string { return "" }, now: time.Now}
	d, err := (&dataFlags{Dataset: world, dirFlag: dirFlag{DataDir: t.TempDir()}}).open(e)
	if err != nil {
		t.Fatal(err)
	}
	live := func() *data { return d }
	dirs := [2]string{t.TempDir(), t.TempDir()}
	for i := range nodes {
		s := newShield(live, nil, e, slog.New(slog.DiscardHandler))
		if err := s.open(t.Context(), &dirFlag{DataDir: dirs[i]}, e, nodes[i], nil); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
	}
	decides := func(i int, client string) ipwarden.Verdict {
		var d gate.Decision
		nodes[i].Decide(t.Context(), &ipwarden.Request{Peer: netip.MustParseAddr(client), Method: "GET", Path: "/", Host: "x"}, &d)
		return d.Verdict
	}
	is := func(what string, want ipwarden.Verdict) {
		t.Helper()
		for i := range nodes {
			proxytest.Eventually(t, what, func() bool { return decides(i, "8.8.8.8") == want })
		}
	}
	before := decides(0, "8.8.8.8")
	if before == ipwarden.Block {
		t.Fatal("the policy refuses the address by itself")
	}
	command := func(args ...string) {
		t.Helper()
		var out, errs strings.Builder
		own := *e
		own.stdout, own.stderr = &out, &errs
		if code := run(append([]string{"shield"}, args...), &own); code != exitOK {
			t.Fatalf("%v: %s%s", args, &out, &errs)
		}
	}
	command("countries", "US", "--data-dir", dirs[0])
	is("what the command of one node says is in force at both", ipwarden.Block)
	command("undo", "--data-dir", dirs[1])
	is("what the other's undoes is not", before)
	command("asns", "15169", "--redis", "redis://"+addr)
	is("what is said to Redis is in force at both", ipwarden.Block)
	command("off", "--redis", "redis://"+addr)
	is("and ends at both", before)
}
