// Command ipwarden answers who an address is: on the command line, over HTTP,
// and as a dataset that it builds from the feeds of the world.
//
//	ipwarden lookup 8.8.8.8
//	ipwarden serve
//	ipwarden data update
//
// Exit status: 0 when everything worked, 1 when something failed, 2 when the
// command was not understood. What failed is on standard error, and the rest
// was still done.
package main

import "os"

func main() {
	os.Exit(run(os.Args[1:], &env{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv, now: simulatedClock(os.Getenv),
	}))
}
