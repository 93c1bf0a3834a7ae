package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden/internal/edge"
)

// What a person has written is not lost to a build.
func TestBuildKeepsWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ours := "// Written by 'ipwarden edge build'.\n"
	files := []edge.File{{Name: "worker.js", Data: []byte(ours + "2")}, {Name: "wrangler.toml", Data: []byte("# Written by 'ipwarden edge build'.\n2")}, {Name: "program.bin", Data: []byte("2")}}
	names := func() string {
		all, kept, err := besides(dir, files)
		if err != nil {
			return err.Error()
		}
		var names []string
		for _, f := range all {
			names = append(names, f.Name)
		}
		if kept {
			names = append(names, "kept")
		}
		return strings.Join(names, " ")
	}
	if got := names(); got != "worker.js wrangler.toml program.bin" {
		t.Errorf("into an empty folder: %s", got)
	}
	write("worker.js", ours+"1")
	write("program.bin", "1")
	write("wrangler.toml", "# Written by 'ipwarden edge build'.\n2")
	if got := names(); got != "worker.js wrangler.toml program.bin" {
		t.Errorf("over a build: %s", got)
	}
	write("wrangler.toml", "routes = []")
	if got := names(); got != "worker.js wrangler.new.toml program.bin kept" {
		t.Errorf("over routes of the site: %s", got)
	}
	write("worker.js", "export default {}")
	if got := names(); !strings.Contains(got, "worker.js was not written by") {
		t.Errorf("over another's Worker: %s", got)
	}
}

// What a build before has written and this one has not goes; what another has written stays.
func TestBuildRemovesWhatIsStale(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"dataset.bin": "IPWE\x01", "kv.json": `[{"key": "ipwarden/0/0"}]`, "worker.js": "// Written by 'ipwarden edge build'.\n", "gate.js": "export default 1", "README.md": "mine",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	gone, err := removeStale(dir, []edge.File{{Name: "kv.json"}})
	if err != nil || strings.Join(gone, " ") != "dataset.bin worker.js" {
		t.Errorf("%v %v", gone, err)
	}
	left, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(left) != 3 {
		t.Errorf("left are %v", left)
	}
}
