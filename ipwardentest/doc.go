// Package ipwardentest holds what tests of ipwarden's contracts share: a world
// small enough to know by heart ([Sample]), an in-memory fake of a dataset built
// from rows ([World]), and the conformance suite of a Source ([TestSource]).
//
// It is for tests of this project and of programs that use it: the fake is an
// obvious, slow implementation, good as an oracle, and nothing in it is data to
// rely on.
package ipwardentest
