package ipwarden

// A Verdict is what to do with a request. The zero value is none: whoever gets
// it has not been told to let anybody in.
type Verdict uint8

const (
	NoVerdict Verdict = iota
	Allow             // pass it on
	Flag              // pass it on, and say that it is suspicious
	Throttle          // it is over a limit: 429
	Challenge         // let it prove that it is a person, or worth a computation
	StepUp            // the application should ask for a second factor
	Block             // refuse it
)

var verdictNames = [...]string{"", "allow", "flag", "throttle", "challenge", "step_up", "block"}

// String returns the word on the wire: "allow", "flag", "throttle",
// "challenge", "step_up", "block", or "" for none.
func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return ""
}

// VerdictNamed returns the verdict of a word on the wire.
func VerdictNamed(word string) (Verdict, bool) {
	for v := Allow; v <= Block; v++ {
		if verdictNames[v] == word {
			return v, true
		}
	}
	return NoVerdict, false
}

// Passes reports whether the request goes on to the application: allow, flag,
// and step_up, which is the application's to act on.
func (v Verdict) Passes() bool { return v == Allow || v == Flag || v == StepUp }
