package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"unsafe"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/clientip"
	"github.com/ipwarden/ipwarden/dataset"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/gate/crawler"
	"github.com/ipwarden/ipwarden/policy/compile"
)

// gatePolicy is the policy of all rows of the gate: twenty rules, and a limit by
// address that nobody reaches.
//
//go:embed gatepolicy.yaml
var gatePolicy []byte

// Rows of the gate in process.
const (
	decideRow  = "gate.Decide"
	handlerRow = "gate.Handler, net/http"
	bareRow    = "the same handler without a gate"
	handRow    = "the same lines by hand"
)

const (
	// bareAllocs are those of two headers that are filled.
	bareAllocs = 4
	// handlerAllocs is how many more the wrapper may make.
	handlerAllocs = 8
)

// gateKinds are the contestants of the gate. What they look up is all feeds.
func gateKinds() []kind {
	return []kind{
		{name: decideRow, what: "address from X-Forwarded-For, look-up, risk, 20 rules, a limit by address", open: openDecide},
		{name: bareRow, what: "makes the headers of a request and of its answer, and calls the application's handler, which says what its answer is", open: openBareHandler, allocs: bareAllocs},
		{name: handRow, what: "the same, and puts as many lines as the gate does, of texts that are there already, into a header with room, and a context into a request", open: openByHand, allocs: bareAllocs + handlerAllocs},
		{name: handlerRow, what: "the same, with gate.Decide, its header lines and its context", open: openHandler, allocs: bareAllocs + handlerAllocs},
	}
}

// newGate makes the gate that is measured: with everything that serve has, but
// for a decision log.
func newGate(w *world) (*gate.Gate, error) {
	ds, err := dataset.Open(w.everything())
	if err != nil {
		return nil, err
	}
	p, err := compile.Read("gatepolicy.yaml", gatePolicy, compile.Options{})
	if err != nil {
		return nil, err
	}
	client, err := clientip.New(clientip.Config{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	if err != nil {
		return nil, err
	}
	crawlers, err := crawler.New(crawler.Config{})
	if err != nil {
		return nil, err
	}
	return gate.New(gate.Config{Source: ds, Program: p.Program, Risk: p.Risk, Client: client, Crawlers: crawlers})
}

// proxyAddr is the trusted proxy that requests come through.
var proxyAddr = netip.MustParseAddr("10.0.0.7")

// fields are what a browser sends, and its address, which comes last.
var fields = []struct{ name, value string }{
	{"Host", "www.example.org"},
	{"User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"},
	{"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
	{"Accept-Language", "en-GB,en;q=0.7"},
	{"Accept-Encoding", "gzip, deflate, br"},
	{"Cookie", "session=4f1c9a7e5b0d4c1e; theme=dark"},
}

const addressField = "X-Forwarded-For"

// texts are lists of addresses as they come in a header.
type texts map[*netip.Addr]textList

// A textList is one text and where each address of it ends, beside the heap: what the
// collector does is the contestant's then.
type textList struct {
	text string
	ends []uint32
}

func (l *textList) at(i int) string {
	start := uint32(0)
	if i > 0 {
		start = l.ends[i-1]
	}
	return l.text[start:l.ends[i]]
}

func (t texts) of(addrs []netip.Addr) textList {
	if have, ok := t[&addrs[0]]; ok {
		return have
	}
	room, err1 := offHeap[byte](len("255.255.255.255") * len(addrs))
	ends, err2 := offHeap[uint32](len(addrs))
	if err := errors.Join(err1, err2); err != nil {
		panic(err) // no memory
	}
	all := room[:0]
	for i, a := range addrs {
		all = a.AppendTo(all)
		ends[i] = uint32(len(all))
	}
	list := textList{unsafe.String(unsafe.SliceData(all), len(all)), ends}
	t[&addrs[0]] = list
	return list
}

// decider asks the gate about neutral facts, which it puts together for each
// request as a listener does.
type decider struct {
	gate  *gate.Gate
	texts texts
	lines ipwarden.Lines
	d     gate.Decision
}

func openDecide(w *world) (contestant, error) {
	g, err := newGate(w)
	if err != nil {
		return nil, err
	}
	c := &decider{gate: g, texts: texts{}}
	return c, c.check()
}

// check sees that what is measured is what was meant.
func (c *decider) check() error {
	a := netip.MustParseAddr("8.8.8.8")
	c.pass([]netip.Addr{a})
	if d := &c.d; d.Client.Addr != a || d.Client.Status != clientip.Forwarded || !d.Verdict.Passes() || len(d.Limits) != 1 || d.Record.ASNumber() == 0 {
		return fmt.Errorf("of %s the gate says %s by %s, %d limits, client %s %s", a, d.Verdict, d.Reason, len(d.Limits), d.Client.Addr, d.Client.Status)
	}
	return nil
}

func (c *decider) pass(addrs []netip.Addr) (sum uint64) {
	ctx := context.Background()
	req := ipwarden.Request{Peer: proxyAddr, Header: &c.lines, Method: "GET", Scheme: "http", Host: "www.example.org", Path: "/catalogue/shoes"}
	list := c.texts.of(addrs)
	for i := range list.ends {
		text := list.at(i)
		c.lines.Reset()
		for i := range fields {
			c.lines.Add(fields[i].name, fields[i].value)
		}
		c.lines.Add(addressField, text)
		c.gate.Decide(ctx, &req, &c.d)
		sum += uint64(c.d.Verdict) + uint64(c.d.Score)
	}
	return sum
}

func (c *decider) answer(netip.Addr) answer { return answer{} }

// handled serves requests of net/http, without a connection. Each has headers of its
// own, as one that comes through a connection has: making a map larger costs more than
// what is put into it.
type handled struct {
	handler http.Handler
	texts   texts
	request *http.Request
	values  map[string][]string // of the request's header, but for the address
	address [1]string
	writer  discarded
	passed  uint64
}

func openBareHandler(*world) (contestant, error) { return newHandled(nil) }

func openByHand(*world) (contestant, error) { return newHandled(byHand) }

func openHandler(w *world) (contestant, error) {
	g, err := newGate(w)
	if err != nil {
		return nil, err
	}
	return newHandled(g.Handler)
}

// byHand leaves with a request what the gate does and decides nothing: what is told of
// most clients, in a header with room for it, a context, and what the client is told.
func byHand(next http.Handler) http.Handler {
	names := []string{
		gate.HeaderASN, gate.HeaderCountry, gate.HeaderDecision, gate.HeaderIP, gate.HeaderReason, gate.HeaderRisk, gate.HeaderTier, gate.HeaderVerdict,
		addressField, "X-Real-Ip", "Forwarded",
	}
	reply := []string{"Ratelimit", "Ratelimit-Policy"}
	type kept struct {
		summary gate.Summary
		values  [16]string
	}
	type key struct{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k := &kept{}
		n := 0
		put := func(h http.Header, name string) {
			k.values[n] = "text"
			h[name] = k.values[n : n+1 : n+1]
			n++
		}
		h := make(http.Header, len(r.Header)+len(names))
		for name, v := range r.Header {
			h[name] = v
		}
		for _, name := range names {
			put(h, name)
		}
		for _, name := range reply {
			put(w.Header(), name)
		}
		r.Header = h
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, k)))
	})
}

