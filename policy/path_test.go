package policy

import (
	"errors"
	"strings"
	"testing"
)

// TestNormalize: one reading of each path, and none of what has two.
func TestNormalize(t *testing.T) {
	zero := Paths{}
	strip := Paths{StripParameters: true}
	for _, c := range []struct {
		p         Paths
		raw, want string // "" is refused
	}{
		{zero, "", "/"},
		{zero, "/", "/"},
		{zero, "*", "*"},
		{zero, "/a/b", "/a/b"},
		{zero, "/a/b/", "/a/b/"},
		{zero, "//", "/"},
		{zero, "/a//b", "/a/b"},
		{zero, "///a", "/a"},
		{zero, "/a//", "/a/"},
		{Paths{KeepSlashes: true}, "/a//b", "/a//b"},
		{Paths{KeepSlashes: true}, "//a", "//a"},
		{zero, "/a/./b", "/a/b"},
		{zero, "/a/.", "/a/"},
		{zero, "/./", "/"},
		{zero, "/a/../b", "/b"},
		{zero, "/a/b/..", "/a/"},
		{zero, "/a/..", "/"},
		{zero, "/a/../../b", ""},
		{zero, "/..", ""},
		{zero, "/.well-known/x", "/.well-known/x"},
		{zero, "/...", "/..."},
		{zero, "/a.b/..c", "/a.b/..c"},
		{zero, "/%61dmin", "/admin"},
		{zero, "/a%20b", "/a b"},
		{zero, "/%C3%A9", "/é"},
		{zero, "/é", "/é"},
		{zero, "/a%2Bb", "/a+b"},
		{zero, "/100%25", "/100%"},
		{zero, "/a%2fb", ""},
		{zero, "/a%2Fb", ""},
		{zero, "/a%5cb", ""},
		{zero, `/a\b`, ""},
		{zero, "/%2e%2e/a", ""},
		{zero, "/%2e./a", ""},
		{zero, "/.%2e/a", ""},
		{zero, "/%2e/a", ""},
		{zero, "/a%2ebc", "/a.bc"},
		{zero, "/%252e%252e/a", ""},
		{zero, "/%25%32%65", ""},
		{zero, "/%25zz", "/%zz"},
		{zero, "/admin#x", ""},
		{zero, "/#", ""},
		{zero, "/admin?x", ""},
		{strip, "/a;x#y", ""},
		{zero, "/a%23b", "/a#b"},
		{zero, "/a%3Fb", "/a?b"},
		{zero, "/a%00b", ""},
		{zero, "/a%0ab", ""},
		{zero, "/a\x01b", ""},
		{zero, "/a%7f", ""},
		{zero, "/%", ""},
		{zero, "/%4", ""},
		{zero, "/%zz", ""},
		{zero, "/%u002e", ""},
		{zero, "/%c0%ae%c0%ae/", ""},
		{zero, "/%ff", ""},
		{zero, "/\xff", ""},
		{zero, "a/b", ""},
		{zero, "http://evil/", ""},
		{zero, "/" + strings.Repeat("a", 9000), ""},
		{zero, "/a;x=1/b", "/a;x=1/b"},
		{strip, "/a;x=1/b", "/a/b"},
		{strip, "/a;b;c", "/a"},
		{strip, "/;x/a", "/a"},
		{zero, "/..;/a", ""},
		{strip, "/..;x/a", ""},
		{strip, "/a/.;/b", ""},
		{zero, "/%2e;x/a", ""},
		{strip, "/a%3bx", ""},
		{zero, "/a%3bx", "/a;x"},
		{strip, "/a;%2e%2e/b", ""},
		{Paths{KeepEncodedSlashes: true}, "/group%2fproject", "/group%2Fproject"},
		{Paths{KeepEncodedSlashes: true}, "/a%2f..%2fb", "/a%2F..%2Fb"},
		{Paths{KeepEncodedSlashes: true}, "/a%252fb", ""},
		{Paths{FoldCase: true}, "/Admin/%41", "/admin/a"},
		{zero, "/Admin", "/Admin"},
	} {
		got, err := c.p.Normalize(c.raw)
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%+v %q: got %q and %v, want %q", c.p, c.raw, got, err, c.want)
		}
		var wrong *PathError
		if err != nil && (!errors.As(err, &wrong) || !errors.Is(err, ErrAmbiguousPath) || wrong.What == "") {
			t.Errorf("%q: the error is %T", c.raw, err)
		}
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = zero.Normalize("/articles/2026/.well-known/a-b_c") }); n != 0 {
		t.Errorf("an ordinary path costs %v allocations", n)
	}
}

// FuzzNormalize: what comes out is read the same again, and has nothing left
// that could be read in two ways.
func FuzzNormalize(f *testing.F) {
	for _, s := range []string{"/a/../b", "/%61", "//", "/a;b", "/%2e%2e", "/é", "/a%2fb", "/.", "/a/"} {
		f.Add(s, uint8(0))
		f.Add(s, uint8(15))
	}
	f.Fuzz(func(t *testing.T, raw string, options uint8) {
		p := Paths{KeepSlashes: options&1 != 0, StripParameters: options&2 != 0, KeepEncodedSlashes: options&4 != 0, FoldCase: options&8 != 0}
		out, err := p.Normalize(raw)
		if err != nil {
			if out != "" {
				t.Fatalf("refused, and %q", out)
			}
			return
		}
		if out == "*" {
			return
		}
		if !strings.HasPrefix(out, "/") || strings.ContainsAny(out, "\\\x00\r\n") || !p.KeepSlashes && strings.Contains(out, "//") {
			t.Fatalf("%q became %q", raw, out)
		}
		for segment := range strings.SplitSeq(out, "/") {
			if segment == "." || segment == ".." || p.StripParameters && strings.Contains(segment, ";") {
				t.Fatalf("%q became %q", raw, out)
			}
		}
		if strings.Contains(out, "%") {
			return // a percent sign that was encoded would be read as one again
		}
		if again, err := p.Normalize(out); err != nil || again != out {
			t.Fatalf("%q became %q, which becomes %q: %v", raw, out, again, err)
		}
	})
}
