package docstest

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// build makes the program, with the dataset in it.
func build(t *testing.T) string {
	t.Helper()
	if info, err := os.Stat(filepath.Join(root, "embedded/dataset.ipw")); err != nil || info.Size() == 0 {
		t.Skip("this checkout has no embedded dataset; make dataset FEEDS=DIR builds one")
	}
	program := filepath.Join(t.TempDir(), "ipwarden")
	cmd := exec.Command("go", "build", "-o", program, "./cmd/ipwarden")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// command prepares the program so that nothing of this machine's settings or
// data directory is in its answers.
func command(program, dir string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "XDG_DATA_HOME=" + filepath.Join(dir, "no-data")}
	return cmd
}

// server is a running ipwarden serve.
type server struct{ url, greeting string }

// documented is where the documents say that the server is.
const documented = "http://127.0.0.1:8080"

func startServer(t *testing.T, program string) *server {
	t.Helper()
	cmd := command(program, t.TempDir(), "serve", "--listen", "127.0.0.1:0")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	s := &server{}
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if _, url, ok := strings.Cut(lines.Text(), "listens on "); ok {
			s.url = url
		}
		s.greeting += strings.ReplaceAll(lines.Text(), s.url, documented) + "\n"
		if strings.Contains(lines.Text(), "in a browser") {
			return s
		}
	}
	t.Fatal("the server ended before it listened")
	return nil
}
