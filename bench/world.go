package main

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ipwarden/ipwarden/dataset"
	"github.com/ipwarden/ipwarden/feed"
	"github.com/ipwarden/ipwarden/feed/catalogue"
	"github.com/ipwarden/ipwarden/internal/update"
	"github.com/ipwarden/ipwarden/mmdb"
)

// A world is the data that all contestants answer from, in a folder of its own.
type world struct {
	dir    string
	feeds  string // the folder it was made from
	date   time.Time
	spans4 int
	spans6 int
}

// Files of a world.
func (w *world) ranges() string               { return filepath.Join(w.dir, "ranges.csv") }
func (w *world) countries() string            { return filepath.Join(w.dir, "countries.json") }
func (w *world) mmdb() string                 { return filepath.Join(w.dir, "world.mmdb") }
func (w *world) dataset() string              { return filepath.Join(w.dir, "world.ipw") }
func (w *world) everything() string           { return filepath.Join(w.dir, "everything.ipw") }
func (w *world) addresses(name string) string { return filepath.Join(w.dir, name+".addrs") }
func (w *world) scratch(name string) string   { return filepath.Join(w.dir, "scratch-"+name) }

// worldVersion goes up when what is derived from the feeds changes.
const worldVersion = "3"

// worldFiles are the feeds of the world, below the folder of feeds; of several
// that match, the last one.
var worldFiles = []string{"geo/ipfire-location-*.txt", "geo/tor-geoip", "geo/tor-geoip6"}

// worldFeeds are their names in the catalogue.
var worldFeeds = []string{"tor-geoip", "ipfire"}

// stamp is what is kept beside a world, to know it again.
type stamp struct {
	Inputs         string
	Addresses      int
	Spans4, Spans6 int
}

// prepareWorld makes the world, or takes the one of an earlier run. The
// datasets are built on every run: their format is what is being worked on.
func prepareWorld(ctx context.Context, o *options, progress func(string, ...any)) (*world, error) {
	sum, err := hashFeeds(o.feeds)
	if err != nil {
		return nil, err
	}
	w := &world{dir: filepath.Join(o.cache, sum[:12]), feeds: o.feeds}
	if err := os.MkdirAll(w.dir, 0o755); err != nil {
		return nil, err
	}
	progress("the world lies in %s", w.dir)
	if err := w.buildDatasets(ctx, progress); err != nil {
		return nil, err
	}
	want := stamp{Inputs: worldVersion + " " + sum, Addresses: o.addresses}
	stampFile := filepath.Join(w.dir, "stamp.json")
	var have stamp
	if text, err := os.ReadFile(stampFile); err == nil && json.Unmarshal(text, &have) == nil {
		w.spans4, w.spans6 = have.Spans4, have.Spans6
		if have.Spans4, have.Spans6 = 0, 0; have == want {
			return w, nil
		}
	}
	progress("laying the feeds over each other, the slow way")
	spans, err := w.readFeeds()
	if err != nil {
		return nil, err
	}
	for w.spans4 = 0; w.spans4 < len(spans) && spans[w.spans4].from.Is4(); {
		w.spans4++
	}
	w.spans6 = len(spans) - w.spans4
	if err := writeFile(w.ranges(), func(f io.Writer) error { return writeRanges(f, spans) }); err != nil {
		return nil, err
	}
	if err := w.writeAddresses(spans, o.addresses); err != nil {
		return nil, err
	}
	progress("writing the MaxMind DB file with mmdbwriter")
	if err := buildMMDBWriterMain([]string{w.ranges(), w.countries(), w.mmdb()}); err != nil {
		return nil, err
	}
	want.Spans4, want.Spans6 = w.spans4, w.spans6
	text, err := json.Marshal(want)
	if err != nil {
		return nil, err
	}
	return w, os.WriteFile(stampFile, text, 0o644)
}

