package ipwarden_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/ipwarden/ipwarden"
)

var (
	_ ipwarden.Header = http.Header{}
	_ ipwarden.Header = (*ipwarden.Lines)(nil)
)

func TestLines(t *testing.T) {
	var l ipwarden.Lines
	for _, line := range [][2]string{
		{"Host", "example.org"},
		{"x-forwarded-for", "198.51.100.20"},
		{"X_Forwarded_For", "of another name"},
		{"X-Forwarded-For", "203.0.113.66"},
		{"X-FORWARDED-FOR", ""},
	} {
		l.Add(line[0], line[1])
	}
	if got, want := l.Values("X-Forwarded-For"), []string{"198.51.100.20", "203.0.113.66", ""}; !slices.Equal(got, want) {
		t.Errorf("several lines: %q, want %q in the order they came", got, want)
	}
	if got, want := l.Values("Host"), []string{"example.org"}; !slices.Equal(got, want) {
		t.Errorf("one line: %q, want %q", got, want)
	}
	// '[' and '{', '@' and '`' differ in the bit that tells letters' cases apart.
	l.Add("a{", "")
	if got := l.Values("a["); got != nil {
		t.Errorf("%q is taken for another name", got)
	}
	if n := testing.AllocsPerRun(100, func() { l.Values("X-Forwarded-For"); l.Values("Host") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	l.Reset()
	if got := l.Values("Host"); got != nil || l.Len() != 0 {
		t.Errorf("after Reset there is still %q", got)
	}
}

func TestVerdicts(t *testing.T) {
	for v := ipwarden.Allow; v <= ipwarden.Block; v++ {
		if got, ok := ipwarden.VerdictNamed(v.String()); !ok || got != v {
			t.Errorf("%q names %q", v.String(), got.String())
		}
	}
	if v, ok := ipwarden.VerdictNamed(""); ok {
		t.Errorf("the empty word names %q", v.String())
	}
	if ipwarden.NoVerdict.Passes() || ipwarden.Throttle.Passes() || !ipwarden.StepUp.Passes() {
		t.Error("only allow, flag and step_up reach the application")
	}
}
