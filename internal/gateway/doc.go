// Package gateway is the gate as a reverse proxy: requests come in, are decided
// upon, and go on to one upstream or are answered here.
//
// Most want New, which makes a handler, and Listen, which runs one.
//
// What is judged is what goes on: one reading of the path, the host and the
// method, however a client spells them. A request that can be read in two ways is
// refused, and so is every upgrade but those that the operator named: what is
// spoken after one is not judged.
package gateway
