package update

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/dataset"
	"github.com/ipwarden/ipwarden/feed"
)

// smallFolder is a folder with one list of countries and one of attackers.
func smallFolder(t *testing.T, countries, attackers string) *Folder {
	t.Helper()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "countries"), []byte(countries), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "attackers"), []byte(attackers), 0o644))
	must(t, os.CopyFS(dir, os.DirFS("testdata"))) // the registries, which the canaries ask about
	must(t, os.WriteFile(filepath.Join(dir, "SOURCES.md"), []byte("| snapshot date | file |\n|---|---|\n| 2026-08-01 | countries |\n| 2026-08-02 to 2026-09 | attackers |\n| 2026-07-18 | iana-ipv4-special-registry-1.csv |\n| 2026-07-18 | iana-ipv6-special-registry-1.csv |\n"), 0o644))
	f, err := OpenFolder(dir)
	must(t, err)
	return f
}

func smallSpecs() []feed.Spec {
	return []feed.Spec{
		{
			Name: "countries", Format: "tor-geoip", Files: []feed.SpecFile{{Path: "countries"}}, Licence: "CC0-1.0", Attribution: "A",
			Embed: true, MaxSize: 1 << 20, MaxBad: 0.1, MinRows: 1, Asserts: feed.Asserts{Fields: []string{"location.country_code"}, Trust: 60},
		},
		{
			Name: "attackers", Format: "netset", Files: []feed.SpecFile{{Path: "attackers"}}, Licence: "other", Attribution: "B",
			MaxSize: 1 << 20, MaxBad: 0.1, MinRows: 2, Asserts: feed.Asserts{Traits: []string{"attacker"}, Listing: "attacker"},
		},
		{
			Name: "iana-special", Format: "iana-special", Licence: "CC0-1.0", Embed: true, MaxSize: 1 << 20, MaxBad: 0.1,
			Files:   []feed.SpecFile{{Path: "iana-ipv4-special-registry-1.csv"}, {Path: "iana-ipv6-special-registry-1.csv"}},
			Asserts: feed.Asserts{Fields: []string{"security.is_bogon", "security.bogon"}, Trust: 100},
		},
	}
}

const (
	goodCountries = "16777216,16777471,AU\n16777472,16778239,CN\n134744064,134744319,US\n"
	goodAttackers = "1.0.0.7\n1.0.0.8\n1.0.1.0/24\n1.0.2.0/24\n"
)

func smallDataset(t *testing.T, folder *Folder, sel Selection, w interface{ Write([]byte) (int, error) }) *Assembly {
	t.Helper()
	sel.Formats = feed.Formats()
	a, err := Assemble(context.Background(), folder, sel)
	must(t, err)
	_, err = a.Build(context.Background(), w, BuildOptions{Licence: "test"})
	must(t, err)
	return a
}

func install(t *testing.T, dataDir string, folder *Folder, keep int) (*dataset.Dataset, string) {
	t.Helper()
	c, err := NewCandidate(dataDir)
	must(t, err)
	defer c.Discard()
	smallDataset(t, folder, Selection{Feeds: smallSpecs()}, c)
	ds, err := c.Open()
	must(t, err)
	name, err := c.Install(ds, keep)
	must(t, err)
	return ds, name
}

