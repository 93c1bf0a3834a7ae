package catalogue

import (
	"compress/gzip"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden/internal/yamldoc"
)

var update = flag.Bool("update", false, "write what the tests expect")

func openData(t *testing.T, path string) io.Reader {
	t.Helper()
	f, err := os.Open(path)
	if err == nil {
		t.Cleanup(func() { f.Close() })
		return f
	}
	if f, err = os.Open(path + ".gz"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestBad reads the broken catalogues of testdata/bad. FILE.want is everything
// that is said about each, in one go.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Load(strings.NewReader(string(body)), "own.yaml")
			if err == nil {
				t.Fatal("no mistake was found")
			}
			if *update {
				if err := os.WriteFile(file+".want", []byte(err.Error()+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, readErr := os.ReadFile(file + ".want")
			if readErr != nil {
				t.Fatal(readErr)
			}
			if got := err.Error() + "\n"; got != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
			var ms Mistakes
			if !errors.As(err, &ms) || len(ms) == 0 || ms[0].File != "own.yaml" {
				t.Errorf("the error is %T: %v", err, err)
			}
		})
	}
}

func TestBounds(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"large", strings.Repeat("# comment\n", maxFile/10+1), "own.yaml: is larger than 4 MiB"},
		{"deep", "feeds: " + strings.Repeat("[", 200) + strings.Repeat("]", 200), "own.yaml:1:108: nests more than 100 brackets"},
		{"not text", "feeds: \xff\xfe", "own.yaml: is not UTF-8 text"},
		{"many", "feeds:\n" + strings.Repeat("- {name: x}\n", maxFeeds+1), "own.yaml:2:1: more than 1000 feeds"},
	} {
		_, err := Load(strings.NewReader(tt.text), "own.yaml")
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: %.200v, want %s", tt.name, err, tt.want)
		}
	}
	_, err := Load(strings.NewReader("feeds:\n"+strings.Repeat("- {nam: x}\n", 200)), "own.yaml")
	var ms Mistakes
	if !errors.As(err, &ms) || len(ms) != yamldoc.MaxMistakes+1 {
		t.Errorf("%d mistakes are listed, want %d and a last word", len(ms), yamldoc.MaxMistakes)
	}
	broken := errors.New("the disk is gone")
	if _, err := Load(io.MultiReader(strings.NewReader("feeds:\n"), failing{broken}), "own.yaml"); err == nil || !strings.Contains(err.Error(), broken.Error()) {
		t.Errorf("a failing reader: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// FuzzLoad: whatever the bytes, either a catalogue that holds its rules or
// mistakes, and no panic.
func FuzzLoad(f *testing.F) {
	files, _ := filepath.Glob("testdata/bad/*.yaml")
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(body))
	}
	f.Add("feeds:\n- {name: one, title: One, homepage: 'https://example.com/', licence: MIT, format: netset, files: [{path: a, url: 'https://example.com/b'}], asserts: {traits: [vpn]}}\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<14 {
			t.Skip()
		}
		c, err := Load(strings.NewReader(text), "own.yaml")
		if err != nil {
			var ms Mistakes
			if c != nil || !errors.As(err, &ms) || len(ms) == 0 || len(ms) > yamldoc.MaxMistakes+1 {
				t.Fatalf("%v and %v", c, err)
			}
			return
		}
		names := map[string]bool{}
		for _, s := range c.Feeds {
			if names[s.Name] || !nameForm.MatchString(s.Name) || len(s.Files) == 0 || s.Refresh <= 0 || s.MaxSize <= 0 || s.MinRows <= 0 || !(s.MaxBad > 0) {
				t.Fatalf("%+v", s)
			}
			names[s.Name] = true
		}
	})
}
