package iptext_test

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden/internal/iptext"
)

func found(text string) (all []string) {
	for m := range iptext.All([]byte(text)) {
		all = append(all, text[m.Start:m.End])
	}
	return all
}

func TestAll(t *testing.T) {
	for text, want := range map[string]string{
		"":        "",
		"8.8.8.8": "8.8.8.8",
		`203.0.113.9 - - [10/Oct/2025:13:55:36 +0200] "GET /1.0.0.1 HTTP/1.1" 200 2326 "-" "curl/8.5.0"`: "203.0.113.9 1.0.0.1",
		"from 1.2.3.4.":                          "1.2.3.4",
		"1.2.3.4, 5.6.7.8;9.9.9.9":               "1.2.3.4 5.6.7.8 9.9.9.9",
		"1.2.3.4:443->5.6.7.8:80":                "1.2.3.4 5.6.7.8",
		"1.2.3.4:5.6.7.8":                        "1.2.3.4 5.6.7.8",
		"1.2.3.0/24 1.2.3.4-1.2.3.9":             "1.2.3.0 1.2.3.4 1.2.3.9",
		"ip:8.8.8.8 face:8.8.4.4":                "8.8.8.8 8.8.4.4",
		"client_1.2.3.4_x":                       "1.2.3.4",
		"...1.2.3.4...":                          "1.2.3.4",
		"1.2.3.4.5":                              "",
		"v1.2.3.4 1.2.3.4x 1.2.3.4.example.org":  "",
		"a.1.2.3.4 x.1.2.3.4":                    "",
		"4.3.2.1.in-addr.arpa":                   "",
		"01.2.3.4 256.1.1.1 1.2.3":               "",
		"0.0.0.0 255.255.255.255":                "0.0.0.0 255.255.255.255",
		"2001:db8::1":                            "2001:db8::1",
		"[2001:db8::1]:443":                      "2001:db8::1",
		"from 2001:db8::1: refused":              "2001:db8::1",
		"at 2001:db8::1.":                        "2001:db8::1",
		"src:2001:db8::1 to:2001:db8::2":         "2001:db8::1 2001:db8::2",
		"fe80::1%eth0 up":                        "fe80::1",
		"2001:DB8::/32":                          "2001:DB8::",
		"::ffff:1.2.3.4":                         "::ffff:1.2.3.4",
		"::1 ::":                                 "::1",
		"listen [::]:80":                         "::",
		"1:2:3:4:5:6:7:8":                        "1:2:3:4:5:6:7:8",
		"1:2:3:4:5:6:7:8:9":                      "",
		"12:34:56 aa:bb:cc:dd:ee:ff":             "",
		"std::abs Foo::Bar x::1":                 "",
		"2001:db8::1x":                           "",
		"é8.8.8.8é":                              "8.8.8.8",
		`{"ip":"2001:db8::7","to":["10.0.0.1"]}`: "2001:db8::7 10.0.0.1",
	} {
		if got := strings.Join(found(text), " "); got != want {
			t.Errorf("%q: found %q, want %q", text, got, want)
		}
	}
}

var runs = regexp.MustCompile(`[0-9A-Fa-f.:]+`)

// slow is what the package's comment says, with regular expressions and strings.
func slow(text string) (all []string) {
	isWord := func(s string) bool { return s != "" && regexp.MustCompile(`^[0-9A-Za-z]`).MatchString(s) }
	for _, at := range runs.FindAllStringIndex(text, -1) {
		before, run, after := text[max(0, at[0]-1):at[0]], text[at[0]:at[1]], text[at[1]:min(len(text), at[1]+1)]
		lead, r, ok := before, run, true
		if isWord(before) || strings.HasPrefix(r, ":") && !strings.HasPrefix(r, "::") {
			_, r, ok = strings.Cut(r, ":")
			lead, ok = "", ok && !strings.HasPrefix(r, ":")
		}
		r = strings.TrimRight(r, ".")
		if strings.HasSuffix(r, ":") && !strings.HasSuffix(r, "::") {
			r = r[:len(r)-1]
		}
		a, err := netip.ParseAddr(r)
		if ok && err == nil && a.Is6() && !isWord(lead) && !isWord(after) && (r != "::" || before == "[" && strings.HasPrefix(run, "::")) {
			all = append(all, r)
			continue
		}
		pieces := strings.Split(run, ":")
		for i, p := range pieces {
			lead, tail := "", ""
			if i == 0 {
				lead = before
			}
			if i == len(pieces)-1 {
				tail = after
			}
			p = strings.Trim(p, ".")
			if a, err := netip.ParseAddr(p); err == nil && a.Is4() && !isWord(lead) && !isWord(tail) {
				all = append(all, p)
			}
		}
	}
	return all
}

func FuzzAll(f *testing.F) {
	for _, s := range []string{
		"8.8.8.8", "1.2.3.4:443->[2001:db8::1]:80", "src:2001:db8::1.", "...1.2.3.4...", "::ffff:1.2.3.4.5", "a::", "[::]", ":::", "1.2.3.4:::1",
		":1.2.3.4", "x:.1.2.3.4", "1.2.3.4.:5.6.7.8", "fe80::1%eth0", "::1:1.2.3.4:x", "[:::1.2.3.4", "::.", "1.2.3.4:::", "[::.:1.2.3.4",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := found(text)
		if want := slow(text); !slices.Equal(got, want) {
			t.Errorf("%q: found %q, want %q", text, got, want)
		}
		for m := range iptext.All([]byte(text)) {
			if a, err := netip.ParseAddr(text[m.Start:m.End]); err != nil || a != m.Addr {
				t.Errorf("%q: %v is not %q", text, m.Addr, text[m.Start:m.End])
			}
		}
	})
}

// A line of any length takes time in proportion to it: this one would take hours.
func TestLongRuns(t *testing.T) {
	for _, part := range []string{"1.2.3.4:", "1:2:", ".", ":", "::", "1.2.3.4::", "f"} {
		n, text := 0, []byte(strings.Repeat(part, 4<<20/len(part)))
		for range iptext.All(text) {
			n++
		}
		if want := strings.Count(part, "1.2.3.4") * (4 << 20 / len(part)); n != want {
			t.Errorf("%q many times: found %d, want %d", part, n, want)
		}
	}
}

// An IPv4 address costs no memory, and nor do lines without one.
func TestAllocations(t *testing.T) {
	line := []byte(`203.0.113.9 - - [10/Oct/2025:13:55:36 +0200] "GET /a/b?c=d.e.f HTTP/1.1" 200 2326 "-" "Mozilla/5.0"`)
	if n := testing.AllocsPerRun(100, func() {
		for m := range iptext.All(line) {
			_ = m
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkNext(b *testing.B) {
	line := []byte(`203.0.113.9 - - [10/Oct/2025:13:55:36 +0200] "GET /a/b?c=d.e.f HTTP/1.1" 200 2326 "https://example.org/" "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"`)
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		for at := 0; ; {
			m, ok := iptext.Next(line, at)
			if !ok {
				break
			}
			at = m.End
		}
	}
}
