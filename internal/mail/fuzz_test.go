package mail

import (
	"strings"
	"testing"
)

// A file that somebody else has put into the outbox is told, and does nothing.
func FuzzParse(f *testing.F) {
	f.Add("20261121T120000.000-q2ozwy3k6vff", `{"id":"20261121T120000.000-q2ozwy3k6vff","kind":"reset","to":"a@example.com","created":"2026-11-21T12:00:00Z"}`)
	f.Add("a", `{"id":"b"}`)
	f.Add("a", `[]`)
	f.Fuzz(func(t *testing.T, id, text string) {
		m, err := parse(id, []byte(text))
		if (m == nil) == (err == nil) || m != nil && m.ID != id {
			t.Errorf("%q: %+v, %v", text, m, err)
		}
		if m != nil {
			if _, err := compose(m, Sender{Address: "no-reply@example.com"}); err == nil && strings.ContainsAny(m.To, "\r\n") {
				t.Errorf("%q became a recipient", m.To)
			}
		}
	})
}

// An error about the server has no password in it.
func FuzzServer(f *testing.F) {
	f.Add("smtp://user:PASSWORD@mail.example.com:587")
	f.Add("smtps://user:PASSWORD@mail.example.com:x")
	f.Add("smtp://user:PASSWORD@/?tls=off")
	f.Add("%zz://PASSWORD@")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseServer(text)
		if err == nil && (s.Host == "" || s.Port < 1 || s.Port > 65535 || strings.Contains(s.String(), "@")) {
			t.Errorf("%q is %+v", text, s)
		}
		if err != nil && strings.Contains(err.Error(), "PASSWORD") && strings.Contains(text, ":PASSWORD@") {
			t.Errorf("%q is told with its password: %v", text, err)
		}
	})
}
