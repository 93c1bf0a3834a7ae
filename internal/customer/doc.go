// Package customer has the words of the platform: an [Account] and its [Plan], a
// [Key] and its limits, a [Quota] and what was used of it. It is the other
// vocabulary: the open library, which speaks of addresses, does not know it, and
// it does not know the library. It links the standard library only and does no
// I/O; what stores, checks and counts these things is built from it.
//
// The call most people want is [ParseKey], which tells a key that can be one
// from any other text, without asking anybody.
package customer
