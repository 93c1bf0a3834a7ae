package crawler

// A Crawler is a program that says in its user agent who it is, and how that
// is verified.
type Crawler struct {
	Name string // as security.crawler.name has it, where the dataset knows it
	// Purpose is search, ai_training, user_triggered, monitoring, preview or other.
	Purpose string
	// Tokens of the user agent: one of them in it, in any case of letters, is a claim.
	Tokens []string
	// Hosts are the names of its addresses. A star stands for one or more
	// characters of a host name: "*.googlebot.com".
	Hosts []string
	// Feed of the catalogue with the addresses that its operator publishes, ""
	// when there is none. The dataset verifies by those.
	Feed string
}

// Table returns the crawlers that can be verified, the more particular first: of
// several claims of one user agent the first in the table counts.
//
// The tokens, and most of the hosts, are those of arcjet/well-known-bots of
// 2026-02-26 (MIT License, Copyright (c) Arcjet Labs, Inc.); the other hosts are
// from the operators' pages. Left out is *.gae.googleusercontent.com, a name
// that Google gives for its user-triggered fetchers: any customer's program on
// App Engine has one.
func Table() []Crawler {
	var (
		googlebot = []string{"*.googlebot.com"}
		special   = []string{"rate-limited-proxy-*.google.com", "*.googlebot.com"}
		fetchers  = []string{"google-proxy-*.google.com"}
		microsoft = []string{"*.search.msn.com"}
		yandex    = []string{"*.yandex.ru", "*.yandex.com", "*.yandex.net"}
	)
	return []Crawler{
		{Name: "Google-InspectionTool", Purpose: "user_triggered", Tokens: []string{"Google-InspectionTool"}, Hosts: googlebot, Feed: "googlebot"},
		{Name: "Google special-case crawlers", Purpose: "other", Hosts: special, Feed: "google-special-crawlers", Tokens: []string{
			"AdsBot-Google", "Mediapartners-Google", "Mediapartners (Googlebot)", "APIs-Google", "Google-Safety",
		}},
		{Name: "Google user-triggered fetchers", Purpose: "user_triggered", Hosts: fetchers, Feed: "google-user-triggered-fetchers", Tokens: []string{
			"Feedfetcher-Google", "Google-Site-Verification", "Google-Read-Aloud", "GoogleProducer",
		}},
		{Name: "Googlebot", Purpose: "search", Hosts: googlebot, Feed: "googlebot", Tokens: []string{
			"Googlebot", "Storebot-Google", "GoogleOther", "Google-CloudVertexBot",
		}},
		{Name: "Microsoft preview", Purpose: "preview", Tokens: []string{"BingPreview", "MicrosoftPreview"}, Hosts: microsoft, Feed: "bingbot"},
		{Name: "Bingbot", Purpose: "search", Tokens: []string{"bingbot", "adidxbot"}, Hosts: microsoft, Feed: "bingbot"},
		{Name: "Applebot", Purpose: "search", Tokens: []string{"Applebot"}, Hosts: []string{"*.applebot.apple.com"}, Feed: "applebot"},
		{Name: "YandexBot", Purpose: "search", Tokens: []string{"yandex.com/bots", "YandexRenderResourcesBot"}, Hosts: yandex},
		{Name: "Baiduspider", Purpose: "search", Tokens: []string{"Baiduspider"}, Hosts: []string{"*.baidu.com", "*.baidu.jp"}},
		{Name: "Yahoo! Slurp", Purpose: "search", Tokens: []string{"Yahoo! Slurp"}, Hosts: []string{"*.crawl.yahoo.net"}},
		{Name: "PetalBot", Purpose: "search", Tokens: []string{"PetalBot"}, Hosts: []string{"*.petalsearch.com", "*.aspiegel.com"}},
		{Name: "DuckDuckBot", Purpose: "search", Tokens: []string{"DuckDuckBot", "DuckDuckGo-Favicons-Bot"}, Feed: "duckduckbot"},
		{Name: "GeedoProductSearch", Purpose: "search", Tokens: []string{"GeedoProductSearch"}, Hosts: []string{"*.geedo.com"}},
		{Name: "GPTBot", Purpose: "ai_training", Tokens: []string{"GPTBot"}, Feed: "gptbot"},
		{Name: "OAI-SearchBot", Purpose: "search", Tokens: []string{"OAI-SearchBot"}, Feed: "oai-searchbot"},
		{Name: "ChatGPT-User", Purpose: "user_triggered", Tokens: []string{"ChatGPT-User"}, Feed: "chatgpt-user"},
		{Name: "PerplexityBot", Purpose: "search", Tokens: []string{"PerplexityBot"}, Feed: "perplexitybot"},
		{Name: "CCBot", Purpose: "ai_training", Tokens: []string{"CCBot/"}, Hosts: []string{"*.crawl.commoncrawl.org"}},
		{Name: "AmazonAdBot", Purpose: "other", Tokens: []string{"AmazonAdBot"}, Hosts: []string{"*.amazonadbot.com"}},
		{Name: "Amazonbot", Purpose: "ai_training", Tokens: []string{"Amazonbot"}, Hosts: []string{"*.crawl.amazonbot.amazon"}},
		{Name: "Meta external hit", Purpose: "preview", Feed: "meta-crawler", Tokens: []string{
			"facebookexternalhit", "facebookcatalog", "Facebot", "FacebookBot", "meta-externalfetcher", "meta-externalagent",
		}},
		{Name: "Twitterbot", Purpose: "preview", Tokens: []string{"Twitterbot/"}, Feed: "twitterbot"},
		{Name: "TelegramBot", Purpose: "preview", Tokens: []string{"TelegramBot"}, Feed: "telegrambot"},
		{Name: "Pinterestbot", Purpose: "preview", Tokens: []string{"Pinterestbot", "Pinterest/"}, Hosts: []string{"*.pinterest.com", "*.pinterestcrawler.com"}},
		{Name: "Stripebot", Purpose: "other", Tokens: []string{"Stripebot"}, Hosts: []string{"*.crawl.stripe.com"}},
		{Name: "Pingdom", Purpose: "monitoring", Tokens: []string{"Pingdom.com_bot", "PingdomPageSpeed"}, Feed: "pingdom"},
		{Name: "StatusCake", Purpose: "monitoring", Tokens: []string{"StatusCake"}, Feed: "statuscake"},
	}
}

// together lists tokens of previews that programs on people's own devices send
// at once, such as Apple's Messages: two of them are no claim.
var together = [...]string{"facebookexternalhit", "facebot", "twitterbot/"}

// SentTogether lists tokens of previews, in lower case: a user agent with two of them
// claims nothing, as programs on people's own devices send them at once.
func SentTogether() []string { return append([]string(nil), together[:]...) }
