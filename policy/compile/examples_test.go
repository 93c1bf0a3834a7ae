package compile

import (
	"testing"

	"github.com/ipwarden/ipwarden/examples"
)

// The policies to start from load without a mistake, and their own tests pass.
func TestExamples(t *testing.T) {
	for name, text := range examples.Policies() {
		p, err := Read(name, []byte(text), Options{})
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if len(p.Tests) < 5 {
			t.Errorf("%s has %d tests", name, len(p.Tests))
		}
	}
}
