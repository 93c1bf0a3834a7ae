package policy_test

import (
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden/policy"
)

func TestRespell(t *testing.T) {
	for _, c := range []struct {
		paths     policy.Paths
		raw, want string
	}{
		{raw: "", want: "/"},
		{raw: "*", want: "*"},
		{raw: "/a/b.c;v=1/(d)!", want: "/a/b.c;v=1/(d)!"},
		{raw: "//a///b//", want: "/a/b/"},
		{raw: "//a///b//", paths: policy.Paths{KeepSlashes: true}, want: "//a///b//"},
		{raw: "/a/./b/../c/.", want: "/a/c/"},
		{raw: "/a/..", want: "/"},
		{raw: "/%61dmin/%7Ejoe", want: "/admin/~joe"},
		{raw: "/a%2eb", want: "/a.b"},
		{raw: "/caf%c3%a9", want: "/caf%C3%A9"},
		{raw: "/café", want: "/caf%C3%A9"},
		{raw: "/a%2bb+c%3Bd;e", want: "/a%2Bb+c%3Bd;e"},
		{raw: `/a"<b>^{c}|`, want: "/a%22%3Cb%3E%5E%7Bc%7D%7C"},
		{raw: "/a%20b%25", want: "/a%20b%25"},
		{raw: "/Admin", paths: policy.Paths{FoldCase: true}, want: "/Admin"},
		{raw: "/a;x=1/b", paths: policy.Paths{StripParameters: true}, want: "/a;x=1/b"},
		{raw: "/a%2fb", paths: policy.Paths{KeepEncodedSlashes: true}, want: "/a%2Fb"},
	} {
		got, err := c.paths.Respell(c.raw)
		if err != nil || got != c.want {
			t.Errorf("%+v %q: %q, %v; want %q", c.paths, c.raw, got, err, c.want)
		}
	}
	for _, raw := range []string{
		"/a%2fb", "/..", "/%2e%2e/a", "/..;x/a", "/%2e%2e;x/a", "/..%3bx/a", "/.%3B", `/a\b`, "/a%5cb", "/%zz", "/%2561", "/%ff", "/a%00", "a", "/" + strings.Repeat("a", 9000),
	} {
		if got, err := (policy.Paths{}).Respell(raw); err == nil {
			t.Errorf("%q is taken, as %q", raw, got)
		}
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = policy.Paths{}.Respell("/api/v1/users") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// What goes on is read as what was judged, by whoever reads it as the policy was
// told, and has but one spelling.
func FuzzRespell(f *testing.F) {
	for _, raw := range []string{"/", "/a//b/../c", "/a%2fb%20", "/..;x/%2e;y", "/A;b/%41%3b", "//", "/a/..//.", "/;/..", "/%25%36%31", "/; ", "/;/."} {
		f.Add(raw, uint8(0))
		f.Add(raw, uint8(15))
	}
	f.Fuzz(func(t *testing.T, raw string, bits uint8) {
		p := policy.Paths{KeepSlashes: bits&1 != 0, StripParameters: bits&2 != 0, KeepEncodedSlashes: bits&4 != 0, FoldCase: bits&8 != 0}
		if len(raw) > 2<<10 {
			return // encoding makes a path three times as long at most, and the longest is 8 KiB
		}
		judged, err := p.Normalize(raw)
		sent, err2 := p.Respell(raw)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("%q: Normalize says %v, Respell %v", raw, err, err2)
		}
		if err != nil {
			return
		}
		if again, err := p.Normalize(sent); err != nil || again != judged {
			t.Fatalf("%+v %q goes on as %q, which is read as %q (%v); judged was %q", p, raw, sent, again, err, judged)
		}
		if again, err := p.Respell(sent); err != nil || again != sent {
			t.Fatalf("%+v %q has two spellings: %q and %q (%v)", p, raw, sent, again, err)
		}
		for segment := range strings.SplitSeq(sent, "/") {
			if segment == "." || segment == ".." {
				t.Fatalf("%q goes on with a dot segment: %q", raw, sent)
			}
		}
	})
}
