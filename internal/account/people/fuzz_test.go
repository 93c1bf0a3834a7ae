package people

import (
	"strings"
	"testing"
)

// What a database says of a password is bounded, whoever has written it.
func FuzzKept(f *testing.F) {
	f.Add(nobody)
	f.Add("$argon2id$v=19$m=4294967295,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA")
	f.Add("$argon2id$v=19$m=64,t=1,p=1$$")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		k, err := parseKept(s)
		if err == nil && (k.memory > 256<<10 || k.passes > 16 || k.threads > 16 || k.threads == 0 || len(k.salt) > 64 || len(k.sum) > 64 || len(k.sum) < 16) {
			t.Errorf("%q would cost %+v", s, k)
		}
	})
}

// What people type as a code is one or the other form, or none.
func FuzzCode(f *testing.F) {
	f.Add("123 456")
	f.Add("ABCD-efgh-2345-6789")
	f.Add(strings.Repeat("1", 100))
	f.Add("\x00\xff")
	f.Fuzz(func(t *testing.T, s string) {
		code := codeOf(s)
		if len(code) > 256 || isTOTP(code) && len(code) != 6 {
			t.Errorf("%q is %q", s, code)
		}
		if _, ok := digestOf(prefixMail, s); ok && !strings.Contains(s, prefixMail) {
			t.Errorf("%q is a token", s)
		}
		if id, err := ParseID[SessionID](s); err == nil && id.String() != s {
			t.Errorf("%q is %s", s, id)
		}
	})
}
