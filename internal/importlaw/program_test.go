package importlaw

import "testing"

// The program starts without what only one of its commands needs and what takes time
// or memory before main: every serve would pay for it.
func TestProgramWithout(t *testing.T) {
	all := list(t, "-deps", full("cmd/ipwarden"))
	if all[full("internal/sqs")] == nil {
		t.Fatal("the program has no queues of SQS, so this test says nothing")
	}
	for pkg, why := range NotInProgram() {
		if all[pkg] != nil {
			t.Errorf("the program links %s: %s", pkg, why)
		}
	}
}
