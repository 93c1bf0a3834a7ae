// Package account has the accounts of the platform, their keys and plans: it makes,
// changes and ends them, by the rules, and keeps a log of who did it. What it knows
// is in a [Store]; nothing of it is on the way of a request, which asks package
// authz, which follows [Service.Changes].
//
// The call most people want:
//
//	s, err := account.New(account.Config{Store: store, Hash: hasher.Hash})
//	…
//	a, err := s.Add(ctx, "operator", account.NewAccount{Email: "ada@example.com"})
//	key, text, err := s.NewKey(ctx, "operator", a.ID, account.KeySpec{Name: "web"})
//
// The text of a key is returned once, and is nowhere else.
package account
