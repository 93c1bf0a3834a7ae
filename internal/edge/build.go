package edge

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/ipwarden/ipwarden/internal/edge/assets"
	"github.com/ipwarden/ipwarden/internal/edge/compact"
)

// Build makes a project.
func Build(cfg Config) (*Built, error) {
	platform, plan, err := platformNamed(cfg.Platform, cfg.Plan)
	if err != nil {
		return nil, err
	}
	if cfg.KV && !platform.store {
		return nil, fmt.Errorf("%s has no key-value store that the dataset could be in", platform.Name)
	}
	if cfg.Worker == "" {
		cfg.Worker = "ipwarden"
	}
	parts, err := Compile(&cfg)
	if err != nil {
		return nil, err
	}
	engine, err := assets.Engine()
	if err != nil {
		return nil, fmt.Errorf("the engine of this program: %w", err)
	}
	bundle := assets.Bundle(cfg.Remote)
	c := cfg.Policy.Program.Config()
	b := &Built{Notes: notes(&cfg, c), Date: cfg.Dataset.Date()}
	g := &project{cfg: &cfg, c: c, parts: parts}
	b.Sizes = Sizes{Engine: len(engine), Program: len(parts.Program), Dataset: len(parts.Dataset), Ranges: parts.Ranges, Answers: parts.Answers, Limit: plan.Limit}
	script, data := zipped(engine, bundle, parts.Program)+16<<10, zipped(parts.Dataset)
	if platform.Name == "vercel" {
		data = zipped(g.data()) // where it is text, which is larger
	}
	if b.Sizes.KV = cfg.KV || platform.store && script+data > plan.Limit; !b.Sizes.KV {
		script += data
	}
	if b.Sizes.Script = script; plan.Limit > 0 && script > plan.Limit {
		return nil, tooLarge(&cfg, platform, plan, &b.Sizes, data)
	}
	g.kv = b.Sizes.KV
	b.Files = append(b.Files, File{"engine.wasm", engine}, File{"ipwarden.js", bundle}, File{"program.bin", parts.Program})
	if b.Sizes.KV {
		store, err := kvFile(parts.Dataset, needsName(parts.Needs), cfg.Manifest)
		if err != nil {
			return nil, err
		}
		b.Files = append(b.Files, File{"kv.json", store})
	} else {
		b.Files = append(b.Files, File{"dataset.bin", parts.Dataset})
	}
	b.Files = append(b.Files, g.files(platform.Name)...)
	b.Files = append(b.Files, File{"README.md", g.readme(platform.Name, b)})
	if cfg.Notice != "" {
		b.Files = append(b.Files, File{"DATA-LICENSE.txt", []byte(cfg.Notice)})
	}
	return b, nil
}

func tooLarge(cfg *Config, platform Platform, plan Plan, s *Sizes, data int) error {
	larger := ""
	for _, p := range platform.Plans {
		if p.Limit > s.Script && larger == "" {
			larger = fmt.Sprintf("; the plan %s takes %s", p.Name, size(p.Limit))
		}
	}
	if larger == "" {
		larger = "; no plan takes that"
	}
	if s.KV {
		return fmt.Errorf("%s: the Worker has %s gzipped, and %s (plan %s) takes %s%s", cfg.Name, size(s.Script), platform.Name, plan.Name, size(plan.Limit), larger)
	}
	advice := "a policy without thresholds and challenges reads much less of the dataset"
	if s.Script-data > plan.Limit {
		advice = "without any dataset it has " + size(s.Script-data) + ", so no policy fits there; ask a gate from that platform instead, with @ipwarden/edge and a Remote (docs/edge-platforms.md)"
	}
	return fmt.Errorf("%s: the project has %s gzipped, %s of it the dataset of %d ranges, and %s (plan %s) takes %s%s; %s",
		cfg.Name, size(s.Script), size(data), s.Ranges, platform.Name, plan.Name, size(plan.Limit), larger, advice)
}

func size(n int) string {
	switch {
	case n >= mb:
		return fmt.Sprintf("%.2f MB", float64(n)/mb)
	case n >= 10_000:
		return fmt.Sprintf("%d kB", n/1000)
	}
	return fmt.Sprintf("%d bytes", n)
}

// What is in the store: see integrations/edge/src/kv.ts, which reads it.
type (
	entry struct {
		Key    string `json:"key"`
		Value  string `json:"value"`
		Base64 bool   `json:"base64,omitempty"`
	}
	manifest struct {
		Format   int       `json:"format"`
		Versions []version `json:"versions"`
	}
	version struct {
		Version string  `json:"version"`
		Needs   string  `json:"needs"` // what of the addresses it has
		Size    int     `json:"size"`
		Chunks  []chunk `json:"chunks"`
	}
	chunk struct {
		Key    string `json:"key"`
		Size   int    `json:"size"`
		SHA256 string `json:"sha256"`
	}
)

const manifestKey = "ipwarden/manifest"

// needsName tells datasets apart that have other things of addresses: a Worker takes none
// from the store that was made for another policy's questions.
func needsName(n compact.Needs) string {
	h := sha256.New()
	fmt.Fprintf(h, "%d %d %t", compact.Version, n.Traits, n.Score)
	for f := range n.Fields.All() {
		fmt.Fprintf(h, " %d", f)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// kvFile is what `wrangler kv bulk put` takes: the chunks, named for what they hold, and
// after them the manifest, with the version before this one.
func kvFile(data []byte, needs string, before []byte) ([]byte, error) {
	sum := sha256.Sum256(data)
	v := version{Version: hex.EncodeToString(sum[:16]), Needs: needs, Size: len(data)}
	var entries []entry
	for i := 0; len(data) > 0; i++ {
		part := data[:min(len(data), chunkSize)]
		data = data[len(part):]
		s := sha256.Sum256(part)
		key := fmt.Sprintf("ipwarden/%s/%d", v.Version, i)
		entries = append(entries, entry{Key: key, Value: base64.StdEncoding.EncodeToString(part), Base64: true})
		v.Chunks = append(v.Chunks, chunk{key, len(part), hex.EncodeToString(s[:])})
	}
	m := manifest{Format: 1, Versions: []version{v}}
	for _, old := range versionsOf(before) {
		if old.Version != v.Version && len(m.Versions) < 2 {
			m.Versions = append(m.Versions, old)
		}
	}
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return json.MarshalIndent(append(entries, entry{Key: manifestKey, Value: string(text)}), "", " ")
}

// versionsOf reads the manifest of a kv.json; none where it is none.
func versionsOf(file []byte) []version {
	var entries []entry
	if json.Unmarshal(file, &entries) != nil {
		return nil
	}
	for _, e := range entries {
		var m manifest
		if e.Key == manifestKey && json.Unmarshal([]byte(e.Value), &m) == nil && m.Format == 1 {
			return m.Versions
		}
	}
	return nil
}

// quoted is a text as JavaScript and TOML write it.
func quoted(s string) string {
	b, _ := json.Marshal(s) // a text is always JSON
	return strings.NewReplacer("\u2028", `\u2028`, "\u2029", `\u2029`).Replace(string(b))
}
