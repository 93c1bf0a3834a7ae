// Package authz says whether a key may have an answer: from a table in memory,
// without I/O, without allocating, and with what its owner wants to know when it
// may not.
//
// The call most people want:
//
//	a, err := authz.New(authz.Config{Hasher: hasher, Usage: usage})
//	err = a.Follow(ctx, store.Changes) // until ctx ends; or Apply, for changes as they come
//	…
//	call.Key, call.Items = text, 1
//	if refusal := a.Check(&call); refusal != nil { … }
//	a.Settle(&call, customer.Charged, 1)
//
// A key that is malformed, unknown or taken back is refused as cheaply as a good
// one is admitted, and leaves nothing behind.
package authz
