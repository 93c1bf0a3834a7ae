package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// smallWorld builds the dataset of the scripts.
func smallWorld(t *testing.T) string {
	t.Helper()
	world := filepath.Join(t.TempDir(), "world.ipw")
	if s := run([]string{"data", "build", "--from", "testdata/feeds", "--catalogue", "testdata/catalogue.yaml", "-o", world}, &env{
		stdin: strings.NewReader(""), stdout: io.Discard, stderr: os.Stderr, getenv: func(string) string { return "" }, now: time.Now,
	}); s != exitOK {
		t.Fatal("the dataset could not be built")
	}
	return world
}

// manyRows is CSV in which every row differs, with bad rows among them.
func manyRows(n int) []byte {
	var b bytes.Buffer
	b.WriteString("n,ip,note\n")
	for i := range n {
		switch i % 10 {
		case 3:
			fmt.Fprintf(&b, "%d,8.8.8.8,\"two\nlines\"\n", i)
		case 5:
			fmt.Fprintf(&b, "%d,localhost,\n", i)
		case 7:
			fmt.Fprintf(&b, "%d,8.8.8.8,\"x\" y\n", i)
		default:
			fmt.Fprintf(&b, "%d,185.220.101.%d,\"a, b\"\n", i, i%250)
		}
	}
	return b.Bytes()
}

// A run that is killed again and again, at moments that nobody chose, and taken up
// each time, writes what one run writes: nothing is lost, and nothing is there
// twice. The files are plain and packed.
func TestEnrichKilled(t *testing.T) {
	dir, world := t.TempDir(), smallWorld(t)
	rows := manyRows(40_000)
	if err := os.WriteFile(filepath.Join(dir, "a.csv"), rows, 0o644); err != nil {
		t.Fatal(err)
	}
	var packed, small bytes.Buffer
	z := gzip.NewWriter(&packed)
	zs, err := zstd.NewWriter(&small)
	if err != nil {
		t.Fatal(err)
	}
	_, err1 := z.Write(rows)
	_, err2 := zs.Write(rows)
	err = errors.Join(err1, err2, z.Close(), zs.Close(),
		os.WriteFile(filepath.Join(dir, "b.csv.gz"), packed.Bytes(), 0o644), os.WriteFile(filepath.Join(dir, "c.csv.zst"), small.Bytes(), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "ipwarden") // under that name the test is the program
	if err := os.Symlink(self, program); err != nil {
		t.Fatal(err)
	}
	command := func(to string, args ...string) *exec.Cmd {
		args = append([]string{"enrich", "--dataset", world, "--fields", "location.country_code,asn.number", "-o", to + ".csv", "--rejects", to + ".bad"}, args...)
		cmd := exec.Command(program, append(args, "a.csv", "b.csv.gz", "c.csv.zst")...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "XDG_DATA_HOME="+filepath.Join(dir, "home"))
		return cmd
	}
	if out, err := command("whole").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want, err := os.ReadFile(filepath.Join(dir, "whole.csv"))
	if err != nil {
		t.Fatal(err)
	}
	kills := 0
	for round := 1; ; round++ {
		cmd := command("killed", "--checkpoint", "run.json")
		var said bytes.Buffer
		cmd.Stderr = &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		enough := int64(len(want)) * int64(round) / 7
		var err error
		for over := false; !over; {
			select {
			case err = <-ended:
				over = true
			default:
				if info, e := os.Stat(filepath.Join(dir, "killed.csv")); round < 7 && e == nil && info.Size() >= enough {
					_ = cmd.Process.Kill()
					err = <-ended
					over = true
				}
				runtime.Gosched()
			}
		}
		if err == nil {
			break
		}
		if cmd.ProcessState.Exited() {
			t.Fatalf("round %d: %v: %s", round, err, said.String())
		}
		kills++
	}
	if kills == 0 {
		t.Error("every run had ended before it was killed")
	}
	for _, name := range []string{".csv", ".bad"} {
		want, err1 := os.ReadFile(filepath.Join(dir, "whole"+name))
		got, err2 := os.ReadFile(filepath.Join(dir, "killed"+name))
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("after %d kills %s has %d bytes, and %d without", kills, name, len(got), len(want))
		}
	}
}

// A file that is another than before, or whose end was read before it was
// complete, is not gone on with.
func TestEnrichOtherFile(t *testing.T) {
	dir, world := t.TempDir(), smallWorld(t)
	in, out, state := filepath.Join(dir, "in.txt"), filepath.Join(dir, "out.txt"), filepath.Join(dir, "state.json")
	for _, c := range []struct{ before, after, want string }{
		{"8.8.8.8\n", "8.8.8.8\n9.9.9.9\n", ""},
		{"8.8.8.8\n", "8.8.4.4\n9.9.9.9\n", "it is another file than when"},
		{"8.8.8.8\n", "8.8", "it is another file than when"},
		{"8.8.8.8\n9.9.9.1", "8.8.8.8\n9.9.9.15\n", "its last row was answered before it was complete"},
	} {
		var said bytes.Buffer
		again := func(text string) int {
			if err := os.WriteFile(in, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			said.Reset()
			return run([]string{"enrich", "--dataset", world, "-o", out, "--checkpoint", state, in}, &env{
				stdin: strings.NewReader(""), stdout: io.Discard, stderr: &said, now: time.Now,
				getenv: func(name string) string { return map[string]string{"XDG_DATA_HOME": dir}[name] },
			})
		}
		if s := again(c.before); s != exitOK {
			t.Fatalf("status %d: %s", s, said.String())
		}
		s := again(c.after)
		if c.want == "" && s != exitOK || c.want != "" && (s != exitSome || !strings.Contains(said.String(), c.want)) {
			t.Errorf("%q, then %q: status %d: %s", c.before, c.after, s, said.String())
		}
		if err := errors.Join(os.Remove(out), os.Remove(state)); err != nil {
			t.Fatal(err)
		}
	}
}
