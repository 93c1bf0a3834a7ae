package api

import (
	"strings"
	"testing"
)

func TestRepeatedMember(t *testing.T) {
	for text, want := range map[string]string{
		`{"ip":"8.8.8.8","path":"/ip"}`:                                      "",
		`{"ip":"8.8.8.8","ip":"1.1.1.1"}`:                                    "ip",
		`{"ip":"8.8.8.8","IP":"1.1.1.1"}`:                                    "IP",
		`{"ip":"8.8.8.8","\u0069p":"1.1.1.1"}`:                               "ip",
		`{"ip":"ip","path":"ip","method":"path"}`:                            "",
		`{"headers":{"cookie":["a","a"],"accept":"a"},"account":{"a":"a"}}`:  "",
		`{"headers":{"cookie":["a"],"Cookie":"b"}}`:                          "Cookie",
		`{"account":{"id":"a","ID":"b"}}`:                                    "",
		`{"account":{"id":"a","id":"b"}}`:                                    "id",
		`{"account":{"id":"account"},"headers":{"a":"account","b":"a"}}`:     "",
		`{"headers":{"a":null,"b":[],"c":["d"]},"path":null,"Headers":null}`: "Headers",
	} {
		if got := repeatedMember([]byte(text)); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// What is wrong with a question is said in its own words.
func TestBadQuestions(t *testing.T) {
	a := gated(t, 3)
	for body, want := range map[string]string{
		`{"ip":"8.8.8.8","ip":"1.1.1.1"}`:    `\"ip\" is there twice`,
		`{"ip":"8.8.8.8","headers":{"a":5}}`: `\"headers\" cannot be of type number`,
		`{"ip":8}`:                           `\"ip\" cannot be of type number`,
		`[]`:                                 `it is of type array`,
		`{"ip"`:                              `it ends too early`,
		``:                                   `it ends too early`,
		`{"ip":"8.8.8.8","adress":"x"}`:      `unknown field \"adress\"`,
		`{"ip":"8.8.8.8"} {}`:                `there is more behind the object`,
	} {
		r := askGate(a, "@", "POST", "/v1/decide", body)
		if text := textOf(t, r); r.StatusCode != 400 || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s, want %s", body, r.StatusCode, text, want)
		}
	}
}

// FuzzQuestion: whatever an application sends is answered, and read once.
func FuzzQuestion(f *testing.F) {
	f.Add(`{"ip":"8.8.8.8","method":"GET","host":"example.org","path":"/login?x","headers":{"Cookie":["a=b"]},"account":{"id":"ann"}}`)
	f.Add(`{"ip":"8.8.8.8","ip":"1.1.1.1"}`)
	f.Add(`{"ip":"fe80::1%eth0","path":"/%2e"}`)
	var a *API
	f.Fuzz(func(t *testing.T, body string) {
		if a == nil {
			a = gated(t, 3)
		}
		r := askGate(a, "@", "POST", "/v1/decide", body)
		if r.StatusCode != 200 && r.StatusCode != 400 && r.StatusCode != 413 {
			t.Errorf("%q: %d %s", body, r.StatusCode, textOf(t, r))
		}
	})
}
