package crawler

import (
	"math/rand/v2"
	"strings"
	"testing"
)

const (
	chrome   = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
	safari   = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
	google   = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
	messages = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like Gecko) Version/9.0.1 Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0"
)

func TestClaims(t *testing.T) {
	table := Table()
	c := newClaims(table)
	for agent, want := range map[string]string{
		"": "", "-": "", "curl/8.9.1": "", chrome: "", safari: "", google: "Googlebot",
		"googlebot": "Googlebot", "GOOGLEBOT/2.1": "Googlebot", "xxGooglebot": "Googlebot", "Googlebo": "", "Googlebo t": "",
		"Mozilla/5.0 (compatible; Google-InspectionTool/1.0;)":                                      "Google-InspectionTool",
		"Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) Chrome/116 Safari": "Bingbot",
		"Googlebot-Image/1.0":  "Googlebot",
		"Mediapartners-Google": "Google special-case crawlers",
		"DoCoMo/1.0/P502i (compatible; Mediapartners (Googlebot)/2.1)":              "Google special-case crawlers",
		"facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)": "Meta external hit",
		"TelegramBot (like TwitterBot)":                                             "TelegramBot",
		messages:                                                                    "",
		"Mozilla/5.0 (compatible; GPTBot/1.2; +https://openai.com/gptbot)":          "GPTBot",
		"Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)":          "YandexBot",
		strings.Repeat("x", maxAgent) + "Googlebot":                                 "",
	} {
		name := ""
		if i := c.find(agent); i >= 0 {
			name = table[i].Name
		}
		if name != want {
			t.Errorf("%.80q claims to be %q, want %q", agent, name, want)
		}
	}
}

// find agrees with looking for each token in the lower-case text.
func TestClaimsAreTheOracles(t *testing.T) {
	table := Table()
	c := newClaims(table)
	var parts []string
	for _, k := range table {
		parts = append(parts, k.Tokens...)
	}
	parts = append(parts, "Mozilla/5.0 (", chrome, "bot", "Google", "; ", "@", "goog", "-", "ë")
	rng := rand.New(rand.NewPCG(5, 5))
	for range 20_000 {
		var b strings.Builder
		for range rng.IntN(4) {
			p := parts[rng.IntN(len(parts))]
			switch rng.IntN(4) {
			case 0:
				p = p[rng.IntN(len(p)):]
			case 1:
				p = strings.ToUpper(p)
			}
			b.WriteString(p)
		}
		checkFind(t, table, c, b.String())
	}
}

func checkFind(t *testing.T, table []Crawler, c *claims, agent string) {
	t.Helper()
	want := -1
	low := lower(agent[:min(len(agent), maxAgent)])
	for i := len(table) - 1; i >= 0; i-- {
		for _, tok := range table[i].Tokens {
			if strings.Contains(low, lower(tok)) {
				want = i
			}
		}
	}
	several := 0
	for _, p := range together {
		if strings.Contains(low, p) {
			several++
		}
	}
	if several > 1 && want >= 0 && (table[want].Name == "Meta external hit" || table[want].Name == "Twitterbot") {
		want = -1
	}
	if got := c.find(agent); got != want {
		t.Fatalf("%q: %d, want %d", agent, got, want)
	}
}

// lower is of ASCII letters alone.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r | 0x20
		}
		return r
	}, s)
}

func FuzzClaim(f *testing.F) {
	table := Table()
	c := newClaims(table)
	for _, s := range []string{chrome, google, messages, "GoogleGooglebot", "\xffGPTBot"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, agent string) {
		if strings.ToValidUTF8(agent, "") != agent {
			c.find(agent)
			return
		}
		checkFind(t, table, c, agent)
	})
}

func BenchmarkClaim(b *testing.B) {
	c := newClaims(Table())
	for name, agent := range map[string]string{"chrome": chrome, "safari": safari, "googlebot": google} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.find(agent)
			}
		})
	}
}
