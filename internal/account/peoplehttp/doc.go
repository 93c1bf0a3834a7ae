// Package peoplehttp is package people over HTTP, without the pages: the JSON API below
// [Prefix], and the [Guard] that stands before it and before the pages.
//
// The calls that most people want:
//
//	g, err := peoplehttp.NewGuard(peoplehttp.GuardConfig{Source: data, Secret: secret, …})
//	a, err := peoplehttp.New(peoplehttp.Config{People: p, Accounts: service, URL: url})
//	mux.Handle("/v1/account/", g.Handler(a))
//	mux.Handle("/account/", g.Handler(pages))
//
// The guard is ipwarden's own gate, with a policy of its own: guard.yaml.
package peoplehttp
