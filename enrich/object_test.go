package enrich

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestAppendWith(t *testing.T) {
	for object, want := range map[string]string{
		`{}`:                            `{"ipwarden":{"a":1}}`,
		` { } `:                         ` { "ipwarden":{"a":1}} `,
		`{"ip":"8.8.8.8"}`:              `{"ip":"8.8.8.8","ipwarden":{"a":1}}`,
		"{\"ip\":1\n}":                  `{"ip":1,"ipwarden":{"a":1}}`,
		`{"ipwarden":{"old":[1,2]}}`:    `{"ipwarden":{"a":1}}`,
		`{"x":1,"ipwarden":0}`:          `{"x":1,"ipwarden":{"a":1}}`,
		`{"ipwarden":0, "x":1}`:         `{"x":1,"ipwarden":{"a":1}}`,
		`{"y":{},"ipwarden":0,"x":"}"}`: `{"y":{},"x":"}","ipwarden":{"a":1}}`,
	} {
		got, ok := AppendWith([]byte("before"), []byte(object), "ipwarden", []byte(`{"a":1}`))
		if !ok || string(got) != "before"+want {
			t.Errorf("%s: %s, want %s", object, got, want)
		}
		if !json.Valid(got[len("before"):]) {
			t.Errorf("%s: %s is no JSON", object, got)
		}
	}
	for _, object := range []string{"", "[]", "3", `"{}"`, "null"} {
		if got, ok := AppendWith(nil, []byte(object), "ipwarden", nil); ok {
			t.Errorf("%q: %s", object, got)
		}
		if IsObject([]byte(object)) {
			t.Errorf("%q is an object", object)
		}
	}
}

func TestFind(t *testing.T) {
	object := []byte(` {"ip":"8.8.8.8","n":null,"at":17,"ok":true,"a.b":{"c":["x",{"d":"\u0065"}]},"e":"","ip":"1.1.1.1"}`)
	for path, want := range map[string]string{
		"ip": "1.1.1.1", "n": "null", "at": "not_text", `a\.b.c.0`: "x", `a\.b.c.1.d`: "e", "a.b": "missing", "e": "missing", "ip.x": "missing",
	} {
		p := ParsePath(path)
		if p.String() != path {
			t.Errorf("%s is written %s", path, p)
		}
		got, reason := p.Find(object)
		if reason != "" {
			got = []byte(reason)
		}
		if string(got) != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	for path, want := range map[string]string{
		"ip": "1.1.1.1", "n": "", "at": "17", "ok": "true", `a\.b.c.0`: "x", `a\.b.c.1.d`: "e", `a\.b`: "", `a\.b.c.01`: "", "none": "",
	} {
		if got := ParsePath(path).Scalar(object); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	if _, reason := ParsePath("ip").Find([]byte("[]")); reason != NotJSON {
		t.Errorf("a list: %s", reason)
	}
}

func FuzzObject(f *testing.F) {
	f.Add([]byte(`{"a":[{"b":"c"}],"ipwarden":1}`), "a.0.b")
	f.Fuzz(func(t *testing.T, b []byte, path string) {
		if !json.Valid(b) {
			return
		}
		p := ParsePath(path)
		value, reason := p.Find(b)
		if reason == "" && p.Scalar(b) != string(value) {
			t.Fatalf("%s: %q and %q", path, value, p.Scalar(b))
		}
		out, ok := AppendWith(nil, b, "ipwarden", []byte("1"))
		if ok != IsObject(b) {
			t.Fatalf("%s: %v", b, ok)
		}
		if ok && (!json.Valid(out) || !strings.Contains(string(out), `"ipwarden":1`)) {
			t.Fatalf("%s: %s", b, out)
		}
	})
}
