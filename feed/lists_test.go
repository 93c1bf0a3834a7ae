package feed

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// goodLists are the excerpts of clouds and lists; see goodFiles.
var goodLists = map[string]string{
	"aws.json":                "aws",
	"gcp.json":                "google",
	"googlebot.json":          "prefixes",
	"chatgpt-user.json":       "google",
	"bingbot.txt":             "prefixes",
	"azure.json":              "azure",
	"oci.json":                "oci",
	"fastly.json":             "fastly",
	"github-meta.json":        "github",
	"zscaler.json":            "zscaler",
	"datadog.json":            "datadog",
	"atlassian.json":          "atlassian",
	"bgp-hetzner.json":        "bgp-json",
	"ipcat.csv":               "range-csv",
	"firehol.netset":          "netset",
	"icloud-ipv6.txt":         "netset",
	"bogons.txt":              "netset",
	"tunnels.csv":             "ip-csv",
	"scanners.csv":            "ip-csv",
	"oxl-top.csv":             "ip-csv",
	"tor-exits.csv":           "tor-exits-csv",
	"tor-exit-addresses":      "tor-exit-addresses",
	"proxies-all.txt":         "proxies",
	"proxies-http.txt":        "proxies",
	"proxies-spys.txt":        "proxies",
	"ipsum.txt":               "ipsum",
	"spamhaus-drop.json":      "spamhaus-json",
	"spamhaus-asndrop.json":   "asndrop",
	"spamhaus-drop.txt":       "spamhaus-text",
	"feodo.csv":               "feodo",
	"threats.csv":             "shadowwhisperer",
	"misp-censys.json":        "misp",
	"misp-public-dns-v6.json": "misp",
	"iana-ipv4-special.csv":   "iana-special",
	"iana-ipv6-special.csv":   "iana-special",
}

// A byte order mark before a document is no part of it.
func TestDocumentWithBOM(t *testing.T) {
	body := "\ufeff" + `{"prefixes":[{"ipv4Prefix":"192.0.2.0/24"}]}`
	for _, format := range []string{"google", "prefixes"} {
		if got := transcript(format, "", []byte(body)); got != "192.0.2.0/24\n" {
			t.Errorf("%s: %q", format, got)
		}
	}
}

// What a fetch brings home by mistake is refused by every format that reads
// text, with the same words.
func TestNotTextAtAll(t *testing.T) {
	for format := range goodFormats() {
		for file, want := range map[string]string{
			"page.html":  "ended the file is an HTML page, probably an error page of the server\n",
			"binary.bin": "ended the file is binary, not text\n",
		} {
			body, err := os.ReadFile(filepath.Join("testdata", "bad", file))
			if err != nil {
				t.Fatal(err)
			}
			if got := transcript(format, file, body); got != want {
				t.Errorf("%s as %s: %q", file, format, got)
			}
		}
	}
}

func goodFormats() map[string]bool {
	set := map[string]bool{}
	for _, format := range goodLists {
		set[format] = true
	}
	return set
}

// An empty file says nothing, and where a document or a header belongs that is
// an error.
func TestEmptyLists(t *testing.T) {
	for format := range goodFormats() {
		got := readAll(format, "", strings.NewReader(""))
		if len(got.facts) > 0 || len(got.rows) > 0 {
			t.Errorf("%s: %+v", format, got)
		}
		switch format {
		case "aws", "google", "azure", "oci", "fastly", "github", "zscaler", "datadog", "atlassian", "bgp-json", "misp", "iana-special":
			if got.end == nil {
				t.Errorf("%s: an empty file is no document, and nothing said so", format)
			}
		}
	}
}

