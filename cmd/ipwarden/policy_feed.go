package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ipwarden/ipwarden/feed"
	"github.com/ipwarden/ipwarden/feed/catalogue"
	"github.com/ipwarden/ipwarden/internal/update"
	"github.com/ipwarden/ipwarden/internal/yamldoc"
	"github.com/ipwarden/ipwarden/policy/compile"
)

// policyOptions say where a policy gets its lists from: the feeds of the data
// directory, by their names in the catalogue.
func policyOptions(dirs *dirFlag, e *env) compile.Options {
	return compile.Options{Scores: scores, Feed: func(name string) (iter.Seq2[*feed.Fact, error], error) {
		return policyFeed(dirs, e, name)
	}}
}

// nearFeed is the feed that may have been meant: who names a country of one that is not
// there wants networks of countries.
func nearFeed(name string, cat *catalogue.Catalogue, country bool) string {
	var names []string
	for i := range cat.Feeds {
		names = append(names, cat.Feeds[i].Name)
	}
	near := yamldoc.Nearest(name, names)
	if near == "" && country {
		near = "country-zones"
	}
	if near == "" || !slices.Contains(names, near) {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", near)
}

// policyFeed reads a feed, "country-zones", or of it the rows of one country,
// "country-zones/SE".
func policyFeed(dirs *dirFlag, e *env, name string) (iter.Seq2[*feed.Fact, error], error) {
	whole := name
	name, country, part := strings.Cut(name, "/")
	cat, err := (&catalogueFlag{Catalogue: e.getenv("IPWARDEN_CATALOGUE")}).load()
	if err != nil {
		return nil, err
	}
	spec, ok := cat.Find(name)
	if !ok {
		return nil, fmt.Errorf("there is no feed %q; 'ipwarden data feeds' lists them%s", name, nearFeed(name, cat, part))
	}
	if part && (len(country) != 2 || strings.Trim(country, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "") {
		return nil, fmt.Errorf("%q: behind the name of a feed stands a country, of two capital letters, such as %s/SE", whole, name)
	}
	dir, err := dirs.dir(e)
	if err != nil {
		return nil, err
	}
	folder, err := update.OpenFolder(filepath.Join(dir, "feeds"))
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		return nil, fmt.Errorf("feed %s was not fetched: there are no feeds in %s, and the dataset inside of the program has none; 'ipwarden data update' fetches them", name, dir)
	}
	parse := formats()[spec.Format]
	var files []io.ReadCloser
	for _, file := range spec.Files {
		r, err := folder.Open(file.Path, spec.MaxSize)
		if err != nil {
			for _, open := range files {
				open.Close()
			}
			if errors.Is(err, fs.ErrNotExist) {
				err = fmt.Errorf("there is no %s in %s", file.Path, filepath.Join(dir, "feeds"))
				if spec.Manual {
					return nil, fmt.Errorf("feed %s: %w; it is one that nobody fetches for you: put it there", name, err)
				}
			}
			return nil, fmt.Errorf("feed %s was not fetched: %w; 'ipwarden data update' fetches it", name, err)
		}
		files = append(files, r)
	}
	return func(yield func(*feed.Fact, error) bool) {
		on := true
		for i, r := range files {
			for fact, err := range parse(r, &feed.Meta{Name: path.Base(spec.Files[i].Path)}) {
				if !on || err == nil && country != "" && fact.Country != country {
					continue
				}
				on = yield(fact, err)
			}
			r.Close()
		}
	}, nil
}
