package docstest

import (
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden/gate/crawler"
)

// TestCrawlers compares the table of docs/crawlers.md with the program's.
func TestCrawlers(t *testing.T) {
	rows := rowsBelow(t, "docs/crawlers.md", "Who can be verified")
	table := crawler.Table()
	if len(rows) != len(table) {
		t.Errorf("the program knows %d crawlers, the document %d", len(table), len(rows))
	}
	for i, c := range table[:min(len(rows), len(table))] {
		hosts, feed := "none", "none"
		if len(c.Hosts) > 0 {
			hosts = "`" + strings.Join(c.Hosts, "`, `") + "`"
		}
		if c.Feed != "" {
			feed = c.Feed
		}
		want := strings.Join([]string{c.Name, c.Purpose, "`" + strings.Join(c.Tokens, "`, `") + "`", hosts, feed}, " | ")
		if got := strings.Join(rows[i], " | "); got != want {
			t.Errorf("the program says %s, the document %s", want, got)
		}
	}
}
