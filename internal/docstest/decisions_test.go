package docstest

import (
	"path/filepath"
	"strings"
	"testing"
)

// A decision is named by its number, so no two have the same.
func TestDecisionsHaveANumberEach(t *testing.T) {
	files, err := filepath.Glob("../../docs/decisions/[0-9]*.md")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	seen := map[string]string{}
	for _, file := range files {
		name := filepath.Base(file)
		number, _, _ := strings.Cut(name, "-")
		if other := seen[number]; other != "" {
			t.Errorf("%s and %s have one number", other, name)
		}
		seen[number] = name
	}
}
