package main

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/api"
	"github.com/ipwarden/ipwarden/internal/console"
	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage"
)

// reachedAt is where people reach the server: what the operator says, else where it
// listens, which works on this machine at least.
func (c *serveCmd) reachedAt() string {
	if c.PublicURL != "" {
		return strings.TrimRight(c.PublicURL, "/")
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return "http://localhost"
	}
	if a, err := netip.ParseAddr(host); host == "" || err == nil && a.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// page is the path of a page where people who are not signed in may go; empty where there
// is none.
func (r *keyRun) page(name string) string {
	if r == nil || name == "sign-up" && !r.people.SignUpOpen() {
		return ""
	}
	return console.Prefix + "/" + name
}

// session is the name of the cookie of who is signed in; empty where nobody is.
func (r *keyRun) session(url string) string {
	if r == nil {
		return ""
	}
	return console.SessionCookie(url)
}

// pages are the web pages of accounts; nothing without them. client tells who asks; nil
// is the peer.
func (r *keyRun) pages(url string, client func(netip.Addr, ipwarden.Header) netip.Addr, e *env, log *slog.Logger) ([]api.Mount, error) {
	if r == nil {
		return nil, nil
	}
	c := console.Config{
		People: r.people, Accounts: r.accounts.Service, URL: url, Now: e.now, Log: log, Rows: r.usage.Rows,
		InForce: r.follow.inForce,
		Callers: func(id customer.AccountID) []usage.Frequent { return r.usage.busiest.Of(id, e.now()) },
		Quota:   func(id customer.AccountID) usage.Quota { return r.usage.Standing(usage.Subject{Account: id}).Quota() },
	}
	if client != nil {
		c.Client = func(q *http.Request) netip.Addr {
			p, _ := netip.ParseAddrPort(q.RemoteAddr) // the zero one over a Unix socket
			return client(p.Addr().Unmap().WithZone(""), q.Header)
		}
	}
	k, err := console.New(c)
	if err != nil {
		return nil, err
	}
	return []api.Mount{{Prefix: console.Prefix, Handler: k}}, nil
}
