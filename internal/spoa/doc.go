// Package spoa is an agent of HAProxy's Stream Processing Offload Engine: it is
// asked about each request in a frame of SPOP 2.0, and answers with variables.
// It is written against HAProxy's own doc/SPOE.txt, whose sections the comments
// cite.
//
// Most want [New] and [Agent.Serve]:
//
//	agent, err := spoa.New(spoa.Config{Decide: decide})
//	err = agent.Serve(ctx, listener)
//
// HAProxy's side is integrations/haproxy: one message, "ipwarden", with the
// arguments src, method, path, query, headers (req.hdrs_bin, so that repeated
// field lines are seen) and ssl. The answer is variables of the transaction:
//
//	verdict                     always
//	status                      of our own answer to the client
//	retry_after, location       where there is one
//	awaits                      1: a limit waits to be told what becomes of it
//	strip                       1: the request has field lines that must not go on
//	type, body                  our own answer to the client, if it fits
//	country, asn, risk, …       X-Ipwarden-Country and so on, without the prefix
//	x_forwarded_for, …          other fields for the application
//	ratelimit, set_cookie, …    fields of the client's answer
//
// A second message, "ipwarden-outcome", with the arguments decision and status,
// reports what became of a request ([Config.Outcome]).
//
// The agent refuses what it did not agree to: fragmented frames, frames beyond
// the size agreed, and peers that nobody named ([door.Peers]).
package spoa
