package docstest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var (
	linkPattern = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	codePattern = regexp.MustCompile("`[^`]*`")
)

// TestLinks follows every relative link, to the heading where it names one.
func TestLinks(t *testing.T) {
	docs := map[string]*document{}
	for _, d := range documents(t) {
		docs[d.path] = d
	}
	followed := 0
	for _, d := range docs {
		_, prose := d.blocks()
		for i, line := range prose {
			for _, m := range linkPattern.FindAllStringSubmatch(codePattern.ReplaceAllString(line, ""), -1) {
				if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
					continue
				}
				followed++
				file, heading, _ := strings.Cut(m[1], "#")
				target := d.path
				if file != "" {
					target = filepath.ToSlash(filepath.Join(filepath.Dir(d.path), file))
				}
				if _, err := os.Stat(filepath.Join(root, target)); err != nil {
					t.Errorf("%s:%d: the link to %s leads nowhere", d.path, i+1, m[1])
				} else if heading != "" && (docs[target] == nil || !docs[target].hasHeading(heading)) {
					t.Errorf("%s:%d: %s has no heading #%s", d.path, i+1, target, heading)
				}
			}
		}
	}
	if followed < 20 {
		t.Errorf("followed %d links only", followed)
	}
}

func (d *document) hasHeading(anchor string) bool {
	_, prose := d.blocks()
	for _, line := range prose {
		if text := strings.TrimLeft(line, "#"); text != line && anchorOf(text) == anchor {
			return true
		}
	}
	return false
}

// anchorOf is the anchor that the usual renderers give a heading.
func anchorOf(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
			return unicode.ToLower(r)
		case r == ' ':
			return '-'
		}
		return -1
	}, strings.TrimSpace(heading))
}

func TestAnchorOf(t *testing.T) {
	for heading, want := range map[string]string{
		" What it does": "what-it-does", " The file, byte by byte": "the-file-byte-by-byte", " `data notice` & more": "data-notice--more",
	} {
		if got := anchorOf(heading); got != want {
			t.Errorf("%q: got %q, want %q", heading, got, want)
		}
	}
}
