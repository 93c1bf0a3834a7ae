package catalogue

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/feed"
)

var (
	nameForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	listings = []string{"attacker", "abuser", "scanner", "spam", "botnet", "malware", "hijacked", "proxy"}
	purposes = []string{"search", "ai_training", "user_triggered", "monitoring", "preview", "other"}
	kinds    = []string{"business", "education", "government", "hosting", "isp"}
)

// Defaults of what an entry leaves out.
const (
	defaultRefresh   = 24 * time.Hour
	defaultMaxSize   = 64 << 20
	defaultMaxBad    = 0.02
	defaultMaxChange = 0.5
	defaultMinRows   = 1

	minRefresh = time.Minute // more often is an attack
	maxRefresh = 366 * 24 * time.Hour
	maxSize    = 4 << 30
)

// check fills the defaults and reports what makes no sense.
func (d *decoder) check(e *entry) {
	bad := func(path, format string, args ...any) { d.add(e.pos(path), fmt.Sprintf(format, args...)) }
	switch {
	case e.Name == "":
		bad("name", "the feed has no name")
		return // the rest would be about nobody
	case len(e.Name) > 64 || !nameForm.MatchString(e.Name):
		bad("name", "a name has small letters, digits and single hyphens, up to 64 in all, not %q", clip(e.Name))
	}
	if e.Disabled {
		return // nothing else of it counts
	}
	for _, v := range []struct{ key, value string }{
		{"title", e.Title}, {"format", e.Format}, {"licence", e.Licence}, {"homepage", e.Homepage},
	} {
		if strings.TrimSpace(v.value) == "" {
			bad(v.key, "feed %s: %q is missing", e.Name, v.key)
		}
	}
	if e.Embed && e.Attribution == "" {
		bad("embed", "feed %s: \"attribution\" is missing, and what is embedded needs it", e.Name)
	}
	if e.Homepage != "" && !isHTTPS(e.Homepage) {
		bad("homepage", "feed %s: the homepage is no https URL", e.Name)
	}
	d.checkFiles(e, bad)
	d.checkBounds(e, bad)
	d.checkAsserts(e, bad)
}

func (d *decoder) checkFiles(e *entry, bad func(path, format string, args ...any)) {
	if len(e.Files) == 0 {
		bad("files", "feed %s: \"files\" is missing: a list of path and url", e.Name)
	}
	for i, f := range e.Files {
		at := fmt.Sprintf("files[%d]", i)
		if f.Path == "" || f.Path != path.Clean(f.Path) || path.IsAbs(f.Path) || strings.HasPrefix(f.Path, "..") || strings.ContainsAny(f.Path, "\\:\x00") {
			bad(at+".path", "feed %s: a path lies below the folder of feeds and is written with \"/\", like asn/table.tsv, not %q", e.Name, clip(f.Path))
		}
		if slices.ContainsFunc(e.Files[:i], func(g feed.SpecFile) bool { return g.Path == f.Path }) {
			bad(at+".path", "feed %s: the path %q was given before", e.Name, clip(f.Path))
		}
		switch {
		case f.URL == "" && !e.Manual:
			bad(at+".url", "feed %s: \"url\" is missing; a feed that is dropped in by hand says manual: true", e.Name)
		case f.URL != "" && !isHTTPS(f.URL):
			bad(at+".url", "feed %s: %q is no https URL", e.Name, clip(f.URL))
		}
	}
}

func (d *decoder) checkBounds(e *entry, bad func(path, format string, args ...any)) {
	if e.Refresh == 0 {
		e.Refresh = defaultRefresh
	}
	if e.MaxSize == 0 {
		e.MaxSize = defaultMaxSize
	}
	if e.MaxBad == 0 {
		e.MaxBad = defaultMaxBad
	}
	if e.MaxChange == 0 {
		e.MaxChange = defaultMaxChange
	}
	if e.MinRows == 0 {
		e.MinRows = defaultMinRows
	}
	if e.Refresh < minRefresh || e.Refresh > maxRefresh {
		bad("refresh", "feed %s: a feed is refreshed every %v at most and every %v at least, not every %v", e.Name, minRefresh, maxRefresh, e.Refresh)
	}
	if e.MaxSize < 1 || e.MaxSize > maxSize {
		bad("max_size", "feed %s: the size is in bytes, 1 to %d", e.Name, int64(maxSize))
	}
	if !(e.MaxBad > 0 && e.MaxBad <= 1) { // NaN too
		bad("max_bad", "feed %s: a share is more than 0 and at most 1", e.Name)
	}
	if !(e.MaxChange > 0 && e.MaxChange <= 1000) {
		bad("max_change", "feed %s: a change is a share, 0.5 is half of the rows", e.Name)
	}
	if e.MinRows < 1 {
		bad("min_rows", "feed %s: a feed has at least one row", e.Name)
	}
}

func (d *decoder) checkAsserts(e *entry, bad func(path, format string, args ...any)) {
	a := &e.Asserts
	for i, f := range a.Fields {
		if _, err := ipwarden.ParseFields(f); err != nil {
			bad(fmt.Sprintf("asserts.fields[%d]", i), "feed %s: %v", e.Name, err)
		}
	}
	var traits ipwarden.Traits
	for _, list := range []struct {
		key   string
		names []string
	}{{"asserts.traits", a.Traits}, {"asserts.denies", a.Denies}} {
		for i, n := range list.names {
			t, ok := ipwarden.TraitNamed(n)
			if !ok || strings.HasPrefix(n, "is_") {
				bad(fmt.Sprintf("%s[%d]", list.key, i), "feed %s: there is no trait %q; there are %s",
					e.Name, clip(n), strings.Join(ipwarden.AllTraits.Names(), ", "))
			}
			traits |= t
		}
	}
	if a.Trust < 0 || a.Trust > 100 {
		bad("asserts.trust", "feed %s: trust goes from 0 to 100", e.Name)
	}
	for _, v := range []struct {
		key, value string
		of         []string
	}{{"listing", a.Listing, listings}, {"purpose", a.Purpose, purposes}, {"kind", a.Kind, kinds}} {
		if v.value != "" && !slices.Contains(v.of, v.value) {
			bad("asserts."+v.key, "feed %s: %s is one of %s, not %q", e.Name, v.key, strings.Join(v.of, ", "), clip(v.value))
		}
	}
	if slices.Contains(a.Traits, "crawler") && (a.Name == "" || a.Purpose == "") {
		bad("asserts.traits", "feed %s: a crawler has a name and a purpose", e.Name)
	}
	if len(a.Fields) == 0 && traits == 0 && a.Listing == "" && !a.DeniesListings {
		bad("asserts", "feed %s: it asserts nothing: \"fields\", \"traits\", \"denies\" or \"listing\" is missing", e.Name)
	}
}

func isHTTPS(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil
}
