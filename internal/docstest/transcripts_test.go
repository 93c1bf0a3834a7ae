package docstest

import (
	"errors"
	"flag"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the program's output into the documents")

// transcript is a command and what a document says it prints.
type transcript struct {
	line    int // index of the command's line
	command string
	from    int // index of the first line of output
	want    []string
	fenced  bool
}

func (d *document) transcripts() (all []transcript) {
	code, _ := d.blocks()
	for _, b := range code {
		var cur *transcript
		for i, line := range b.lines {
			switch {
			case cur != nil && strings.HasSuffix(cur.command, `\`):
				cur.command = strings.TrimSuffix(cur.command, `\`) + strings.TrimSpace(line)
				cur.from = b.first + i + 1
			case strings.HasPrefix(line, "$ "):
				all = append(all, transcript{line: b.first + i, command: line[2:], from: b.first + i + 1, fenced: b.first > 0 && strings.HasPrefix(d.lines[b.first-1], "```")})
				cur = &all[len(all)-1]
			case cur != nil:
				cur.want = append(cur.want, line)
			}
		}
	}
	for i := range all {
		for n := len(all[i].want); n > 0 && all[i].want[n-1] == ""; n-- {
			all[i].want = all[i].want[:n-1]
		}
	}
	return all
}

// files writes the files that a document shows.
func (d *document) files(t *testing.T, dir string) {
	t.Helper()
	code, _ := d.blocks()
	for _, b := range code {
		_, name, ok := strings.Cut(b.info, " ")
		if !ok {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.Join(b.lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTranscripts runs what the documents show.
func TestTranscripts(t *testing.T) {
	program := build(t)
	srv := startServer(t, program)
	ran := 0
	for _, d := range documents(t) {
		t.Run(d.path, func(t *testing.T) {
			dir := t.TempDir()
			d.files(t, dir)
			embedded, err := filepath.Abs(filepath.Join(root, "embedded"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(embedded, filepath.Join(dir, "embedded")); err != nil {
				t.Fatal(err)
			}
			changed := false
			for _, tr := range slices.Backward(d.transcripts()) { // so that -update moves no line it comes to later
				got, ok := run(t, program, dir, srv, tr.command)
				if !ok || len(tr.want) == 0 {
					continue
				}
				ran++
				if matches(tr.want, got) {
					continue
				}
				if *update && d.replace(&tr, got) {
					changed = true
					continue
				}
				t.Errorf("%s:%d: $ %s\nprints:\n%s\nand the document says:\n%s", d.path, tr.line+1, tr.command,
					strings.Join(clip(got), "\n"), strings.Join(tr.want, "\n"))
			}
			if changed {
				if err := os.WriteFile(filepath.Join(root, d.path), []byte(strings.Join(d.lines, "\n")), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	if ran < 20 {
		t.Errorf("ran %d commands only", ran)
	}
}

// reading are the commands that change nothing and take no time.
func reading(args []string) bool {
	for _, path := range [][]string{{"lookup"}, {"explain"}, {"data", "info"}, {"data", "verify"}, {"data", "feeds"}, {"data", "notice"}, {"policy", "check"}, {"policy", "test"}, {"policy", "explain"}} {
		if len(args) > len(path) && slices.Equal(args[:len(path)], path) || slices.Equal(args, path) {
			return true
		}
	}
	return false
}

// run runs a command of a document; false when it is not one for a test.
func run(t *testing.T, program, dir string, srv *server, line string) (output []string, ok bool) {
	t.Helper()
	if line == "make serve" {
		return split(srv.greeting), true
	}
	args, ok := words(line)
	if !ok || len(args) == 0 {
		return nil, false
	}
	switch args[0] {
	case "ipwarden":
		if !reading(args[1:]) {
			return nil, false
		}
		out, _ := command(program, dir, args[1:]...).CombinedOutput() // the status is not shown
		return split(string(out)), true
	case "python3": // where there is one
		out, err := command("python3", dir, args[1:]...).CombinedOutput()
		return split(string(out)), !errors.Is(err, exec.ErrNotFound)
	case "curl":
		if args = slices.DeleteFunc(args[1:], func(s string) bool { return s == "-s" }); len(args) != 1 || !strings.HasPrefix(args[0], documented) {
			return nil, false
		}
		return split(get(t, srv, args[0])), true
	}
	return nil, false
}

func get(t *testing.T, srv *server, url string) string {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, srv.url+strings.TrimPrefix(url, documented), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("User-Agent", "curl/8.0") // as the reader would
	req.Header.Set("Accept", "*/*")
	resp, err := (&http.Client{Timeout: time.Minute}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(body), srv.url, documented)
}

func split(s string) []string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return lines
}

// words splits a line as a shell would, as far as quotes go; false when it
// needs a shell.
func words(line string) (args []string, ok bool) {
	var cur strings.Builder
	quote, inside := rune(0), false
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			cur.WriteRune(r)
		case r == '\'' || r == '"':
			quote, inside = r, true
		case strings.ContainsRune("|<>;&$`()*", r):
			return nil, false
		case r == ' ':
			if inside {
				args = append(args, cur.String())
			}
			cur.Reset()
			inside = false
		default:
			cur.WriteRune(r)
			inside = true
		}
	}
	if inside {
		args = append(args, cur.String())
	}
	return args, quote == 0
}

const ellipsis = "…"

// clip bounds what a failure shows.
func clip(lines []string) []string {
	if most := 40; len(lines) > most {
		return append(slices.Clone(lines[:most]), ellipsis)
	}
	return lines
}

// matches compares output with what a document says.
func matches(want, got []string) bool {
	if len(want) == 0 {
		return len(got) == 0
	}
	if strings.TrimSpace(want[0]) == ellipsis {
		for i := 0; i <= len(got); i++ {
			if matches(want[1:], got[i:]) {
				return true
			}
		}
		return false
	}
	return len(got) > 0 && likeLine(strings.TrimRight(want[0], " "), got[0]) && matches(want[1:], got[1:])
}

// likeLine compares one line.
func likeLine(want, got string) bool {
	parts := strings.Split(want, ellipsis)
	if len(parts) == 1 || strings.Contains(got, ellipsis) {
		return want == got
	}
	if !strings.HasPrefix(got, parts[0]) {
		return false
	}
	got = got[len(parts[0]):]
	last := len(parts) - 1
	for _, p := range parts[1:last] {
		i := strings.Index(got, p)
		if i < 0 {
			return false
		}
		got = got[i+len(p):]
	}
	return strings.HasSuffix(got, parts[last])
}

// replace writes output into the document; false where only a person can.
func (d *document) replace(tr *transcript, got []string) bool {
	keep := tr.want
	if n := len(keep); strings.TrimSpace(keep[n-1]) == ellipsis {
		if keep = keep[:n-1]; len(got) < len(keep) {
			return false
		}
		got = append(slices.Clone(got[:len(keep)]), tr.want[n-1])
	}
	if strings.Contains(strings.Join(keep, "\n"), ellipsis) {
		return false
	}
	lines := slices.Clone(got)
	for i := range lines {
		if !tr.fenced && lines[i] != "" {
			lines[i] = indent + lines[i]
		}
	}
	d.lines = slices.Replace(d.lines, tr.from, tr.from+len(tr.want), lines...)
	return true
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		want, got string
		same      bool
	}{
		{"a\nb", "a\nb", true},
		{"a\nb", "a\nc", false},
		{"a\nb", "a", false},
		{"a", "a\nb", false},
		{"a\n…", "a\nb\nc", true},
		{"a\n  …\nc", "a\nb\nb\nc", true},
		{"a\n…\nc", "a\nb", false},
		{"from … to ….", "from here to there.", true},
		{"from … to …", "from here", false},
	} {
		if got := matches(strings.Split(c.want, "\n"), strings.Split(c.got, "\n")); got != c.same {
			t.Errorf("%q and %q: got %v", c.want, c.got, got)
		}
	}
}
