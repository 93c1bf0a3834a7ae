package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/ipwarden/ipwarden/dataset"
	"github.com/ipwarden/ipwarden/feed"
)

type verifyCmd struct {
	File string `arg:"" optional:"" help:"The dataset; default the one that would be used."`
	dataFlags
}

// Help is the long help.
func (verifyCmd) Help() string {
	return `Checks the checksum, every reference inside, the evidence, and the canaries:
addresses whose answers are known for certain, such as private space.`
}

// Run checks one dataset.
func (c *verifyCmd) Run(e *env) error {
	ds, name, err := c.named(e, c.File)
	if err != nil {
		return err
	}
	if err := ds.Verify(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Fprintf(e.stdout, "%s: whole, data of %s, %s, content SHA-256 %s\n", name, day(ds.Date()), mib(ds.Info().Size), ds.Info().Hash)
	return nil
}

// named opens file, or what the flags lead to, and says what that is called.
func (f *dataFlags) named(e *env, file string) (ds *dataset.Dataset, name string, err error) {
	if file == "" {
		if file, err = f.datasetName(e); err != nil {
			return nil, "", err
		}
	}
	name = file
	if name == "" {
		name = "the embedded dataset"
	}
	ds, err = openDataset(file)
	return ds, name, err
}

type infoCmd struct {
	File string `arg:"" optional:"" help:"The dataset; default the one that would be used."`
	JSON bool   `help:"As one JSON object."`
	dataFlags
}

// Run describes one dataset.
func (c *infoCmd) Run(e *env) error {
	ds, name, err := c.named(e, c.File)
	if err != nil {
		return err
	}
	info := ds.Info()
	if c.JSON {
		return writeJSON(e.stdout, &info)
	}
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "dataset\t%s\n", name)
	fmt.Fprintf(w, "date\t%s\n", day(info.Date))
	fmt.Fprintf(w, "size\t%s (%d bytes)\n", mib(info.Size), info.Size)
	fmt.Fprintf(w, "content sha-256\t%s\n", info.Hash)
	fmt.Fprintf(w, "licence\t%s\n", info.Licence)
	fmt.Fprintf(w, "ranges\t%d IPv4, %d IPv6, %d distinct answers\n", info.Counts.Ranges4, info.Counts.Ranges6, info.Counts.Answers)
	fmt.Fprintf(w, "networks\t%d autonomous systems, %d locations\n", info.Counts.ASNs, info.Counts.Locations)
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "\n")
	w = tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "known\tIPv4 addresses\tIPv6 /48s\t\n")
	for _, what := range coverageNames(&info.Counts) {
		fmt.Fprintf(w, "%s\t%d\t%d\t\n", what, info.Counts.Coverage4[what], info.Counts.Coverage6[what])
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "\n")
	w = tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "feed\tdate\trows\tskipped\tlicence\n")
	for _, f := range info.Feeds {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\n", f.Name, day(f.Date), f.Rows, f.Skipped, f.Licence)
	}
	return w.Flush()
}

