// Package compile reads a policy: a YAML file whose conditions are CEL. It
// checks them against the fields that there are, and lowers them to the plain
// expressions of package policy, so that deciding touches neither YAML nor CEL.
//
// The call most people want:
//
//	program, err := compile.Load("policy.yaml", text, compile.Options{})
//
// The error is [Mistakes]: every one of the file, each with its line, its column
// and an excerpt. A policy with a mistake, or whose own tests fail, is refused
// as a whole. What CEL can say and package policy cannot still runs, on CEL
// itself, within a cost that is bounded when the file is loaded; a condition
// that may cost more is refused.
package compile