// What grows with the square of the rows is bounded.
func TestIANASpecialBound(t *testing.T) {
	head, err := os.ReadFile(filepath.Join("testdata", "good", "iana-ipv4-special.csv"))
	if err != nil {
		t.Fatal(err)
	}
	body := string(head) + strings.Repeat("10.0.0.0/8,Private-Use,[RFC1918],1996-02,N/A,True,True,True,False,False\n", 1000)
	want := "ended the file is no special-purpose registry: it has more than 1000 blocks\n"
	if got := transcript("iana-special", "", []byte(body)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// fullLists are the rows of the full lists: the counts of SOURCES.md without
// headers, comments and lines about the file.
var fullLists = []struct {
	format, path string
	facts        int
	date         string
}{
	{"aws", "cloud/aws-ip-ranges.json", 16828, "2026-08-22"},
	{"google", "cloud/gcp-cloud.json", 1092, "2026-08-21"},
	{"google", "cloud/google-goog.json", 114, "2026-08-21"},
	{"azure", "cloud/azure-ServiceTags_Public.json", 90493, ""},
	{"oci", "cloud/oracle-public_ip_ranges.json", 1102, "2026-07-27"},
	{"fastly", "cloud/fastly-public-ip-list.json", 21, ""},
	{"netset", "cloud/cloudflare-ips-v4.txt", 15, ""},
	{"netset", "cloud/cloudflare-ips-v6.txt", 7, ""},
	{"github", "cloud/github-meta.json", 5959, ""},
	{"zscaler", "cloud/zscaler-hubs.json", 80, ""},
	{"datadog", "cloud/datadog-ip-ranges.json", 279 - 113, "2026-02-24"}, // 113 are repeated by location
	{"atlassian", "cloud/atlassian-ip-ranges.json", 166, "2026-06-17"},
	{"bgp-json", "cloud/bgp-hetzner.json", 774, ""},
	{"bgp-json", "cloud/bgp-ovh.json", 765, ""},
	{"bgp-json", "cloud/bgp-leaseweb.json", 1093, ""},
	{"bgp-json", "cloud/bgp-contabo.json", 573, ""},
	{"bgp-json", "cloud/bgp-alibaba.json", 3389, ""},
	{"bgp-json", "cloud/bgp-scaleway.json", 28, ""},
	{"range-csv", "cloud/ipcat-datacenters.csv", 3429, ""},
	{"netset", "cloud/x4b-datacenter-ipv4.txt", 42566, ""},
	{"netset", "cloud/x4b-datacenter-ipv6.txt", 8752, ""},
	{"netset", "cloud/ipranges-github-ipv4_merged.txt", 4063, ""},
	{"netset", "cloud/ipranges-digitalocean-ipv4.txt", 1080, ""},
	{"netset", "cloud/ipranges-vultr-ipv4.txt", 442, ""},
	{"netset", "anonymizer/x4b-vpn-ipv4.txt", 10862, ""},
	{"netset", "anonymizer/x4b-vpn-ipv6.txt", 498, ""},
	{"netset", "anonymizer/x4b-input-mullvadvpn.txt", 566, ""},
	{"netset", "anonymizer/x4b-input-pia.txt", 1548, ""},
	{"netset", "anonymizer/x4b-input-protonvpn.txt", 2715, ""},
	{"ip-csv", "anonymizer/shadowwhisperer-Tunnels.csv", 13139, ""},
	{"tor-exits-csv", "anonymizer/tor-latest.exits.csv", 5933, ""},
	{"tor-exits-csv", "anonymizer/tor-latest.all.csv", 15612, ""},
	{"tor-exit-addresses", "anonymizer/tor-exit-addresses", 2378, "2024-03-12"},
	{"netset", "anonymizer/secops-tor-exit-nodes-2024.lst", 1746, ""},
	{"netset", "anonymizer/icloud-private-relay-ipv4.txt", 3290, ""},
	{"netset", "anonymizer/icloud-private-relay-ipv6.txt", 10455, ""},
	{"proxies", "anonymizer/proxies-monosans-all.txt", 492, ""},
	{"proxies", "anonymizer/proxies-monosans-http.txt", 318, ""},
	{"proxies", "anonymizer/proxies-monosans-socks4.txt", 95, ""},
	{"proxies", "anonymizer/proxies-monosans-socks5.txt", 79, ""},
	{"proxies", "anonymizer/proxies-clarketm-proxy-list.txt", 400, "2023-03-24"}, // of 406 lines with text
	{"ipsum", "abuse/ipsum.txt", 120430, "2026-08-22"},
	{"spamhaus-json", "abuse/spamhaus-drop_v4.json", 1699, "2026-08-22"},
	{"asndrop", "abuse/spamhaus-asndrop.json", 439, "2026-08-22"},
	{"spamhaus-text", "abuse/spamhaus-legacy-drop.txt", 989, ""},
	{"spamhaus-text", "abuse/spamhaus-legacy-edrop.txt", 322, ""},
	{"spamhaus-text", "abuse/spamhaus-legacy-drop_ipv6.txt", 51, ""},
	{"netset", "abuse/firehol_level1-2021.netset", 2892, "2021-06-28"},
	{"feodo", "abuse/feodotracker-ipblocklist.csv", 28, "2024-04-04"},
	{"netset", "abuse/et-compromised-ips.txt", 539, ""},
	{"netset", "abuse/threatfox-ips.txt", 3483, ""},
	{"shadowwhisperer", "abuse/shadowwhisperer-Threats.csv", 21506, ""},
	{"ip-csv", "abuse/shadowwhisperer-Scanners.csv", 57574, ""},
	{"ip-csv", "abuse/oxl-top_10000.csv", 10000, ""},
	{"google", "crawlers/googlebot.json", 315, "2026-08-20"},
	{"google", "crawlers/google-special-crawlers.json", 270, "2026-08-20"},
	{"google", "crawlers/google-user-triggered-fetchers.json", 724, "2024-02-27"},
	{"google", "crawlers/openai-gptbot.json", 21, "2025-10-30"},
	{"google", "crawlers/openai-searchbot.json", 35, "2026-01-02"},
	{"google", "crawlers/openai-chatgpt-user.json", 240, "2026-04-29"},
	{"google", "crawlers/applebot.json", 24, "2026-09-15"},
	{"prefixes", "crawlers/bingbot-ipv4.txt", 28, ""},
	{"prefixes", "crawlers/duckduckbot-ipv4.txt", 481, ""},
	{"netset", "crawlers/facebook-ipv4.txt", 550, ""},
	{"netset", "crawlers/facebook-ipv6.txt", 744, ""},
	{"prefixes", "crawlers/perplexity-ipv4.txt", 12, ""},
	{"netset", "crawlers/telegram-ipv4.txt", 9, ""},
	{"netset", "crawlers/twitter-ipv4.txt", 141, ""},
	{"netset", "crawlers/pingdom-ipv4.txt", 99, ""},
	{"netset", "crawlers/statuscake-ipv4.txt", 183, ""},
	{"misp", "safelist/misp-public-dns-v4.json", 62745, "2024-06-15"},
	{"misp", "safelist/misp-public-dns-v6.json", 269, "2024-06-15"},
	{"misp", "safelist/misp-censys-scanning.json", 13, ""},
	{"misp", "safelist/misp-shodan-scanning.json", 42, ""},
	{"netset", "reference/bogons-ipv4.txt", 16, ""},
	// 26 blocks without 192.31.196.0/24, 192.52.193.0/24, 192.88.99.0/24 and
	// 192.175.48.0/24, which are reachable or given back.
	{"iana-special", "reference/iana-ipv4-special-registry-1.csv", 22, ""},
	{"iana-special", "reference/iana-ipv6-special-registry-1.csv", 19, ""},
}

func TestFullLists(t *testing.T) {
	for _, tt := range fullLists {
		t.Run(tt.path+" as "+tt.format, func(t *testing.T) {
			meta := Meta{Name: filepath.Base(tt.path)}
			facts := 0
			for f, err := range Formats()[tt.format](dataFile(t, tt.path), &meta) {
				if err != nil {
					t.Error(err)
					continue
				}
				if facts++; facts%17 == 0 {
					checkFact(t, f)
				}
			}
			date := ""
			if !meta.Date.IsZero() {
				date = meta.Date.Format(time.DateOnly)
			}
			if facts != tt.facts || date != tt.date {
				t.Errorf("%d facts, date %q; want %d, %q", facts, date, tt.facts, tt.date)
			}
		})
	}
}
