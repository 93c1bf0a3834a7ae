// Package extauthz answers Envoy's external authorization over gRPC,
// envoy.service.auth.v3.Authorization/Check, with the health service that Envoy
// asks of its clusters.
//
// Most want [New] and [Server.Serve]. Envoy's side is integrations/envoy. With
// encode_raw_headers each field line of a request is seen as it came; without
// it, Envoy joins repeated ones with commas (and before 1.19.1 sent only the
// last of them: CVE-2021-32777).
//
// The package refuses requests that are no HTTP, and peers that nobody named
// ([door.Peers]). It is internal because gRPC weighs more than all else.
package extauthz
