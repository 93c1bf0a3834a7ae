package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/ipwarden/ipwarden/gate/crawler"
	"github.com/ipwarden/ipwarden/policy/compile"
)

// newCrawlers tells who is a crawler: by the ranges that operators publish, and by DNS
// where that is asked for. server is asked then, "" is the system's.
func newCrawlers(dns bool, server string, d *data) (*crawler.Verifier, error) {
	cfg := crawler.Config{Feeds: []string{}}
	for _, feed := range d.Info().Feeds {
		cfg.Feeds = append(cfg.Feeds, feed.Name)
	}
	if !dns {
		cfg.Table = crawler.Table()
		for i := range cfg.Table {
			cfg.Table[i].Hosts = nil
		}
	}
	if server != "" {
		addr, err := dnsServer(server)
		if err != nil {
			return nil, err
		}
		r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, addr)
		}}
		cfg.LookupAddr, cfg.LookupHost = r.LookupAddr, r.LookupHost
	}
	return crawler.New(cfg)
}

// dnsServer is an address with the port of DNS, unless it has one.
func dnsServer(text string) (string, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = strings.Trim(text, "[]"), "53"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || net.ParseIP(host) == nil {
		return "", usagef("--crawler-dns-server %q is no address, such as 127.0.0.1:53", text)
	}
	return net.JoinHostPort(host, port), nil
}

// byNameAlone is what a policy asks of crawlers that only DNS tells from others, for
// who runs it without; "" for nothing.
func byNameAlone(p *compile.Policy) string {
	named, all := p.Crawlers()
	var names []string
	for _, c := range crawler.Table() {
		if c.Feed == "" && (all || slices.Contains(named, c.Name)) {
			names = append(names, c.Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	who := strings.Join(names[:min(len(names), 3)], ", ")
	if n := len(names) - 3; n > 0 {
		who = fmt.Sprintf("%s and %d more", who, n)
	}
	return "crawlers that publish no addresses (" + who + ") are verified, and pending until then, where the gate runs with --crawler-dns; without it they are clients as any others"
}
