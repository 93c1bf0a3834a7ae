// Package gate is the decision: a request goes in; allow, flag, throttle,
// challenge, step-up or block comes out, with the reasons.
//
// The call most people want wraps a handler:
//
//	program, err := compile.Load("policy.yaml", src, compile.Options{})
//	g, err := gate.New(gate.Config{Source: ds, Program: program})
//	http.ListenAndServe(":8080", g.Handler(app))
//
// Every other door (a proxy's subrequest, an agent, a gRPC call) makes the same
// call, [Gate.Decide], with the same neutral facts. The package refuses to
// believe an address that nobody it trusts vouches for, and never lets a request
// in because something was away, unless the policy says so.
package gate
