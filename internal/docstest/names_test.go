package docstest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	testPattern = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w*`)
	funcPattern = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Z]\w*)\(`)
	pathPattern = regexp.MustCompile(`^(?:clientip|cmd|dataset|dnsbl|docs|embedded|feed|gate|integrations|internal|examples|ipwardentest|mmdb|policy|risk|scripts|source)/[\w./*-]+$`)
)

// TestNamesExist finds every test and every file of the repository that a
// document names in a code span.
func TestNamesExist(t *testing.T) {
	tests := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		text, err := os.ReadFile(path)
		for _, m := range funcPattern.FindAllSubmatch(text, -1) {
			tests[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, d := range documents(t) {
		_, prose := d.blocks()
		for i, line := range prose {
			for _, span := range codePattern.FindAllString(line, -1) {
				span = strings.Trim(span, "`")
				for _, name := range testPattern.FindAllString(span, -1) {
					named++
					if !tests[name] {
						t.Errorf("%s:%d: there is no %s", d.path, i+1, name)
					}
				}
				if !pathPattern.MatchString(span) || strings.Contains(span, "FORMAT") {
					continue
				}
				// "dataset.Open" and "risk/scores" are no files; what has an extension is.
				if filepath.Ext(span) == "" {
					continue
				}
				named++
				if found, err := filepath.Glob(filepath.Join(root, span)); err != nil || len(found) == 0 {
					t.Errorf("%s:%d: there is no file %s", d.path, i+1, span)
				}
			}
		}
	}
	if named < 30 {
		t.Errorf("found %d names only", named)
	}
}
