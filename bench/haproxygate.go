package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// haproxyConfig answers by itself: without asking, after asking each of two
// agents the same, and after all rules of integrations/haproxy.
const haproxyConfig = `global
    default-path config
    lua-load ipwarden.lua
    maxconn 2000
    nbthread 1
defaults
    mode http
    timeout connect 200ms
    timeout client  75s
    timeout server  75s
frontend plain
    bind %[1]s
    http-request return status 200 content-type text/plain string "ok"
frontend trivial
    bind %[2]s
    filter spoe engine ipwarden config %[5]s
    http-request return status 200 content-type text/plain string "ok"
frontend gate
    bind %[3]s
    filter spoe engine ipwarden config %[6]s
    http-request return status 200 content-type text/plain string "ok"
%[4]s    http-request return status 200 content-type text/plain string "ok"
backend trivial-agents
    mode tcp
    option spop-check
    timeout server 10m
    server agent1 %[7]s check inter 500ms fall 1 rise 1
backend ipwarden-agents
    mode tcp
    option spop-check
    timeout server 10m
    server agent1 %[8]s check inter 500ms fall 1 rise 1
backend bare-agents
    mode tcp
    option spop-check
    timeout server 10m
    server agent1 %[10]s check inter 500ms fall 1 rise 1
backend ipwarden-pages
    server pages1 %[9]s
`

func startHAProxy(ctx context.Context, p *places) (*server, error) {
	home := filepath.Join(p.dir, "haproxy")
	if err := os.MkdirAll(home, 0o755); err != nil {
		return nil, err
	}
	shipped := filepath.Join(p.root, "integrations", "haproxy")
	spoe, err1 := os.ReadFile(filepath.Join(shipped, "ipwarden-spoe.cfg"))
	rules, err2 := os.ReadFile(filepath.Join(shipped, "haproxy.cfg"))
	lua, err3 := os.ReadFile(filepath.Join(shipped, "ipwarden.lua"))
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	// Everybody comes from here: the address is in a header.
	asking, err := replaced(string(spoe), "src=src", "src=req.hdr_ip(x-client)")
	if err != nil {
		return nil, err
	}
	trivial, err := replaced(asking, "ipwarden-agents", "trivial-agents")
	if err != nil {
		return nil, err
	}
	bare, err := replaced(asking, "ipwarden-agents", "bare-agents")
	if err != nil {
		return nil, err
	}
	own, other, conf := filepath.Join(home, "ipwarden-spoe.cfg"), filepath.Join(home, "trivial-spoe.cfg"), filepath.Join(home, "haproxy.cfg")
	alone := filepath.Join(home, "bare-spoe.cfg")
	full, err := frontendOf(string(rules), p.haproxy[3], own)
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf(haproxyConfig, p.haproxy[0], p.haproxy[1], p.haproxy[2], full, other, alone, p.trivial, p.gate.spoa, p.gate.api, p.bare.spoa)
	if err := errors.Join(os.WriteFile(own, []byte(asking), 0o644), os.WriteFile(other, []byte(trivial), 0o644), os.WriteFile(alone, []byte(bare), 0o644), os.WriteFile(conf, []byte(text), 0o644), os.WriteFile(filepath.Join(home, "ipwarden.lua"), lua, 0o644)); err != nil {
		return nil, err
	}
	return startServer(ctx, p.haproxy[0], "haproxy", "-db", "-f", conf)
}

// frontendOf takes the frontend out of the configuration that people copy, but
// for its application, and gives it an address.
func frontendOf(text, addr, spoe string) (string, error) {
	_, text, ok1 := strings.Cut(text, "\nfrontend web\n")
	text, _, ok2 := strings.Cut(text, "    default_backend app")
	if !ok1 || !ok2 {
		return "", errors.New("integrations/haproxy/haproxy.cfg has no frontend web, or no default_backend app in it")
	}
	text, err := replaced("frontend full\n"+text, "127.0.0.1:8080", addr)
	if err != nil {
		return "", err
	}
	return replaced(text, "config ipwarden-spoe.cfg", "config "+spoe)
}

// replaced replaces what has to be there.
func replaced(text, old, by string) (string, error) {
	if !strings.Contains(text, old) {
		return "", fmt.Errorf("there is no %q in what is to be changed:\n%s", old, text)
	}
	return strings.ReplaceAll(text, old, by), nil
}
