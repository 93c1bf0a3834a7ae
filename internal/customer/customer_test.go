package customer

import (
	"strings"
	"testing"
	"time"
)

func TestKeys(t *testing.T) {
	for _, k := range []Kind{Secret, Publishable} {
		for _, m := range []Mode{Live, Test} {
			text := NewKeyText(k, m)
			if len(text) != KeyLen || len(text) > 64 {
				t.Fatalf("%q has %d characters", text, len(text))
			}
			if gk, gm, err := ParseKey(text); gk != k || gm != m || err != nil {
				t.Errorf("ParseKey(%q) = %v, %v, %v; want %v, %v", text, gk, gm, err, k, m)
			}
			// Each character matters: one mistyped, two exchanged.
			for i := prefixLen; i < KeyLen; i++ {
				b := []byte(text)
				b[i] = alphabet62[(strings.IndexByte(alphabet62, b[i])+1)%62]
				if _, _, err := ParseKey(string(b)); err != ErrChecksum {
					t.Errorf("ParseKey of %q with character %d changed: %v, want %v", text, i, err, ErrChecksum)
				}
				if b = []byte(text); b[i] != b[i-1] && i > prefixLen {
					b[i], b[i-1] = b[i-1], b[i]
					if _, _, err := ParseKey(string(b)); err == nil {
						t.Errorf("ParseKey of %q with characters %d and %d exchanged: no error", text, i-1, i)
					}
				}
			}
		}
	}
	for _, text := range []string{"", "ipw_sk_live_", "sk_live_" + strings.Repeat("a", 34), "ipw_xk_live_" + strings.Repeat("a", 30), "ipw_sk_live_" + strings.Repeat("-", 30), strings.Repeat("a", 1<<16)} {
		if _, _, err := ParseKey(text); err != ErrNotKey {
			t.Errorf("ParseKey(%.50q): %v, want %v", text, err, ErrNotKey)
		}
	}
	text := NewKeyText(Secret, Live)
	if n := testing.AllocsPerRun(100, func() { ParseKey(text) }); n != 0 {
		t.Errorf("ParseKey allocates %v times", n)
	}
}

func TestIdentifiers(t *testing.T) {
	for range 1000 {
		id := NewKeyID()
		if got, err := ParseKeyID(id.String()); got != id || err != nil || int64(id) <= 0 {
			t.Fatalf("ParseKeyID(%q) = %d, %v; want %d", id, got, err, id)
		}
		if _, err := ParseAccountID(id.String()); err == nil {
			t.Fatalf("ParseAccountID(%q): no error", id)
		}
	}
	for _, s := range []string{"", "key_", "key_0000000000000", "key_zzzzzzzzzzzzz", "key_000000000000u", "key_0000000000001 "} {
		if id, err := ParseKeyID(s); err == nil {
			t.Errorf("ParseKeyID(%q) = %d", s, id)
		}
	}
}

func TestWindows(t *testing.T) {
	now := time.Date(2026, 12, 31, 22, 30, 0, 0, time.FixedZone("", -3600)) // 23:30 UTC
	for _, c := range []struct {
		got          Span
		first, reset string
	}{
		{Calendar.Day(now), "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"},
		{Calendar.Month(now), "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		{Rolling.Day(now), "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"},
		{Rolling.Day(now.Add(time.Hour)), "2026-12-31T01:00:00Z", "2027-01-01T01:00:00Z"},
		{Rolling.Month(now), "2026-12-02T00:00:00Z", "2027-01-01T00:00:00Z"},
	} {
		if first, reset := c.got.First.Time().Format(time.RFC3339), c.got.Reset.Format(time.RFC3339); first != c.first || reset != c.reset {
			t.Errorf("span from %s, reset %s; want %s, %s", first, reset, c.first, c.reset)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add(NewKeyText(Secret, Live))
	f.Add("ipw_pk_test_")
	f.Fuzz(func(t *testing.T, text string) {
		k, m, err := ParseKey(text)
		if err == nil && !strings.HasPrefix(text, prefixes[k][m]) {
			t.Errorf("ParseKey(%q) = %v, %v", text, k, m)
		}
	})
}
