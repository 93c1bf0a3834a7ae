// Package catalogue is the list of feeds that ipwarden knows: for each, where
// it is really published, how to read it, what its rows mean, how far it is
// trusted, and under which licence. The list is one YAML file, embedded, and
// an operator's own file replaces, adds or removes entries:
//
//	c, err := catalogue.Default()
//	own, err := catalogue.Load(file, "feeds.yaml")
//	c = c.Merge(own)
//
// A mistake is reported with its line and column, and all of them at once.
// The package reads text; what fetches and builds is elsewhere.
package catalogue

import (
	"bytes"
	_ "embed"
	"io"
	"slices"

	"github.com/ipwarden/ipwarden/feed"
	"github.com/ipwarden/ipwarden/internal/yamldoc"
)

//go:embed catalogue.yaml
var embedded []byte

// A Catalogue is a checked list of feeds, in the order of its file. It is
// read-only once loaded, and then safe for concurrent use.
type Catalogue struct {
	Feeds []feed.Spec
	// Removed are the names that the file disables.
	Removed []string

	file  string
	where map[string]position // of the format of each feed
}

// Default returns the embedded catalogue.
func Default() (*Catalogue, error) { return Load(bytes.NewReader(embedded), "catalogue.yaml") }

// Load reads a catalogue. name is the file's, for the messages. The error is
// [Mistakes] when the file is not right: an unknown key, a value of another
// type, an entry that makes no sense.
func Load(r io.Reader, name string) (*Catalogue, error) {
	doc, body := yamldoc.Parse(r, name, maxFile)
	d := &decoder{Document: doc, where: map[string]position{}}
	c := &Catalogue{file: name, where: d.where}
	d.top(body, c)
	if err := d.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

// Find returns the feed called name.
func (c *Catalogue) Find(name string) (feed.Spec, bool) {
	for i := range c.Feeds {
		if c.Feeds[i].Name == name {
			return c.Feeds[i], true
		}
	}
	return feed.Spec{}, false
}

// Merge returns c with an override on top: an entry replaces the one of its
// name as a whole, or is added at the end; a disabled one goes. c and over
// stay as they are.
func (c *Catalogue) Merge(over *Catalogue) *Catalogue {
	out := &Catalogue{Feeds: slices.Clone(c.Feeds), Removed: slices.Clone(c.Removed), file: over.file, where: over.where}
	for _, name := range over.Removed {
		out.Feeds = slices.DeleteFunc(out.Feeds, func(s feed.Spec) bool { return s.Name == name })
		if !slices.Contains(out.Removed, name) {
			out.Removed = append(out.Removed, name)
		}
	}
	for _, s := range over.Feeds {
		out.Removed = slices.DeleteFunc(out.Removed, func(name string) bool { return name == s.Name })
		if i := slices.IndexFunc(out.Feeds, func(old feed.Spec) bool { return old.Name == s.Name }); i >= 0 {
			out.Feeds[i] = s
		} else {
			out.Feeds = append(out.Feeds, s)
		}
	}
	return out
}

// CheckFormats reports the entries whose format known does not know, as
// [Mistakes]. The formats are those of [feed.Formats] and of package mmdb,
// which this package does not import.
func (c *Catalogue) CheckFormats(known func(format string) bool) error {
	d := &decoder{Document: yamldoc.New(c.file)}
	for i := range c.Feeds {
		s := &c.Feeds[i]
		if !known(s.Format) {
			d.add(c.where[s.Name], "feed "+s.Name+": there is no format \""+clip(s.Format)+"\"")
		}
	}
	return d.Err()
}
