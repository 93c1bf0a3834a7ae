// Command bench runs ipwarden beside its peers: on the same world, the same
// addresses, in one run, and prints ratios. A figure without its neighbour says
// more about the machine than about the program.
//
//	IPWARDEN_TEST_DATA=/srv/feeds go run . -all
//
// It makes the world from three feeds of that folder: once as an ipwarden
// dataset, once, by a second and slower implementation, as ranges and as a
// MaxMind DB file that mmdbwriter writes. Before anything is timed, all
// contestants answer the same 20,000 addresses, and where they disagree it says so.
//
// docs/benchmarks.md has the method and the last figures.
package main
