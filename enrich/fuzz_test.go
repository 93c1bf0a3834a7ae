package enrich

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzRun answers about anything, in every format and output: it ends, every JSON
// line is one, and every row is counted.
func FuzzRun(f *testing.F) {
	for i, s := range []string{
		"10.1.1.1\n\nfoo\n", "ip,b\n10.1.1.1,\"x\ny\"\n2,\"", `{"ip":"10.1.1.1","a":[{}]}` + "\n{", "10.1.1.1 - - [x] \"GET / HTTP/1.1\" 200 5 \"-\" \"a\\\"\n",
		"x haproxy[1]: 10.0.1.2:33317 [06/Feb/2009:12:14:14.655] in b/s 1/2/3 200 5 - - ---- 1/1/1 0/0 \"GET / HTTP/1.1\"\n", "see 10.1.1.1, ::1 and 1.2.3.4.5.\n",
	} {
		f.Add([]byte(s), uint8(i))
	}
	f.Fuzz(func(t *testing.T, in []byte, n uint8) {
		formats, outputs := append([]Format{Auto}, Formats()...), []Output{Same, AsJSON, AsCSV}
		s := Stream{Format: formats[int(n)%len(formats)], Output: outputs[int(n/16)%3]}
		var out, rejects bytes.Buffer
		if n >= 128 {
			s.Rejects = &rejects
		}
		pos, err := newEnricher(t, Config{}).Run(t.Context(), bytes.NewReader(in), &out, s)
		if err != nil {
			return
		}
		c := pos.Counts
		if pos.Layout.Format != Text && c.Rows != c.Answered+c.Malformed {
			t.Errorf("%+v", c)
		}
		lines := rejects.String()
		if s.Output == AsJSON {
			lines += out.String()
		}
		for line := range strings.Lines(lines) {
			if !json.Valid([]byte(line)) {
				t.Errorf("not JSON: %q", line)
			}
		}
	})
}

// FuzzMember compares the finder of members with what encoding/json reads.
func FuzzMember(f *testing.F) {
	for _, s := range []string{`{"a":{"b":["x",{"c":"10.1.1.1"}]}}`, `{"a":1,"a":{"b":[0,{"c":null}]}}`, `{ "\u0061" : {"b":[{} , {"c" : "\u0031"}]} }`, `{"a":{}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if !json.Valid(in) || !utf8.Valid(in) { // encoding/json replaces what is not UTF-8
			return
		}
		m := findMember(in, []string{"a", "b", "1", "c"}, "x")
		var all map[string]json.RawMessage
		if json.Unmarshal(in, &all) != nil || all == nil {
			if m.reason != NotJSON {
				t.Errorf("%q is no object, and the reason is %q", in, m.reason)
			}
			return
		}
		var b map[string]json.RawMessage
		var list []json.RawMessage
		var c map[string]json.RawMessage
		_ = json.Unmarshal(all["a"], &b)
		_ = json.Unmarshal(b["b"], &list)
		if len(list) > 1 {
			_ = json.Unmarshal(list[1], &c)
		}
		var want any
		v, there := c["c"]
		_ = json.Unmarshal(v, &want)
		got, isText := want.(string)
		switch {
		case isText && got != "" && string(m.value) != got:
			t.Errorf("%q: %q, want %q", in, m.value, got)
		case there && want == nil && m.reason != Null, there && want != nil && !isText && m.reason != NotText, !there && m.reason != Missing:
			t.Errorf("%q: reason %q", in, m.reason)
		}
	})
}
