package main

import (
	"fmt"
	"io"
	"iter"
	"path"
	"path/filepath"
	"strings"

	"github.com/ipwarden/ipwarden/feed"
	"github.com/ipwarden/ipwarden/internal/update"
	"github.com/ipwarden/ipwarden/policy/compile"
)

// policyOptions say where a policy gets its lists from: the feeds of the data
// directory, by their names in the catalogue.
func policyOptions(dirs *dirFlag, e *env) compile.Options {
	return compile.Options{Scores: scores, Feed: func(name string) (iter.Seq2[*feed.Fact, error], error) {
		return policyFeed(dirs, e, name)
	}}
}

// policyFeed reads a feed, "country-zones", or of it the rows of one country,
// "country-zones/SE".
func policyFeed(dirs *dirFlag, e *env, name string) (iter.Seq2[*feed.Fact, error], error) {
	name, country, _ := strings.Cut(name, "/")
	cat, err := (&catalogueFlag{Catalogue: e.getenv("IPWARDEN_CATALOGUE")}).load()
	if err != nil {
		return nil, err
	}
	spec, ok := cat.Find(name)
	if !ok {
		return nil, fmt.Errorf("there is no feed %q; 'ipwarden data feeds' lists them", name)
	}
	dir, err := dirs.dir(e)
	if err != nil {
		return nil, err
	}
	folder, err := update.OpenFolder(filepath.Join(dir, "feeds"))
	if err != nil {
		return nil, fmt.Errorf("%w; 'ipwarden data update' fetches the feeds", err)
	}
	parse := formats()[spec.Format]
	var files []io.ReadCloser
	for _, file := range spec.Files {
		r, err := folder.Open(file.Path, spec.MaxSize)
		if err != nil {
			for _, open := range files {
				open.Close()
			}
			return nil, fmt.Errorf("feed %s: %w; 'ipwarden data update' fetches it", name, err)
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
