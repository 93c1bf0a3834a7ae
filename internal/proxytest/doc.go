// Package proxytest starts real proxies for tests, with the very configurations
// that a person copies: only ports and paths are replaced. A test asks for the
// program ([Need]), writes the configuration ([Config]), starts it ([Start])
// between an application that tells what it saw ([NewApp]) and a gate
// ([Decide]), and sends requests ([Get]).
//
// Nothing here sleeps for a fixed time; each wait has a bound.
package proxytest
