package catalogue

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/feed"
)

func load(t *testing.T, text string) *Catalogue {
	t.Helper()
	c, err := Load(strings.NewReader(text), "own.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func defaults(t *testing.T) *Catalogue {
	t.Helper()
	c, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// known are the formats of package feed and, by name, those of package mmdb,
// which imports this one's neighbour and is not imported here.
func known(format string) bool {
	return feed.Formats()[format] != nil || format == "mmdb-maxmind" || format == "mmdb-ipinfo"
}

func TestDefault(t *testing.T) {
	c := defaults(t)
	if err := c.CheckFormats(known); err != nil {
		t.Error(err)
	}
	if len(c.Removed) > 0 {
		t.Errorf("the embedded catalogue disables %v: leave them out", c.Removed)
	}
	paths := map[string]string{}
	for _, s := range c.Feeds {
		for _, f := range s.Files {
			if other := paths[f.Path]; other != "" && s.Name != "ipfire-marks" { // its marks age faster
				t.Errorf("%s and %s read the same file, %s", other, s.Name, f.Path)
			}
			paths[f.Path] = s.Name
		}
		if s.Manual && s.Files[0].URL != "" {
			t.Errorf("%s is dropped in by hand and has a URL", s.Name)
		}
	}
	s, ok := c.Find("tor-geoip")
	if !ok || s.Refresh != 168*time.Hour || s.MaxSize != 64<<20 || s.MaxBad != 0.02 || s.MinRows != 300000 || len(s.Files) != 2 {
		t.Errorf("tor-geoip: %+v", s)
	}
	if _, ok := c.Find("nobody"); ok {
		t.Error("there is a feed called nobody")
	}
}

// Every format is used by a feed, or it would be read by nobody.
func TestEveryFormatIsUsed(t *testing.T) {
	used := map[string]bool{}
	for _, s := range defaults(t).Feeds {
		used[s.Format] = true
	}
	for format := range feed.Formats() {
		if !used[format] && format != "zone" { // one country's file, for those who keep only some
			t.Errorf("no feed has the format %q", format)
		}
	}
}

// embeddable are the licences whose data may be part of one CC BY-SA 4.0
// database. NONE is decided operator by operator in docs/decisions.
var embeddable = []string{
	"CC-BY-SA-4.0", "CC-BY-4.0", "CC0-1.0", "PDDL-1.0", "MIT", "MIT-0", "BSD-3-Clause", "Apache-2.0", "Unlicense",
	"CDLA-Permissive-2.0", "LicenseRef-RIR-Statistics", "LicenseRef-Spamhaus-DROP",
}

var operatorLists = []string{
	"aws", "gcp", "google", "azure", "oci", "fastly", "cloudflare", "github", "zscaler", "datadog", "atlassian", "icloud-egress",
	"googlebot", "google-special-crawlers", "google-user-triggered-fetchers", "gptbot", "oai-searchbot", "chatgpt-user", "applebot", "bingbot",
}

func TestWhatIsEmbeddedMayBe(t *testing.T) {
	for _, s := range defaults(t).Feeds {
		allowed := slices.Contains(embeddable, s.Licence) || s.Licence == "NONE" && slices.Contains(operatorLists, s.Name)
		if s.Embed && !allowed {
			t.Errorf("%s is embedded and its licence is %s", s.Name, s.Licence)
		}
	}
	for _, name := range operatorLists {
		if s, ok := defaults(t).Find(name); !ok || !s.Embed {
			t.Errorf("docs/decisions/0002-operator-lists.md embeds %s, the catalogue does not", name)
		}
	}
}

// A verified crawler and a safelist win over the lists that name them.
func TestSafelistsDeny(t *testing.T) {
	for _, s := range defaults(t).Feeds {
		a := s.Asserts
		if slices.Contains(a.Traits, "crawler") && (!a.DeniesListings || !slices.Contains(a.Denies, "attacker") || !slices.Contains(a.Denies, "vpn")) {
			t.Errorf("%s is a crawler and denies nothing", s.Name)
		}
		if strings.HasPrefix(s.Files[0].Path, "safelist/") && (!a.DeniesListings || !slices.Contains(a.Denies, "abuser")) {
			t.Errorf("%s is a safelist and denies nothing", s.Name)
		}
		for _, trait := range a.Traits {
			if slices.Contains(a.Denies, trait) {
				t.Errorf("%s asserts and denies %s", s.Name, trait)
			}
		}
		if slices.Contains(a.Traits, "relay") && !slices.Contains(a.Denies, "vpn") {
			t.Errorf("%s: X4B counts the relay among the VPNs, and nothing takes that back", s.Name)
		}
	}
}

// The order of who is believed about the place of an address.
func TestTrustOfLocation(t *testing.T) {
	c := defaults(t)
	trust := func(name string) int {
		s, ok := c.Find(name)
		if !ok {
			t.Fatalf("no feed %s", name)
		}
		return s.Asserts.Trust
	}
	order := []string{"geofeed-aws", "geolite2-city", "tor-geoip", "country-zones", "rir-apnic"}
	for i := 1; i < len(order); i++ {
		if trust(order[i-1]) <= trust(order[i]) {
			t.Errorf("%s is not trusted over %s", order[i-1], order[i])
		}
	}
	for _, s := range c.Feeds {
		if s.Format == "geofeed" && strings.HasPrefix(s.Name, "geofeed-") && len(s.Asserts.Origins) == 0 {
			t.Errorf("%s can claim any prefix: it has no origins", s.Name)
		}
	}
}

// notInSnapshot are feeds whose files the snapshot of the data folder lacks:
// too large for it, or not there when it was taken.
var notInSnapshot = []string{
	"rir-arin", "rir-ripencc", "iptoasn", "pyasn", "asnames-ripe", "icloud-egress", "spamhaus-drop-v6",
	"geolite2-city", "geolite2-country", "geolite2-asn", "geoip2-anonymous-ip", "geoip2-isp", "geoip2-connection-type", "geoip2-enterprise",
	"dbip-city-lite", "dbip-asn-lite", "ipinfo-lite",
}

// leftOut are files of the data folder that no feed reads, and why.
var leftOut = map[string]string{
	"asn/pyasn-ipasn_20140513.head2000.dat":  "a sample of the format, of 2014",
	"asn/ip2asn-v4.excerpt.tsv":              "a sample of the format, of 2020; the live table is iptoasn",
	"asn/oxl-kind_scanner.csv":               "names whole carriers (Cogent, Hurricane Electric) as scanners",
	"asn/oxl-kind_crawler.csv":               "names whole carriers (VNPT, China Mobile) as crawlers",
	"geofeed/verizon-LICENSE.txt":            "a licence",
	"anonymizer/x4b-input-apple.txt":         "the same prefixes as icloud-private-relay, and no VPN",
	"anonymizer/tor-latest.all.csv":          "all relays: a relay that is no exit visits nobody",
	"anonymizer/proxies-monosans-http.txt":   "a part of proxies-monosans-all.txt",
	"anonymizer/proxies-monosans-socks4.txt": "a part of proxies-monosans-all.txt",
	"anonymizer/proxies-monosans-socks5.txt": "a part of proxies-monosans-all.txt",
	"crawlers/applebot-ipv4.txt":             "a copy of applebot.json",
	"crawlers/well-known-bots.json":          "user agents, not addresses",
	"crawlers/crawler-user-agents.json":      "user agents, not addresses",
}

// dataFile finds a feed's file in the data folder, plain or gzipped; "" when it
// is not there.
func dataFile(root, path string) string {
	name := filepath.Join(root, filepath.FromSlash(path))
	for _, pattern := range []string{name, name + ".gz"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[len(found)-1]
		}
	}
	return ""
}

func TestDataFolder(t *testing.T) {
	root := os.Getenv("IPWARDEN_TEST_DATA")
	if root == "" {
		t.Skip("IPWARDEN_TEST_DATA is not set")
	}
	exists := func(path string) bool {
		return dataFile(root, path) != ""
	}
	named := map[string]bool{}
	for _, s := range defaults(t).Feeds {
		for _, f := range s.Files {
			named[f.Path] = true
			if missing := slices.Contains(notInSnapshot, s.Name); exists(f.Path) == missing {
				t.Errorf("%s: %s is there: %v, and notInSnapshot says the same", s.Name, f.Path, !missing)
			}
		}
	}
	table, err := os.ReadFile(filepath.Join(root, "SOURCES.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| ((?:asn|cloud|anonymizer|abuse|crawlers|safelist|geo|geofeed|rir|country-zones)/\S+) \|`).FindAllStringSubmatch(string(table), -1)
	if len(rows) < 100 {
		t.Fatalf("only %d files in SOURCES.md", len(rows))
	}
	for _, row := range rows {
		path := row[1]
		if strings.HasPrefix(path, "country-zones/ipv") {
			continue // each is in country-zones/country-ip-blocks.tar.gz
		}
		if ok, _ := filepath.Match("geo/ipfire-location-*.txt.gz", path); ok {
			continue // the one path with a date in it
		}
		if plain := strings.TrimSuffix(path, ".gz"); !named[path] && !named[plain] && leftOut[plain] == "" {
			t.Errorf("no feed reads %s, and no reason is given", path)
		} else if (named[path] || named[plain]) && leftOut[plain] != "" {
			t.Errorf("%s is read and left out", path)
		}
	}
}

// Every feed whose file is there is read to its end, has the rows it says it
// has at least, and few bad ones.
func TestFeedsOfTheDataFolder(t *testing.T) {
	root := os.Getenv("IPWARDEN_TEST_DATA")
	if root == "" {
		t.Skip("IPWARDEN_TEST_DATA is not set")
	}
	for _, s := range defaults(t).Feeds {
		parse := feed.Formats()[s.Format]
		if parse == nil || slices.Contains(notInSnapshot, s.Name) {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			rows, bad := 0, 0
			for _, f := range s.Files {
				r := openData(t, strings.TrimSuffix(dataFile(root, f.Path), ".gz"))
				for _, err := range parse(r, &feed.Meta{Name: filepath.Base(f.Path)}) {
					var file *feed.FileError
					switch {
					case errors.As(err, &file):
						t.Fatal(err)
					case err != nil:
						bad++
					default:
						rows++
					}
				}
			}
			if rows < s.MinRows || float64(bad) > s.MaxBad*float64(rows+bad) {
				t.Errorf("%d rows and %d bad; at least %d and a share of %v are asked for", rows, bad, s.MinRows, s.MaxBad)
			}
		})
	}
}

func TestMerge(t *testing.T) {
	entry := func(name, title string) string {
		return "- {name: " + name + ", title: " + title + ", homepage: 'https://example.com/', licence: MIT, format: netset, " +
			"files: [{path: a/b.txt, url: 'https://example.com/b.txt'}], asserts: {traits: [vpn]}}\n"
	}
	base := load(t, "feeds:\n"+entry("one", "One")+entry("two", "Two")+entry("three", "Three"))
	over := load(t, "feeds:\n"+entry("two", "Other")+"- {name: one, disabled: true}\n"+entry("four", "Four"))
	got := base.Merge(over)
	var titles []string
	for _, s := range got.Feeds {
		titles = append(titles, s.Title)
	}
	if !slices.Equal(titles, []string{"Other", "Three", "Four"}) || !slices.Equal(got.Removed, []string{"one"}) {
		t.Errorf("merged to %v without %v", titles, got.Removed)
	}
	if len(base.Feeds) != 3 || base.Feeds[1].Title != "Two" {
		t.Errorf("the base was changed: %+v", base.Feeds)
	}
	// A later file may bring back what an earlier one took.
	if back := got.Merge(load(t, "feeds:\n"+entry("one", "Again"))); len(back.Removed) > 0 || back.Feeds[3].Title != "Again" {
		t.Errorf("one is not back: %+v", back)
	}
	if same := base.Merge(load(t, "# nothing\n")); len(same.Feeds) != 3 {
		t.Errorf("an empty override changed the catalogue: %+v", same)
	}
}

func TestCheckFormats(t *testing.T) {
	c := load(t, `feeds:
- name: one
  title: One
  homepage: https://example.com/
  licence: MIT
  format: nonsense
  files: [{path: a.txt, url: 'https://example.com/a'}]
  asserts: {traits: [vpn]}
`)
	err := c.CheckFormats(known)
	want := "own.yaml:6:11: feed one: there is no format \"nonsense\"\n"
	if err == nil || err.Error()+"\n" != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// The entry that the documentation shows is one.
func TestDocumentedEntry(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "adding-a-feed.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(page), "```yaml\n")
	text, _, ok2 := strings.Cut(rest, "```")
	if !ok || !ok2 {
		t.Fatal("docs/adding-a-feed.md shows no entry")
	}
	c := load(t, text)
	if len(c.Feeds) != 1 || c.CheckFormats(known) != nil {
		t.Errorf("it has %+v", c.Feeds)
	}
}

// What the dataset reads of the specs: every list of fields can be read.
func TestFieldSets(t *testing.T) {
	for _, s := range defaults(t).Feeds {
		if fs, err := s.Asserts.FieldSet(); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		} else if fs.Has(ipwarden.FieldIP) || fs.Has(ipwarden.FieldDatasetDate) || fs.Has(ipwarden.FieldScoreTrust) {
			t.Errorf("%s asserts what is not a feed's to say", s.Name)
		}
	}
}
