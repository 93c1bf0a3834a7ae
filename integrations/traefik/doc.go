// Package traefik checks the configuration of this folder, and plays Traefik's
// part: no package of Traefik itself is to be had everywhere.
package traefik
