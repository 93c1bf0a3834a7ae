package account

import (
	"context"
	"net/netip"
)

type fromKey struct{}

// From returns a context whose changes have in the log that they came from address.
func From(ctx context.Context, address netip.Addr) context.Context {
	if !address.IsValid() {
		return ctx
	}
	return context.WithValue(ctx, fromKey{}, address.Unmap().WithZone("").String())
}

// LogFrom is tx, whose entries of the log have the address where they have none.
func LogFrom(tx Tx, address string) Tx {
	if address == "" {
		return tx
	}
	return addressed{tx, address}
}

type addressed struct {
	Tx
	address string
}

// Log adds an entry.
func (t addressed) Log(e *Entry) error {
	if e.Address == "" {
		e.Address = t.address
	}
	return t.Tx.Log(e)
}

// write is [Store.Write] whose entries of the log have where ctx is from.
func (s *Service) write(ctx context.Context, f func(Tx) error) error {
	address, _ := ctx.Value(fromKey{}).(string)
	return s.store.Write(ctx, func(tx Tx) error { return f(LogFrom(tx, address)) })
}
