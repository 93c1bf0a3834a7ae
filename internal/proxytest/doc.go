// Package proxytest starts real proxies for tests, with the very configurations
// that a person copies: only ports and paths are replaced. A test asks for the
// program ([Need]), starts it with its configuration ([Nginx], [HAProxy], [Caddy])
// between an application that tells what it saw ([NewApp]) and a gate ([NewGate]
// in the test's own process), and sends requests ([Get]). Servers that the gate
// asks are here too ([Redis], [NewPostgres]), and a wire to them that misbehaves ([Wire]).
//
// Nothing here sleeps for a fixed time; each wait has a bound.
package proxytest
