package client

import (
	"context"
	"errors"
	"net/netip"

	"github.com/ipwarden/ipwarden"
)

// batch is how many addresses go into one request: with the evidence a server
// takes no more.
const batch = 1000

// A Result is the answer about one of several addresses.
type Result struct {
	Record ipwarden.Record
	Err    error // a *Problem
}

var errInvalid = errors.New("the address is not valid")

// Lookup asks about one address. The error is a *[Problem] when the server says
// what was wrong; errors.Is(err, context.DeadlineExceeded) when it did not answer
// in time.
func (c *Client) Lookup(ctx context.Context, addr netip.Addr) (ipwarden.Record, error) {
	nothing, ask := c.question(addr)
	if !ask {
		if !addr.IsValid() {
			return nothing, errInvalid
		}
		return nothing, nil
	}
	var w wire
	if err := c.call(ctx, "/v1/ip/"+nothing.Addr().String()+c.query, nil, maxAnswer, &w); err != nil {
		return nothing, err
	}
	return w.record(nothing, c), nil
}

// question is the Record that knows nothing, and whether to ask for more. Only the
// canonical text of an address goes out.
func (c *Client) question(addr netip.Addr) (ipwarden.Record, bool) {
	canonical, transition := ipwarden.Canonical(addr)
	rec := ipwarden.MakeRecord(canonical, nil, 0).Asked(transition, addr.Zone() != "")
	return rec, canonical.IsValid() && (c.cfg.Public == nil || c.cfg.Public(canonical))
}

// LookupAll asks about many addresses, a thousand a request. The results are in
// the order of addrs. The error is of the first request that failed as a whole;
// the results of those before it are there.
func (c *Client) LookupAll(ctx context.Context, addrs []netip.Addr) ([]Result, error) {
	results := make([]Result, len(addrs))
	var body []byte
	var places []int // in addrs, of the items of body
	send := func() error {
		if len(places) == 0 {
			return nil
		}
		items := make([]struct {
			wire
			Error *Problem `json:"error"`
		}, 0, len(places))
		if err := c.call(ctx, "/v1/ip"+c.query, append(body, ']'), maxBulk, &items); err != nil {
			return err
		}
		if len(items) != len(places) {
			return errors.New(c.cfg.Name + ": the answer has another number of items than the question")
		}
		for i := range items {
			r := &results[places[i]]
			if p := items[i].Error; p != nil {
				p.Server = c.cfg.Name
				r.Err = p
				continue
			}
			r.Record = items[i].record(r.Record, c)
		}
		body, places = nil, nil
		return nil
	}
	for i, addr := range addrs {
		rec, ask := c.question(addr)
		results[i].Record = rec
		if !addr.IsValid() {
			results[i].Err = errInvalid
		}
		if !ask {
			continue
		}
		sep := byte(',')
		if len(places) == 0 {
			sep = '['
		}
		body = ipwarden.AppendString(append(body, sep), rec.Addr().String())
		if places = append(places, i); len(places) == batch {
			if err := send(); err != nil {
				return results, err
			}
		}
	}
	return results, send()
}
