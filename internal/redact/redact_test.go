package redact

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/slogtest"

	"github.com/ipwarden/ipwarden/internal/customer"
)

func TestSecrets(t *testing.T) {
	key := customer.NewKeyText(customer.Secret, customer.Live)
	for in, want := range map[string]string{
		"GET /v1/ip/8.8.8.8?key=" + key + "&fields=ip": "GET /v1/ip/8.8.8.8?key=[redacted]&fields=ip",
		"key " + key + " is odd":                       "key [redacted] is odd",
		key[:20]:                                       "[redacted]",
		"prefix" + key:                                 "prefix[redacted]",
		"postgres://ada:pa@ss@db.example.com/ipwarden: refused": "postgres://[redacted]@db.example.com/ipwarden: refused",
		"redis://:hunter22@127.0.0.1:6379":                      "redis://[redacted]@127.0.0.1:6379",
		"https://abcdef@sentry.example/42":                      "https://[redacted]@sentry.example/42",
		"Authorization: Bearer abcdefghijkl":                    "Authorization: [redacted] [redacted]",
		"Authorization: Basic YWRhOmh1bnRlcjI=":                 "Authorization: [redacted] [redacted]",
		"https://x.example/?token=0123456789&ip=1.2.3.4":        "https://x.example/?token=[redacted]&ip=1.2.3.4",
		`{"password":"hunter22","a":1}`:                         `{"password":"[redacted]","a":1}`,
		"X-Api-Key: abcdef":                                     "X-Api-Key: [redacted]",
		"cookie=abcdefg; path=/":                                "cookie=[redacted]; path=/",
		"the key 42 is not there":                               "the key 42 is not there",
		"listening on http://127.0.0.1:8080/":                   "listening on http://127.0.0.1:8080/",
		"mail to ada@example.com":                               "mail to ada@example.com",
		"":                                                      "",
	} {
		if got := Secrets(in); got != want {
			t.Errorf("%q\n got %q\nwant %q", in, got, want)
		}
	}
}

func TestAddresses(t *testing.T) {
	for in, want := range map[string]string{
		"from 203.0.113.77: refused":      "from 203.0.113.0/24: refused",
		"dial tcp 203.0.113.77:5432":      "dial tcp 203.0.113.0/24:5432",
		"from 2001:db8:1:2::7 again":      "from 2001:db8:1::/48 again",
		"[2001:db8:1:2::7]:443":           "[2001:db8:1::/48]:443",
		"2001:db8:1:2::":                  "2001:db8:1::/48",
		"::ffff:203.0.113.77":             "203.0.113.0/24",
		"203.0.113.77.":                   "203.0.113.0/24.",
		"at 12:34:56 on 127.0.0.1:8080":   "at 12:34:56 on 127.0.0.1:8080",
		"version 1.2.3, a :: b":           "version 1.2.3, a :: b",
		"dial 203.0.113.77:5432: refused": "dial 203.0.113.0/24:5432: refused",
		"999.1.1.1":                       "999.1.1.1",
	} {
		if got := Addresses(in); got != want {
			t.Errorf("%q\n got %q\nwant %q", in, got, want)
		}
	}
}

type peculiar struct{ Key string }

func TestHandler(t *testing.T) {
	key := customer.NewKeyText(customer.Publishable, customer.Test)
	for name, with := range map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var b bytes.Buffer
		log := slog.New(Handler(with(&b)))
		log.With("query", "key="+key).WithGroup("g").Error("no key "+key,
			"error", fmt.Errorf("look-up: %w", errors.New("https://x.example/?key="+key)),
			"any", peculiar{key}, "pointer", &peculiar{key}, "list", []string{key}, "bytes", []byte("plain"),
			slog.Group("deep", "text", key, "token", "short", "password", 12345),
			"addr", netip.MustParseAddr("192.0.2.1"), "n", 7)
		got := b.String()
		if strings.Contains(got, key) || strings.Contains(got, key[8:]) || strings.Contains(got, "short") || strings.Contains(got, "12345") {
			t.Errorf("%s tells a secret: %s", name, got)
		}
		for _, want := range []string{"192.0.2.1", "7", "look-up", "x.example"} {
			if !strings.Contains(got, want) {
				t.Errorf("%s has lost %q: %s", name, want, got)
			}
		}
	}
}

// What wraps a handler is one by the law of the standard library.
func TestHandlerIsOne(t *testing.T) {
	var b bytes.Buffer
	slogtest.Run(t, func(*testing.T) slog.Handler {
		b.Reset()
		return Handler(slog.NewJSONHandler(&b, nil))
	}, func(t *testing.T) map[string]any {
		return decode(t, b.Bytes())
	})
}

// Nothing that looks like a key is left, whatever stands round it.
func FuzzSecrets(f *testing.F) {
	f.Add("key=", "&x=1")
	f.Add("https://a:", "@b/")
	f.Add(`{"token":"`, `"}`)
	f.Add("\xff\x00ipw_", "_")
	key := customer.NewKeyText(customer.Secret, customer.Live)
	f.Fuzz(func(t *testing.T, before, after string) {
		got := Secrets(before + key + after)
		if strings.Contains(got, key[12:36]) {
			t.Errorf("%q", got)
		}
		if again := Addresses(got); strings.Contains(again, key[12:36]) {
			t.Errorf("%q", again)
		}
	})
}