func coverageNames(c *dataset.Counts) []string {
	all := maps.Clone(c.Coverage4)
	if all == nil {
		all = map[string]uint64{}
	}
	maps.Copy(all, c.Coverage6)
	return slices.Sorted(maps.Keys(all))
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

type diffCmd struct {
	Old  string `arg:"" help:"The dataset before."`
	New  string `arg:"" help:"The dataset after."`
	JSON bool   `help:"As one JSON object."`
}

// Run compares two datasets.
func (c *diffCmd) Run(e *env) error {
	from, err := dataset.Open(c.Old)
	if err != nil {
		return err
	}
	to, err := dataset.Open(c.New)
	if err != nil {
		return err
	}
	d := dataset.Diff(from, to)
	if c.JSON {
		return writeJSON(e.stdout, &d)
	}
	writeDiff(e.stdout, &d)
	return nil
}

// writeDiff says what moved, by trait, by country and by share.
func writeDiff(w io.Writer, d *dataset.DiffReport) {
	fmt.Fprintf(w, "from data of %s to data of %s\n", day(d.From.Date), day(d.To.Date))
	writeFamilyDiff(w, "IPv4", "addresses", &d.IPv4)
	writeFamilyDiff(w, "IPv6", "/48s", &d.IPv6)
}

// topCountries is how many countries are named, those that moved most first.
const topCountries = 10

func writeFamilyDiff(w io.Writer, name, unit string, d *dataset.FamilyDiff) {
	if len(d.Changed) == 0 {
		fmt.Fprintf(w, "%s: nothing moved\n", name)
		return
	}
	fmt.Fprintf(w, "%s, of %d known %s:\n", name, d.Known, unit)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, what := range slices.Sorted(maps.Keys(d.Changed)) {
		m := d.Changed[what]
		line := fmt.Sprintf("  %s\t%d %s\t%.3f %%", what, m.Addresses, unit, m.Share*100)
		if t, ok := d.Traits[what]; ok {
			line += fmt.Sprintf("\t%d before, +%d, -%d, %d after", t.Before, t.Gained, t.Lost, t.After)
		}
		fmt.Fprintln(tw, line)
	}
	tw.Flush()
	moved := func(cc string) uint64 { return d.Country[cc].Gained + d.Country[cc].Lost }
	countries := slices.SortedFunc(maps.Keys(d.Country), func(a, b string) int {
		if moved(a) != moved(b) {
			if moved(a) > moved(b) {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	var parts []string
	for _, cc := range countries[:min(len(countries), topCountries)] {
		c := d.Country[cc]
		if c.Gained+c.Lost == 0 {
			break
		}
		if cc == "" {
			cc = "unknown"
		}
		parts = append(parts, fmt.Sprintf("%s +%d -%d", cc, c.Gained, c.Lost))
	}
	if len(parts) > 0 {
		fmt.Fprintf(w, "  countries: %s\n", strings.Join(parts, ", "))
	}
	for _, s := range d.Samples {
		fmt.Fprintf(w, "  %s %s: %s -> %s\n", s.Network, s.What, orUnknown(s.Before), orUnknown(s.After))
	}
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

type feedsCmd struct {
	JSON bool `help:"One JSON object a line."`
	catalogueFlag
}

// Run lists the catalogue.
func (c *feedsCmd) Run(e *env) error {
	cat, err := c.load()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	if !c.JSON {
		fmt.Fprintf(w, "feed\tformat\tlicence\tembedded\tfile\n")
	}
	for _, s := range cat.Feeds {
		if c.JSON {
			if err := writeJSON(e.stdout, feedLine{
				Name: s.Name, Title: s.Title, Format: s.Format, Files: files(s.Files), Homepage: s.Homepage,
				Licence: s.Licence, Attribution: s.Attribution, Embed: s.Embed, Manual: s.Manual,
				Refresh: s.Refresh.String(), Trust: s.Asserts.Trust, Traits: s.Asserts.Traits, Fields: s.Asserts.Fields,
			}); err != nil {
				return err
			}
			continue
		}
		embedded := "no"
		if s.Embed {
			embedded = "yes"
		}
		paths := make([]string, len(s.Files))
		for i, f := range s.Files {
			paths[i] = f.Path
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", s.Name, s.Format, s.Licence, embedded, strings.Join(paths, " "))
	}
	return w.Flush()
}

// feedLine is a feed of the catalogue as JSON.
type feedLine struct {
	Name        string     `json:"name"`
	Title       string     `json:"title,omitempty"`
	Format      string     `json:"format"`
	Files       []feedFile `json:"files"`
	Homepage    string     `json:"homepage,omitempty"`
	Licence     string     `json:"licence"`
	Attribution string     `json:"attribution,omitempty"`
	Embed       bool       `json:"embed"`
	Manual      bool       `json:"manual"`
	Refresh     string     `json:"refresh"`
	Trust       int        `json:"trust"`
	Traits      []string   `json:"traits,omitempty"`
	Fields      []string   `json:"fields,omitempty"`
}

type feedFile struct {
	Path string `json:"path"`
	URL  string `json:"url,omitempty"`
}

func files(fs []feed.SpecFile) []feedFile {
	out := make([]feedFile, len(fs))
	for i, f := range fs {
		out[i] = feedFile(f)
	}
	return out
}
