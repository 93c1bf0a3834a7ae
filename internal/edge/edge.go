// Package edge makes of a policy and a dataset what an edge platform runs: the engine in
// WebAssembly, the policy as bytes, as much of the dataset as the policy reads, and the
// files round them.
//
//	built, err := edge.Build(edge.Config{Policy: p, Name: "policy.yaml", Dataset: ds, Platform: "cloudflare"})
//
// The same inputs give the same bytes. It refuses, all mistakes at once, a policy that
// asks for what is not known there, and a project that is larger than its platform takes.
package edge

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/dataset"
	"github.com/ipwarden/ipwarden/gate/crawler"
	"github.com/ipwarden/ipwarden/internal/edge/assets"
	"github.com/ipwarden/ipwarden/internal/edge/compact"
	"github.com/ipwarden/ipwarden/internal/edge/pack"
	"github.com/ipwarden/ipwarden/policy"
	"github.com/ipwarden/ipwarden/policy/compile"
	"github.com/ipwarden/ipwarden/risk"
)

// Config says what to build.
type Config struct {
	Policy *compile.Policy
	// Name of the policy's file, for messages.
	Name    string
	Dataset *dataset.Dataset
	// Platform is one of Platforms, and Plan one of its plans; "" is its default.
	Platform, Plan string
	// Worker is the name of the Worker. Default "ipwarden".
	Worker string
	// Remote: what the policy lets in is asked about at a gate.
	Remote bool
	// KV puts the dataset into the key-value store though it would fit beside the engine.
	KV bool
	// KVNamespace is the id of the store; "" leaves a place for it.
	KVNamespace string
	// Tell names what the application is told of an address though the policy does not
	// read it: country, asn, traits, risk.
	Tell []string
	// Manifest is the kv.json of the build before; nil: there is none. Its version stays
	// readable until the next.
	Manifest []byte
	// Notice is the licence of the data, which goes with it.
	Notice string
}

// A File of a project.
type File struct {
	Name string
	Data []byte
}

// Built is a project.
type Built struct {
	Files []File
	// Notes say what the edge does otherwise than the gate.
	Notes []string
	Sizes Sizes
	Date  time.Time // of the data
}

// Sizes of a project, in bytes.
type Sizes struct {
	Engine, Program, Dataset int
	Ranges, Answers          int
	Script                   int // what the platform loads, gzipped
	Limit                    int // of that
	KV                       bool
}

// Parts is what a policy and a dataset become for the engine.
type Parts struct {
	Program, Dataset []byte
	Needs            compact.Needs
	Told             pack.Told
	Ranges, Answers  int
}

// tells are the words of Config.Tell.
var tells = []string{"country", "asn", "traits", "risk"}

// Compile makes the two parts that the engine loads. The error joins every reason why a
// policy cannot be decided at the edge.
func Compile(cfg *Config) (*Parts, error) {
	c := cfg.Policy.Program.Config()
	if err := refuse(cfg, c); err != nil {
		return nil, err
	}
	needs := compact.NeedsOf(c)
	var errs []error
	for _, t := range cfg.Tell {
		switch t {
		case "country":
			needs.Keep(ipwarden.FieldCountryCode)
		case "asn":
			needs.Keep(ipwarden.FieldASNumber)
		case "traits":
			needs.Traits = ipwarden.AllTraits
		case "risk":
			needs.KeepScore()
		default:
			errs = append(errs, fmt.Errorf("%q is nothing that the application can be told; give some of %v", t, tells))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	p := &pack.Program{Policy: c, Risk: weights(cfg.Policy.Risk), Crawlers: crawlers(cfg.Dataset), Together: crawler.SentTogether(), Told: told(needs)}
	parts := &Parts{Needs: needs, Told: p.Told}
	var err error
	if parts.Program, err = pack.Encode(p); err != nil {
		return nil, err
	}
	if parts.Dataset, err = compact.Encode(cfg.Dataset, needs); err != nil {
		return nil, err
	}
	data, err := compact.Open(parts.Dataset)
	if err != nil {
		return nil, err // its own bytes
	}
	parts.Ranges, parts.Answers = data.Ranges(), data.Answers()
	return parts, nil
}

// told is what of an address is whole.
func told(n compact.Needs) (t pack.Told) {
	if n.Fields.Has(ipwarden.FieldCountryCode) {
		t |= pack.TellCountry
	}
	if n.Fields.Has(ipwarden.FieldASNumber) {
		t |= pack.TellASN
	}
	if n.Traits == ipwarden.AllTraits {
		t |= pack.TellTraits
	}
	if n.Score {
		t |= pack.TellRisk
	}
	return t
}

func weights(m *risk.Model) risk.Config {
	c := risk.Config{Points: map[risk.Signal]int{}, HalfLives: map[risk.Signal]time.Duration{}, Floor: m.Floor()}
	for _, s := range risk.Signals() {
		c.Points[s], c.HalfLives[s] = m.Points(s), m.HalfLife(s)
	}
	return c
}

// crawlers are those that a user agent may name. The edge asks no DNS: who could only be
// proven by a name stays pending.
func crawlers(ds *dataset.Dataset) []pack.Crawler {
	feeds := ds.Info().Feeds
	var all []pack.Crawler
	for _, c := range crawler.Table() {
		p := pack.Crawler{Name: c.Name, Purpose: c.Purpose, State: policy.Pending}
		for _, t := range c.Tokens {
			p.Tokens = append(p.Tokens, lower(t))
		}
		if len(c.Hosts) == 0 {
			p.State = policy.NotCrawler // nothing tells a true one
			if c.Feed != "" && slices.ContainsFunc(feeds, func(f dataset.FeedInfo) bool { return f.Name == c.Feed }) {
				p.State = policy.Failed // else its address were in the data
			}
		}
		all = append(all, p)
	}
	return all
}

func lower(s string) string { return string(bytes.ToLower([]byte(s))) }

// zipped is how many bytes gzip leaves of some.
func zipped(parts ...[]byte) int {
	n := 0
	for _, p := range parts {
		var b bytes.Buffer
		w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // fails for no level that there is
		_, _ = w.Write(p)
		_ = w.Close()
		n += b.Len()
	}
	return n
}

// Engine is engine.wasm.
func Engine() ([]byte, error) { return assets.Engine() }
