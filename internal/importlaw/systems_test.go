package importlaw

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestOtherSystems checks that the command is whole on systems that nobody here runs. It
// reads the types of all that is linked there, and not the code of others, which takes
// seconds where compiling it takes minutes.
func TestOtherSystems(t *testing.T) {
	if raced {
		t.Skip("it has no goroutines, and takes minutes with the race detector; scripts/test runs it without")
	}
	for _, system := range []struct{ os, arch string }{{"windows", "amd64"}, {"darwin", "arm64"}} {
		t.Run(system.os, func(t *testing.T) {
			for _, mistake := range typeCheck(t, system.os, system.arch, "./cmd/ipwarden") {
				t.Error(mistake)
			}
		})
	}
}

// onSystem is what go list says of a package there.
type onSystem struct {
	ImportPath, Dir string
	GoFiles         []string
	ImportMap       map[string]string
	Standard        bool
	Module          *struct{ Main bool }
	Error           *struct{ Err string }
}

// typeCheck returns the mistakes of this module's packages that name imports.
func typeCheck(t *testing.T, system, arch, name string) (mistakes []error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-e", "-json=ImportPath,Dir,GoFiles,ImportMap,Standard,Module,Error", name)
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "GOOS="+system, "GOARCH="+arch, "CGO_ENABLED=0", "GOFLAGS=")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, said.String())
	}
	known := map[string]*types.Package{"unsafe": types.Unsafe}
	files := token.NewFileSet()
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p onSystem
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return mistakes
		} else if err != nil {
			t.Fatal(err)
		}
		if p.ImportPath == "unsafe" {
			continue
		}
		own := p.Module != nil && p.Module.Main
		if p.Error != nil {
			mistakes = append(mistakes, errors.New(p.ImportPath+": "+p.Error.Err))
		}
		var parsed []*ast.File
		for _, f := range p.GoFiles {
			tree, err := parser.ParseFile(files, filepath.Join(p.Dir, f), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			parsed = append(parsed, tree)
		}
		c := types.Config{
			IgnoreFuncBodies: !own,
			Sizes:            types.SizesFor("gc", arch),
			Importer:         imports{known, p.ImportMap},
			Error: func(err error) {
				if own {
					mistakes = append(mistakes, err)
				}
			},
		}
		known[p.ImportPath], _ = c.Check(p.ImportPath, files, parsed, nil) // Error has what is wrong
	}
}

// imports finds packages among those that were checked before.
type imports struct {
	known  map[string]*types.Package
	mapped map[string]string // of those that the standard library has of others
}

func (i imports) Import(path string) (*types.Package, error) {
	if to := i.mapped[path]; to != "" {
		path = to
	}
	if p := i.known[path]; p != nil {
		return p, nil
	}
	return nil, errors.New("there is no package " + strings.TrimSpace(path) + " on this system")
}