func TestInstall(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if _, err := Current(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("nothing is installed: got %v", err)
	}
	var names []string
	for i := range 4 {
		attackers := fmt.Sprintf("1.0.0.%d\n1.0.1.0/24\n", i)
		_, name := install(t, dir, smallFolder(t, goodCountries, attackers), 2)
		// The next one is written later, whatever the clock's grain.
		at := time.Date(2026, 9, 1+i, 0, 0, 0, 0, time.UTC)
		must(t, os.Chtimes(name, at, at))
		names = append(names, name)
		if got, err := Current(dir); err != nil || got != name {
			t.Fatalf("current is %s, %v; want %s", got, err, name)
		}
		if !strings.HasPrefix(filepath.Base(name), "2026-08-02-") {
			t.Errorf("%s does not begin with the date that a quarter of the feeds have reached", name)
		}
	}
	left, err := os.ReadDir(filepath.Join(dir, datasetsDir))
	must(t, err)
	if len(left) != 2 {
		t.Errorf("%d datasets stay, want 2: %v", len(left), left)
	}
	// Back to an older one, as the documentation tells.
	must(t, Switch(dir, names[2]))
	if got, _ := Current(dir); got != names[2] {
		t.Errorf("current is %s, want %s", got, names[2])
	}
	must(t, os.Remove(names[2]))
	if _, err := Current(dir); err == nil || !strings.Contains(err.Error(), "gone") {
		t.Errorf("a link to nothing: got %v", err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the data directory is %v, %v", info.Mode(), err)
	}
}

func TestDiscard(t *testing.T) {
	dir := t.TempDir()
	c, err := NewCandidate(dir)
	must(t, err)
	c.Discard()
	left, err := os.ReadDir(filepath.Join(dir, datasetsDir))
	must(t, err)
	if len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	unlock, err := Lock(dir)
	must(t, err)
	if _, err := Lock(dir); err == nil || !strings.Contains(err.Error(), "another update") {
		t.Errorf("a second lock: got %v", err)
	}
	unlock()
	unlock, err = Lock(dir)
	must(t, err)
	unlock()
}

func TestGate(t *testing.T) {
	open := func(countries, attackers string) *dataset.Dataset {
		var b strings.Builder
		smallDataset(t, smallFolder(t, countries, attackers), Selection{Feeds: smallSpecs()}, &b)
		ds, err := dataset.OpenData([]byte(b.String()))
		must(t, err)
		return ds
	}
	many := goodAttackers + "8.8.4.0/24\n"
	current := open(goodCountries, many)
	for name, c := range map[string]struct {
		next *dataset.Dataset
		max  float64
		want string
	}{
		"the same":       {open(goodCountries, many), 0, ""},
		"a little":       {open(goodCountries, goodAttackers), 0, ""},
		"another world":  {open(strings.ReplaceAll(goodCountries, "CN", "SE"), many), 1e-9, "IPv4: country changes for"},
		"a trait gone":   {open(goodCountries, "# nobody\n198.51.100.1\n198.51.100.2\n"), 0, "lose the trait attacker"},
		"more countries": {open(goodCountries+"150994944,167772159,US\n", many), 1e-9, ""},
	} {
		t.Run(name, func(t *testing.T) {
			diff, err := Gate{MaxMoved: c.max}.Check(current, c.next)
			var refused *GateError
			switch {
			case diff == nil:
				t.Fatal("no difference was reported")
			case c.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.want != "" && (!errors.As(err, &refused) || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	// Without the registries private space is no bogon: the canaries notice.
	var b strings.Builder
	smallDataset(t, smallFolder(t, goodCountries, many), Selection{Feeds: smallSpecs()[:2]}, &b)
	blind, err := dataset.OpenData([]byte(b.String()))
	must(t, err)
	if _, err := (Gate{}).Check(nil, blind); err == nil || !strings.Contains(err.Error(), "10.1.2.3 should be [bogon]") {
		t.Errorf("the canaries were not asked: %v", err)
	}
	if _, err := (Gate{}).Check(nil, current); err != nil {
		t.Errorf("the first dataset: %v", err)
	}
}

func TestAssemble(t *testing.T) {
	var b strings.Builder
	a := smallDataset(t, smallFolder(t, goodCountries, goodAttackers), Selection{Feeds: smallSpecs()}, &b)
	ds, err := dataset.OpenData([]byte(b.String()))
	must(t, err)
	if len(a.LeftOut) != 0 || ds.Info().Attribution != "A; B" {
		t.Errorf("left out %v, attribution %q", a.LeftOut, ds.Info().Attribution)
	}
	for _, f := range ds.Info().Feeds {
		switch f.Name {
		case "countries":
			if day := f.Date.Format(time.DateOnly); day != "2026-08-01" || f.Rows != 3 || len(f.SHA256) != 64 {
				t.Errorf("%+v", f)
			}
		case "attackers": // the earliest of a span: never newer than is certain
			if day := f.Date.Format(time.DateOnly); day != "2026-08-02" {
				t.Errorf("%+v", f)
			}
		}
	}

	// What may not be passed on stays out.
	b.Reset()
	a = smallDataset(t, smallFolder(t, goodCountries, goodAttackers), Selection{Feeds: smallSpecs(), EmbedOnly: true}, &b)
	if a.Feeds() != 2 {
		t.Errorf("%d feeds, want 2", a.Feeds())
	}

	// What breaks a bound, or breaks off, is left out, and the rest is built.
	for name, attackers := range map[string]string{
		"too few": "1.0.0.7\n", "bad rows": "1.0.0.7\n1.0.0.8\nwhat\nis\n", "a page": "<html><body>no</body></html>\n",
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			a := smallDataset(t, smallFolder(t, goodCountries, attackers), Selection{Feeds: smallSpecs()}, &b)
			if len(a.LeftOut) != 1 || a.LeftOut[0].Feed != "attackers" || a.LeftOut[0].Status != Refused || a.Feeds() != 2 {
				t.Errorf("left out %v, %d feeds", a.LeftOut, a.Feeds())
			}
		})
	}

	// What has passed its max_age on the day of the dataset is left out.
	specs := smallSpecs()
	header := "# Generated: Thu, 25 Jun 2026 04:33:59 GMT\n" // the countries; the attackers are of 2 August
	for age, left := range map[time.Duration]int{0: 3, 20 * 24 * time.Hour: 2, 40 * 24 * time.Hour: 3} {
		specs[0].MaxAge = age
		a, err = Assemble(context.Background(), smallFolder(t, header+goodCountries, goodAttackers), Selection{Feeds: specs, Formats: feed.Formats()})
		must(t, err)
		if a.Feeds() != left || len(a.TooOld) != 3-left || len(a.LeftOut) != 0 {
			t.Errorf("max_age %v: %d feeds, too old %v", age, a.Feeds(), a.TooOld)
		}
	}

	// Nothing is left: an error, and not an empty dataset.
	a, err = Assemble(context.Background(), smallFolder(t, "<html>", "<html>"), Selection{Feeds: smallSpecs()[:2], Formats: feed.Formats()})
	must(t, err)
	if _, err := a.Build(context.Background(), &b, BuildOptions{}); err == nil || !strings.Contains(err.Error(), "no feed is left") {
		t.Errorf("got %v", err)
	}
}

// A path with a * takes the last of the files that it fits, and a copy of it
// keeps its name.
func TestPathWithADate(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	for _, day := range []string{"2025-01-01", "2026-01-01"} {
		must(t, os.WriteFile(filepath.Join(from, "countries-"+day+".txt"), []byte(goodCountries), 0o600))
	}
	spec := smallSpecs()[0]
	spec.Files = []feed.SpecFile{{Path: "countries-*.txt"}}
	u, err := New(Config{Dir: to, From: from, Formats: feed.Formats()})
	must(t, err)
	results, err := u.Run(context.Background(), []feed.Spec{spec}, nil)
	must(t, err)
	if len(results) != 1 || results[0].Status != Updated {
		t.Fatalf("%v", results)
	}
	found, err := filepath.Glob(filepath.Join(to, "countries*.txt"))
	must(t, err)
	if len(found) != 1 || filepath.Base(found[0]) != "countries-2026-01-01.txt" {
		t.Errorf("copied as %q", found)
	}
}

// What a file says of itself goes before what is said about it.
func TestDates(t *testing.T) {
	header := "# Generated: Thu, 25 Jun 2026 04:33:59 GMT\n"
	folder := smallFolder(t, header+goodCountries, goodAttackers)
	a, err := Assemble(context.Background(), folder, Selection{Feeds: smallSpecs(), Formats: feed.Formats()})
	must(t, err)
	if day := a.inputs[0].date.Format(time.DateOnly); day != "2026-06-25" {
		t.Errorf("the file's own date: got %s", day)
	}
	// Then what the updater noted, as long as it is about these bytes.
	name := filepath.Join(folder.dirs[0], "attackers")
	sum, err := hashFile(name)
	must(t, err)
	noted := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	must(t, writeMeta(name, &Meta{SHA256: sum, Date: noted}))
	if d, meta, _ := folder.dateOf("attackers", name, sum); !d.Equal(noted) || meta == nil {
		t.Errorf("noted: got %v", d)
	}
	if d, meta, _ := folder.dateOf("attackers", name, strings.Repeat("0", 64)); d.Equal(noted) || meta != nil {
		t.Errorf("noted of other bytes: got %v", d)
	}
	// Last the time of the file.
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	must(t, os.Chtimes(name, at, at))
	if d, _, _ := folder.dateOf("elsewhere", name, "x"); d.Format(time.DateOnly) != "2026-03-04" {
		t.Errorf("time of the file: got %v", d)
	}
}
