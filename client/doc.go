// Package client asks another ipwarden over its HTTP API. A [Client] is an
// [ipwarden.Source].
//
// The call most people want:
//
//	c, err := client.New(client.Config{URL: "unix:/run/ipwarden.sock"})
//	…
//	rec, err := c.Lookup(ctx, addr)
//
// Applications that let the server decide about requests call [Client.Decide],
// and [Client.Outcome] when they know what became of it.
//
// What it refuses: it follows no redirect, reads no more than a bounded answer,
// and shows its key in no error. It does not retry or cache; wrappers of package
// source do.
package client
