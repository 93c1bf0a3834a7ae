// Package policy decides what to do with a request: a compiled program of
// lists, rules, thresholds, tiers and limits, and its evaluator.
//
// The call most people want:
//
//	program, err := compile.Load("policy.yaml", text, compile.Options{}) // package policy/compile
//	program.Decide(&in, &decision)
//
// Conditions are expressions ([Expr]): plain data, which [New] turns into
// functions over the concrete types, so that deciding neither allocates nor
// looks a name up. The order in which the parts of a program are asked is fixed
// ([Program.Decide]) and is no setting.
//
// It is pure: it does no I/O, reads no clock, and takes no limit; it says which
// limits are to be taken. It refuses to be wrong about what is missing: a field
// that nobody knows is the zero of its type, never an error.
package policy