// buildDatasets compiles the feeds of the world, and all feeds of the folder.
func (w *world) buildDatasets(ctx context.Context, progress func(string, ...any)) error {
	progress("building the world as an ipwarden dataset")
	if err := buildDataset(ctx, w.feeds, w.dataset(), worldFeeds); err != nil {
		return err
	}
	progress("building a dataset of every feed")
	if err := buildDataset(ctx, w.feeds, w.everything(), nil); err != nil {
		return err
	}
	ds, err := dataset.Open(w.dataset())
	if err != nil {
		return err
	}
	defer ds.Close()
	w.date = ds.Date()
	type country struct{ Name, ContinentCode, Continent string }
	known := map[string]country{}
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			code := string([]rune{a, b})
			if l, ok := ds.Country(code); ok {
				known[code] = country{l.Country, l.ContinentCode, l.Continent}
			}
		}
	}
	text, err := json.Marshal(known)
	if err != nil {
		return err
	}
	return os.WriteFile(w.countries(), text, 0o644)
}

// buildDataset compiles the named feeds of a folder, or all for none.
func buildDataset(ctx context.Context, from, to string, names []string) error {
	cat, err := catalogue.Default()
	if err != nil {
		return err
	}
	specs := cat.Feeds
	if len(names) > 0 {
		specs = nil
		for _, n := range names {
			s, ok := cat.Find(n)
			if !ok {
				return fmt.Errorf("the catalogue has no feed %q", n)
			}
			specs = append(specs, s)
		}
	}
	folder, err := update.OpenFolder(from)
	if err != nil {
		return err
	}
	formats := feed.Formats()
	maps.Copy(formats, mmdb.Formats())
	a, err := update.Assemble(ctx, folder, update.Selection{Feeds: specs, Tables: feed.ReferenceFiles(), Formats: formats})
	if err != nil {
		return err
	}
	if a.Feeds() < len(names) {
		return fmt.Errorf("%s lacks feeds of the world: %v", from, a.Absent)
	}
	return writeFile(to, func(f io.Writer) error {
		_, err := a.Build(ctx, f, update.BuildOptions{Licence: "a mixture, for measurements only"})
		return err
	})
}

// readFeeds lays the feeds over each other without package dataset.
func (w *world) readFeeds() ([]span, error) {
	names, err := readCountries(w.countries())
	if err != nil {
		return nil, err
	}
	var files [3]io.ReadCloser
	for i, path := range worldFiles {
		f, err := openFeed(w.feeds, path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		files[i] = f
	}
	networks := goodRows(feed.IPFire(files[0], &feed.Meta{}))
	return overlay(networks, func(yield func(*feed.Fact, error) bool) {
		for _, f := range files[1:] {
			for fact, err := range goodRows(feed.TorGeoIP(f, &feed.Meta{})) {
				if !yield(fact, err) {
					return
				}
			}
		}
	}, func(country string) string { return names[country].ContinentCode })
}

// goodRows passes bad rows over.
func goodRows(rows iter.Seq2[*feed.Fact, error]) iter.Seq2[*feed.Fact, error] {
	return func(yield func(*feed.Fact, error) bool) {
		for f, err := range rows {
			if bad := new(feed.RowError); errors.As(err, &bad) {
				continue
			}
			if !yield(f, err) {
				return
			}
		}
	}
}

func feedFile(dir, path string) (string, error) {
	name := filepath.Join(dir, filepath.FromSlash(path))
	for _, pattern := range []string{name, name + ".gz"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return "", err
		}
		if len(found) > 0 {
			return slices.Max(found), nil
		}
	}
	return "", fmt.Errorf("the folder of feeds %s has no %s, neither plain nor gzipped", dir, path)
}

// openFeed opens a feed's file, unpacked.
func openFeed(dir, path string) (io.ReadCloser, error) {
	name, err := feedFile(dir, path)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(name)
	if err != nil || filepath.Ext(name) != ".gz" {
		return f, err
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return struct {
		io.Reader
		io.Closer
	}{z, f}, nil
}

func hashFeeds(dir string) (string, error) {
	h := sha256.New()
	for _, path := range worldFiles {
		name, err := feedFile(dir, path)
		if err != nil {
			return "", err
		}
		f, err := os.Open(name)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(h, f)
		f.Close()
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// writeFile lets write fill a file that appears under its name when it is whole.
func writeFile(name string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".part-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := errors.Join(write(f), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
