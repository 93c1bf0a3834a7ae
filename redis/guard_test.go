package redis

import (
	"errors"
	"strings"
	"testing"
)

func TestFraming(t *testing.T) {
	for in, want := range map[string]int64{
		"+OK\r\n": 1, "-ERR no\r\n:7\r\n": 2, "$5\r\nhello\r\n": 1, "$0\r\n\r\n": 1, "$-1\r\n*-1\r\n": 2, "*0\r\n": 1,
		"*2\r\n$1\r\na\r\n*2\r\n:1\r\n:2\r\n+x\r\n": 2, "%1\r\n+a\r\n*0\r\n": 1, ">2\r\n+x\r\n+y\r\n": 0, ">2\r\n+x\r\n+y\r\n_\r\n": 1,
		"|1\r\n+a\r\n:1\r\n+OK\r\n": 1, "|0\r\n+OK\r\n": 1, "*2\r\n|1\r\n+a\r\n:1\r\n+b\r\n+c\r\n": 1, "#t\r\n,1.5\r\n(123\r\n": 3,
		"=5\r\ntxt:a\r\n": 1, "~1\r\n*1\r\n*0\r\n": 1, "*1\r\n": 0, "$5\r\nhel": 0, "": 0,
	} {
		whole, bytewise := &framing{}, &framing{}
		if err := whole.feed([]byte(in)); err != nil || whole.messages != want {
			t.Errorf("%q: %d %v, want %d", in, whole.messages, err, want)
		}
		for i := range len(in) {
			if err := bytewise.feed([]byte(in[i : i+1])); err != nil {
				t.Errorf("%q: %v", in, err)
			}
		}
		if *bytewise != *whole {
			t.Errorf("%q: byte by byte it is another", in)
		}
	}
	for in, want := range map[string]error{
		"HTTP/1.1 400\r\n": errFraming, "\x00": errFraming, "+OK\rx": errFraming, "$\r\n": errFraming, "$-2\r\n": errFraming, "$-\r\n": errFraming,
		"$1x\r\n": errFraming, "$?\r\n": errFraming, "%-1\r\n": errFraming, "$9999999999999\r\n": errFraming, "$--1\r\n": errFraming,
		"$999999999999\r\n": errTooMuch, "*65537\r\n": errTooMuch, "%65537\r\n": errTooMuch,
		strings.Repeat("*1\r\n", 9): errTooMuch, "+" + strings.Repeat("x", maxBytes): errTooMuch,
	} {
		if err := (&framing{}).feed([]byte(in)); !errors.Is(err, want) {
			t.Errorf("%.40q: %v, want %v", in, err, want)
		}
	}
}

// Whatever comes, in whatever pieces, the framing is the same, keeps its bounds,
// and does not panic.
func FuzzFraming(f *testing.F) {
	for _, s := range []string{"+OK\r\n", "*2\r\n$1\r\na\r\n:1\r\n", "|1\r\n+a\r\n:1\r\n+OK\r\n", "$-1\r\n", ">1\r\n+x\r\n", "*1\r\n*1\r\n*0\r\n"} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		whole, parts := &framing{}, &framing{}
		err := whole.feed(b)
		if cut < 1 {
			cut = 1
		}
		var partsErr error
		for i := 0; i < len(b) && partsErr == nil; i += cut {
			partsErr = parts.feed(b[i:min(i+cut, len(b))])
			if cut > len(b) {
				break
			}
		}
		if !errors.Is(err, partsErr) && !errors.Is(partsErr, err) {
			t.Errorf("%v and %v", err, partsErr)
		}
		if err == nil && *whole != *parts {
			t.Error("in pieces it is another")
		}
		if whole.depth < 0 || whole.depth > maxDepth || whole.skip < 0 || whole.skip > maxBytes {
			t.Errorf("%+v", whole)
		}
	})
}
