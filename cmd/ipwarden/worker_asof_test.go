package main

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/worker"
)

// A worker that answers as of a day does so from the dataset of that day, with scores
// of that day, whatever comes later; and a day of which nothing is kept is refused.
func TestWorkerAsOfDate(t *testing.T) {
	dir := t.TempDir()
	vars := map[string]string{"IPWARDEN_DATA_DIR": dir}
	e := &env{stdout: io.Discard, stderr: io.Discard, getenv: func(name string) string { return vars[name] }, now: func() time.Time { return time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC) }}
	if err := os.Mkdir(filepath.Join(dir, "datasets"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, date := range map[string]string{"b": "2026-11-17", "a": "2026-11-03"} {
		if code := run([]string{"data", "build", "--from", "testdata/feeds", "--catalogue", "testdata/catalogue.yaml", "--date", date, "-o", filepath.Join(dir, "datasets", name+".ipw")}, e); code != exitOK {
			t.Fatal("the dataset could not be built")
		}
	}
	if err := os.Symlink("datasets/b.ipw", filepath.Join(dir, "current")); err != nil {
		t.Fatal(err)
	}
	answers := func(asOf string) (worker.Answers, error) {
		c := workerRunCmd{AsOf: asOf}
		c.DataDir = dir
		a, err := c.answers(e, slog.New(slog.DiscardHandler))
		if err != nil {
			return worker.Answers{}, err
		}
		a.watching(t.Context())
		return a.present(), nil
	}
	for asOf, want := range map[string]string{"": "2026-11-17", "now": "2026-11-17", "event": "2026-11-17", "2026-11-10": "2026-11-03", "2026-11-18": "2026-11-17"} {
		got, err := answers(asOf)
		if err != nil || got.Date.Format(time.DateOnly) != want {
			t.Errorf("--as-of %q answers from %s (%v)", asOf, got.Date, err)
		}
		if fixed := strings.HasPrefix(asOf, "2026"); fixed == got.At.IsZero() || fixed && !strings.HasPrefix(got.At.UTC().Format(time.DateOnly), asOf) {
			t.Errorf("--as-of %q answers of %s", asOf, got.At)
		}
	}
	for asOf, want := range map[string]string{"yesterday": "neither a day nor a moment", "2026-11-01": "the oldest is of 2026-11-03"} {
		if _, err := answers(asOf); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("--as-of %q: %v", asOf, err)
		}
	}
}
