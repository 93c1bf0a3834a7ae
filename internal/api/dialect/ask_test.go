package dialect

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/ipwardentest"
	"github.com/ipwarden/ipwarden/risk"
)

// corpus has an address of every kind that the sample knows, and one of which
// nothing is known.
var corpus = []string{
	"8.8.8.8", "2001:4860::8888", "1.1.1.1", "81.2.69.1", "185.220.101.1", "146.70.1.1", "66.249.66.1", "126.1.2.3",
	"9.9.9.9", "10.0.0.1", "100.64.0.1", "127.0.0.1", "203.0.113.9", "224.0.0.1", "::1", "fe80::1",
}

// sample is all dialects, admitting everybody.
var sample = func() *Set {
	s, err := New(Config{Scores: risk.Scores})
	if err != nil {
		panic(err) // it is our own
	}
	return s
}()

// carried is a request without a transport.
type carried struct {
	header http.Header
	body   string
}

func (c *carried) Fields() ipwarden.Header { return c.header }

func (c *carried) Body(limit int) ([]byte, error) {
	if len(c.body) > limit {
		return nil, ErrTooLarge
	}
	return []byte(c.body), nil
}

func newCall(name, method, target, body string) *Call {
	path, query, _ := strings.Cut(target, "?")
	return &Call{Request: Request{
		Ctx: context.Background(), Method: method, Path: path, Query: query, Base: "http://ip.example", Peer: netip.MustParseAddr("81.2.69.7"),
		Now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), Data: ipwardentest.Sample(), Transport: &carried{http.Header{}, body},
	}}
}

func get(t *testing.T, name, target string) *Call {
	t.Helper()
	c := newCall(name, http.MethodGet, target, "")
	sample.Named(name).Serve(c)
	return c
}

func post(t *testing.T, name, target, body string) *Call {
	t.Helper()
	c := newCall(name, http.MethodPost, target, body)
	sample.Named(name).Serve(c)
	return c
}
