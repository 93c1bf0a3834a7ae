// Package socket reads and writes sockets that do not block, without telling the
// scheduler of Go: their system calls return at once, and to tell it of each costs
// as much as they do; it also wakes the runtime's monitor, which costs more.
//
// Most want [Quick]; who serves many connections that do not wait, a [Poll]. The
// package refuses nothing: what is no socket stays as it is.
package socket
