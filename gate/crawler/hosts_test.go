package crawler

import (
	"strings"
	"testing"
)

// G3 of the catalogue: whoever has an address says what its name is.
func TestNamesThatAreNoHostNames(t *testing.T) {
	for name, want := range map[string]string{
		"crawl-66-249-66-1.googlebot.com.": "crawl-66-249-66-1.googlebot.com",
		"CRAWL.GoogleBot.com":              "crawl.googlebot.com",
		"a":                                "a",
		"":                                 "", ".": "", "..": "", ".a": "", "a..b": "", "-a.b": "", "a-.b": "", "a.b-": "", "a b.c": "",
		"<script>alert(1)</script>.googlebot.com": "", "a\".googlebot.com": "", "a\nb.googlebot.com": "", "a_b.googlebot.com": "",
		"\x00.googlebot.com": "", "bücher.example": "", "a/b": "", "*.googlebot.com": "",
		strings.Repeat("a", 63) + ".b":  strings.Repeat("a", 63) + ".b",
		strings.Repeat("a", 64) + ".b":  "",
		strings.Repeat("a.", 127) + "a": "",
		strings.Repeat("a.", 126) + "a": strings.Repeat("a.", 126) + "a",
	} {
		got, ok := hostName(name)
		if got != want || ok != (want != "") {
			t.Errorf("%q: %q %v, want %q", name, got, ok, want)
		}
	}
}

func TestPatternsOfHosts(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"*.googlebot.com", "crawl-1.googlebot.com", true},
		{"*.googlebot.com", "geo-crawl-1.geo.googlebot.com", true},
		{"*.googlebot.com", "googlebot.com", false},
		{"*.googlebot.com", ".googlebot.com", false},
		{"*.googlebot.com", "crawl.googlebot.com.evil.example", false},
		{"*.googlebot.com", "evilgooglebot.com", false},
		{"rate-limited-proxy-*.google.com", "rate-limited-proxy-1-2-3-4.google.com", true},
		{"rate-limited-proxy-*.google.com", "www.google.com", false},
		{"exact.example.com", "exact.example.com", true},
		{"exact.example.com", "x.exact.example.com", false},
	} {
		if got := matchesHost(c.pattern, c.name); got != c.want {
			t.Errorf("%s and %s: %v", c.pattern, c.name, got)
		}
	}
}

// What stands behind a star begins at a dot, or the names are anybody's.
func TestPatternsAreLabelAligned(t *testing.T) {
	for h, want := range map[string]bool{
		"*.googlebot.com": true, "rate-limited-proxy-*.google.com": true, "exact.example.com": true,
		"*googlebot.com": false, "crawl-*": false, "crawl-*.com": false, "*.com": false, "a.*": false, "a.*b.example.com": false, "*.*.example.com": false,
		"*": false, "localhost": false, "*.": false, "": false, "*.Example.com": false, "*.a b.com": false,
	} {
		if isPattern(h) != want {
			t.Errorf("%q: %v", h, !want)
		}
	}
}

// A host name that is taken for one has nothing in it that a log, JSON or HTML
// would have to escape.
func FuzzHostName(f *testing.F) {
	f.Add("crawl-66-249-66-1.googlebot.com.")
	f.Add("<b>.example")
	f.Fuzz(func(t *testing.T, name string) {
		got, ok := hostName(name)
		if strings.ContainsAny(got, "<>&'\"\\\n\r\t /_") || ok != (got != "") || len(got) > 253 {
			t.Errorf("%q: %q", name, got)
		}
		if again, _ := hostName(got); ok && again != got {
			t.Errorf("%q becomes %q", got, again)
		}
	})
}
