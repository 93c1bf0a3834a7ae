package compile

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden/examples"
	"github.com/ipwarden/ipwarden/policy"
)

// mutate damages a policy as people do: a value is missing, or of another kind;
// a line is doubled, or gone; a character is wrong.
func mutate(r *rand.Rand, text string) string {
	switch r.IntN(4) {
	case 0:
		b := []byte(text)
		b[r.IntN(len(b))] = byte(r.IntN(128))
		return string(b)
	case 1:
		lines := strings.Split(text, "\n")
		i := r.IntN(len(lines))
		if r.IntN(2) == 0 {
			lines = slices.Delete(lines, i, i+1)
		} else {
			lines = slices.Insert(lines, r.IntN(len(lines)), lines[i])
		}
		return strings.Join(lines, "\n")
	}
	var values []int // where they begin
	for i := range len(text) - 2 {
		if (text[i] == ':' || text[i] == '-') && text[i+1] == ' ' {
			values = append(values, i+2)
		}
	}
	if len(values) == 0 {
		return text
	}
	from := values[r.IntN(len(values))]
	to := from + strings.IndexAny(text[from:]+"\n", ",}]\n")
	others := []string{"", "[]", "{}", "null", "~", "!x y", "5", "-1", "1e9", "- a", "[null]", "{a: }", "[[]]", "|", "\"\"", "*a", "&a b", "true", "x"}
	return text[:from] + others[r.IntN(len(others))] + text[to:]
}

// TestMutatedPolicies: whatever is wrong with a policy is said, and what is
// taken decides.
func TestMutatedPolicies(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	refused, taken := 0, 0
	for range 600 {
		text := examples.Policies()["policy.yaml"]
		if r.IntN(3) == 0 {
			text = examples.Policies()["localise.yaml"]
		}
		for range 1 + r.IntN(3) {
			text = mutate(r, text)
		}
		p, err := Read("policy.yaml", []byte(text), Options{ReadFile: func(string) ([]byte, error) { return nil, errors.New("there are no files") }})
		if err != nil {
			refused++
			var all Mistakes
			if !errors.As(err, &all) {
				t.Fatalf("%T: %v", err, err)
			}
			for _, m := range all {
				if m.File != "policy.yaml" || m.Message == "" {
					t.Fatalf("%+v", m)
				}
			}
			continue
		}
		taken++
		var d policy.Decision
		p.Program.Decide(&policy.Input{Client: netip.MustParseAddr("192.0.2.1"), Now: defaultTestTime}, &d)
		if d.Verdict.String() == "" || d.Reason.String() == "" {
			t.Fatalf("nothing was decided by\n%s", text)
		}
	}
	if refused < 100 || taken < 20 {
		t.Errorf("%d were refused and %d taken: too few to show anything", refused, taken)
	}
}