// newHandled makes a contestant of what stands before the application, if anything does.
func newHandled(before func(http.Handler) http.Handler) (contestant, error) {
	r, err := http.NewRequest(http.MethodGet, "http://www.example.org/catalogue/shoes", http.NoBody)
	if err != nil {
		return nil, err
	}
	r.RemoteAddr = netip.AddrPortFrom(proxyAddr, 4711).String()
	c := &handled{texts: texts{}, request: r, values: map[string][]string{}, writer: discarded{http.Header{}}}
	for _, f := range fields[1:] { // net/http keeps the Host elsewhere
		c.values[f.name] = []string{f.value}
	}
	kind := []string{"text/html; charset=utf-8"}
	c.handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = kind // as any application does
		c.passed++
	})
	if before != nil {
		c.handler = before(c.handler)
	}
	if c.pass([]netip.Addr{netip.MustParseAddr("8.8.8.8")}) != 1 {
		return nil, fmt.Errorf("the request did not reach the application: %v", c.writer.header)
	}
	return c, nil
}

func (c *handled) pass(addrs []netip.Addr) (sum uint64) {
	before := c.passed
	list := c.texts.of(addrs)
	for i := range list.ends {
		text := list.at(i)
		h := make(http.Header, len(fields)) // net/http makes it for as many lines as came
		c.request.Header, c.writer.header = h, http.Header{}
		for name, v := range c.values {
			h[name] = v
		}
		c.address[0] = text
		h[addressField] = c.address[:]
		c.handler.ServeHTTP(c.writer, c.request)
	}
	return c.passed - before
}

func (c *handled) answer(netip.Addr) answer { return answer{} }

// discarded is an answer that nobody reads.
type discarded struct{ header http.Header }

func (d discarded) Header() http.Header         { return d.header }
func (d discarded) Write(b []byte) (int, error) { return len(b), nil }
func (d discarded) WriteHeader(int)             {}
