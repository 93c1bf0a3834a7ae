// Package api is the lookup API over HTTP: who an address is, one at a time or
// in bulk, what an autonomous system announces, what is inside a network.
//
//	a, err := api.New(api.Config{Data: func() api.Data { return live.Load() }})
//	srv, err := api.Listen(api.ServerConfig{API: a, Listen: "127.0.0.1:8080"})
//	err = srv.Run(ctx) // until ctx ends, then everything accepted is answered
//
// One core answers, and two shells carry its answers: net/http, which serves
// everything, and a fast listener on fasthttp, which serves the hot routes
// ([API.FastHandler] lists them). The core sees an exchange: the neutral half
// of a request goes in, the neutral half of a response comes out. It parses
// paths itself, because ServeMux would answer an unclean one with a redirect,
// and a redirect made of somebody's bytes is not an answer.
//
// Every 4xx and 5xx is a problem document (RFC 9457) with an example that
// works. Forwarding headers are never read: the caller is the peer.
package api
