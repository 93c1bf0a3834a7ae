package update_test

import (
	"context"
	"crypto/sha256"
	"maps"
	"os"
	"testing"

	"github.com/ipwarden/ipwarden/feed"
	"github.com/ipwarden/ipwarden/feed/catalogue"
	"github.com/ipwarden/ipwarden/internal/update"
	"github.com/ipwarden/ipwarden/mmdb"
)

// TestWorld builds from a folder of full feeds: every one of them is believed.
func TestWorld(t *testing.T) {
	dir := os.Getenv("IPWARDEN_TEST_DATA")
	if dir == "" {
		t.Skip("IPWARDEN_TEST_DATA names no folder of full feeds")
	}
	cat, err := catalogue.Default()
	if err != nil {
		t.Fatal(err)
	}
	folder, err := update.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	formats := feed.Formats()
	maps.Copy(formats, mmdb.Formats())
	a, err := update.Assemble(context.Background(), folder, update.Selection{Feeds: cat.Feeds, Tables: feed.ReferenceFiles(), Formats: formats})
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	report, err := a.Build(context.Background(), h, update.BuildOptions{Licence: "test"})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range a.LeftOut {
		t.Errorf("left out: %s", &r)
	}
	if a.Feeds() < 80 || report.Ranges4 < 1_000_000 {
		t.Errorf("%d feeds and %d ranges are too few", a.Feeds(), report.Ranges4)
	}
	for _, f := range report.Info.Feeds {
		if f.Date.IsZero() && f.Name != "ipwarden" {
			t.Errorf("feed %s has no date", f.Name)
		}
	}
}
