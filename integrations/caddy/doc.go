// Package caddy runs the configuration of this folder in a real Caddy.
package caddy
