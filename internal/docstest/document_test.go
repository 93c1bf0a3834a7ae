package docstest

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// root is the top of the repository.
const root = "../.."

// document is a Markdown file, line by line.
type document struct {
	path  string // below root
	lines []string
}

// documents reads every Markdown file of the repository but test data.
func documents(t *testing.T) []*document {
	t.Helper()
	var docs []*document
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin" || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".md" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		docs = append(docs, &document{filepath.ToSlash(name), strings.Split(string(text), "\n")})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(docs) < 10 {
		t.Fatalf("found %d documents below %s; there are more", len(docs), root)
	}
	return docs
}

// block is a code block: its lines without their indentation.
type block struct {
	first int    // index of its first line in the document
	info  string // of a fenced block
	lines []string
}

const indent = "    "

// blocks returns the code blocks, fenced or indented after an empty line, and
// the text between them, which has as many lines as the document.
func (d *document) blocks() (code []block, prose []string) {
	prose = make([]string, len(d.lines))
	for i := 0; i < len(d.lines); i++ {
		line := d.lines[i]
		switch {
		case strings.HasPrefix(line, "```"):
			b := block{first: i + 1, info: strings.TrimPrefix(line, "```")}
			for i++; i < len(d.lines) && d.lines[i] != "```"; i++ {
				b.lines = append(b.lines, d.lines[i])
			}
			code = append(code, b)
		case strings.HasPrefix(line, indent) && (i == 0 || d.lines[i-1] == ""):
			b := block{first: i}
			for ; i < len(d.lines) && (d.lines[i] == "" || strings.HasPrefix(d.lines[i], indent)); i++ {
				b.lines = append(b.lines, strings.TrimPrefix(d.lines[i], indent))
			}
			for i--; len(b.lines) > 0 && b.lines[len(b.lines)-1] == ""; {
				b.lines = b.lines[:len(b.lines)-1]
			}
			code = append(code, b)
		default:
			prose[i] = line
		}
	}
	return code, prose
}
