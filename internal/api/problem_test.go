package api

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every type of problem that the code has is described in docs/http-api.md, and
// no other.
func TestProblemsAreDocumented(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]bool{}
	for _, pattern := range []string{`slug: "([a-z-]+)"`, `&itemError\{"([a-z-]+)"`} {
		re := regexp.MustCompile(pattern)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range re.FindAllStringSubmatch(string(src), -1) {
				types[m[1]] = true
			}
		}
	}
	if len(types) < 20 {
		t.Fatalf("found only %d types of problems", len(types))
	}
	doc, err := os.ReadFile("../../docs/http-api.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(doc), "| `type`")
	table, _, _ = strings.Cut(table, "\n\n")
	described := map[string]bool{}
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			continue
		}
		for _, m := range regexp.MustCompile("`([a-z-]+)`").FindAllStringSubmatch(cells[1], -1) {
			described[m[1]] = true
		}
	}
	for name := range types {
		if !described[name] {
			t.Errorf("%s is not described", name)
		}
	}
	for name := range described {
		if !types[name] {
			t.Errorf("%s is described, and does not occur", name)
		}
	}
}
