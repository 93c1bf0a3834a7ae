package people_test

import (
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden/internal/account/people"
)

// Letters say which program asked for them, and nothing that whoever asks has written:
// else anybody sends anybody advertisements in the operator's name.
func TestProgram(t *testing.T) {
	for agent, want := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":                                  "Firefox on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Edg/140.0": "Edge on Windows",
		"curl/8.5.0":                      "curl",
		"python-requests/2.32 (a script)": "python-requests",
		"":                                "an unknown program",
		"https://evil.example/win":        "an unknown program",
		"evil.example":                    "an unknown program",
		strings.Repeat("x", 100):          "an unknown program",
		"You have won: evil.example Firefox/1 iPhone": "Firefox on iPhone",
	} {
		if got := people.Program(agent); got != want {
			t.Errorf("%q is %q; want %q", agent, got, want)
		}
	}
	w := newWorld(t, lite(t), nil)
	v := visit
	v.Agent = "Click https://evil.example/win now"
	if err := w.SignUp(t.Context(), v, "victim@example.com"); err != nil {
		t.Fatal(err)
	}
	for _, l := range w.mailed() {
		for _, f := range l.Facts {
			if strings.Contains(f.Value, "evil") || strings.Contains(f.Value, "now") {
				t.Errorf("the letter says %+v", f)
			}
		}
	}
}
