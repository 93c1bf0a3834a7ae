package yamldoc

import (
	"strings"
	"testing"

	"github.com/goccy/go-yaml/ast"
)

// Addresses of IPv6 need no quotes, wherever they are.
func TestPlainColons(t *testing.T) {
	for text, want := range map[string]string{
		"{n: [2001:db8::1]}":                                   "2001:db8::1",
		"{n: [203.0.113.7, 2001:db8::/32, fe80::/10 ]}":        "203.0.113.7|2001:db8::/32|fe80::/10",
		"{n: [::1, ::/0, ::ffff:203.0.113.7/104, 2001:db8::]}": "::1|::/0|::ffff:203.0.113.7/104|2001:db8::",
		"{n: [\n  2001:db8::1,\n  2001:db8::2\n]}":             "2001:db8::1|2001:db8::2",
		"{n: [[2001:db8::1], 12:30, \"a:b\"]}":                 "[2001:db8::1]|12:30|a:b",
		"{n: [{network: 2001:db8::1, reason: a}]}":             "{network: 2001:db8::1, reason: a}",
		"{n: [a: 1, b: 2]}":                                    "a: 1|b: 2",
		"{n: [å:ö]}":                                           "å:ö",
		"n: [2001:db8::1, ::1]":                                "2001:db8::1|::1",
		"n:\n  - 2001:db8::1\n  - ::1":                         "2001:db8::1|::1",
	} {
		d, body := Parse(strings.NewReader(text), "x.yaml", MaxFile)
		if err := d.Err(); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		pairs, _ := d.Mapping(body, "it")
		if len(pairs) != 1 {
			t.Errorf("%s: %d pairs", text, len(pairs))
			continue
		}
		list, ok := pairs[0].Value.(*ast.SequenceNode)
		if !ok {
			t.Errorf("%s: %T", text, pairs[0].Value)
			continue
		}
		var got []string
		for _, v := range list.Values {
			one := strings.TrimSpace(v.String())
			if s, ok := v.(*ast.StringNode); ok {
				one = s.Value
			}
			got = append(got, one)
		}
		if s := strings.Join(got, "|"); s != want {
			t.Errorf("%s: %q, want %q", text, s, want)
		}
	}
}
