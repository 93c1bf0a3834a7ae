// Package docstest keeps the documents true. Its tests follow every relative
// link, ask the program for every command and flag that a document names, look
// for every test and file it names, compute the examples of docs/scores.md, and
// run what the documents show:
//
//   - A line of a code block that begins with "$ ipwarden" is run, when it only
//     reads and needs no shell; "$ curl URL" is asked of a server that the test
//     starts, "$ make serve" is compared with that server's greeting, and
//     "$ python3 FILE" is run where there is a Python.
//   - What follows, up to the next "$", is the output. A line that is only "…"
//     stands for any number of lines, "…" inside a line for any text.
//   - A fenced block whose info string ends with a file's name is that file,
//     beside the commands of its document.
//
// The answers are those of the embedded dataset. When it was replaced,
//
//	go test ./internal/docstest -update
//
// writes the new output into the blocks whose only "…" is at their end; the
// others are for a person to read.
package docstest
