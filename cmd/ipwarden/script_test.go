package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"ipwarden": main})
}

// TestScripts runs testdata/*.txtar, which read as documentation. Each finds a
// folder of small feeds, $WORK/feeds, and the dataset made of it, $WORK/world.ipw.
//
// Beside the commands of testscript there are: serve ARGS, which starts a
// server and waits until it listens, at $URL; get PATH, which prints status, headers and
// body of its answer; hup, which sends SIGHUP and prints the log line that
// follows; and stop, which sends SIGTERM and wants exit status 0.
func TestScripts(t *testing.T) {
	world := filepath.Join(t.TempDir(), "world.ipw")
	built := run([]string{"data", "build", "--from", "testdata/feeds", "--catalogue", "testdata/catalogue.yaml", "-o", world}, &env{
		stdin: strings.NewReader(""), stdout: io.Discard, stderr: os.Stderr,
		getenv: func(string) string { return "" }, now: time.Now,
	})
	if built != exitOK {
		t.Fatal("the dataset of the scripts could not be built")
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			if err := os.CopyFS(filepath.Join(e.WorkDir, "feeds"), os.DirFS("testdata/feeds")); err != nil {
				return err
			}
			e.Setenv("IPWARDEN_CATALOGUE", filepath.Join(e.WorkDir, "catalogue.yaml"))
			e.Setenv("XDG_DATA_HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("DATA", filepath.Join(e.WorkDir, "home", "ipwarden"))
			e.Values[serverKey{}] = new(servers)
			return errors.Join(
				copyFile(filepath.Join(e.WorkDir, "world.ipw"), world),
				copyFile(filepath.Join(e.WorkDir, "catalogue.yaml"), "testdata/catalogue.yaml"),
			)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": cmdServe, "get": cmdGet, "hup": cmdHup, "stop": cmdStop, "flip": cmdFlip, "same": cmdSame,
		},
	})
}

func copyFile(to, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o644)
}

type (
	serverKey struct{}
	servers   struct{ running *running }
)

// running is the server of a script.
type running struct {
	cmd *exec.Cmd
	url string
	log chan string // lines of its standard error
}

func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("serve starts a server; use exec for one that must not start")
	}
	r := &running{log: make(chan string, 64)}
	r.cmd = exec.Command("ipwarden", append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	r.cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "XDG_DATA_HOME", "TESTSCRIPT_COMMAND", "IPWARDEN_CATALOGUE"} {
		r.cmd.Env = append(r.cmd.Env, name+"="+ts.Getenv(name))
	}
	path, err := lookPath("ipwarden", ts.Getenv("PATH"))
	ts.Check(err)
	r.cmd.Path, r.cmd.Err = path, nil
	stdout, err := r.cmd.StdoutPipe()
	ts.Check(err)
	stderr, err := r.cmd.StderrPipe()
	ts.Check(err)
	ts.Check(r.cmd.Start())
	ts.Defer(func() { r.cmd.Process.Kill() })
	ts.Value(serverKey{}).(*servers).running = r
	go func() {
		defer close(r.log)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			r.log <- lines.Text()
		}
	}()
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		fmt.Fprintln(ts.Stdout(), lines.Text())
		if _, url, ok := strings.Cut(lines.Text(), "listens on "); ok {
			r.url = url
			ts.Setenv("URL", url)
		}
		if strings.HasSuffix(lines.Text(), "in a browser") { // the last line of the greeting
			go io.Copy(io.Discard, stdout)
			return
		}
	}
	for line := range r.log {
		ts.Logf("%s", line)
	}
	ts.Fatalf("the server ended before it listened")
}

func lookPath(name, path string) (string, error) {
	for _, dir := range filepath.SplitList(path) {
		if full := filepath.Join(dir, name); isExecutable(full) {
			return full, nil
		}
	}
	return "", fs.ErrNotExist
}

func isExecutable(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode()&0o111 != 0 && !info.IsDir()
}

func serverOf(ts *testscript.TestScript) *running {
	r := ts.Value(serverKey{}).(*servers).running
	if r == nil {
		ts.Fatalf("no server runs; serve starts one")
	}
	return r
}

func cmdGet(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 1 {
		ts.Fatalf("usage: get PATH-or-unix:SOCKET,PATH [Header: value]...")
	}
	url := serverOf(ts).url + args[0]
	client := &http.Client{Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if rest, ok := strings.CutPrefix(args[0], "unix:"); ok {
		socket, path, _ := strings.Cut(rest, ",")
		url = "http://unix" + path
		client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", ts.MkAbs(socket))
		}}
	}
	req, err := http.NewRequest(http.MethodGet, url, nil)
	ts.Check(err)
	for _, h := range args[1:] {
		name, value, _ := strings.Cut(h, ": ")
		if req.Header.Set(name, value); name == "Host" {
			req.Host = value // net/http sends this one
		}
	}
	resp, err := client.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	fmt.Fprintln(ts.Stdout(), resp.Status)
	resp.Header.Write(ts.Stdout())
	fmt.Fprintln(ts.Stdout())
	_, err = io.Copy(ts.Stdout(), io.LimitReader(resp.Body, 1<<20))
	ts.Check(err)
	if neg == (resp.StatusCode < 400) {
		ts.Fatalf("got %s", resp.Status)
	}
}

func cmdHup(ts *testscript.TestScript, _ bool, _ []string) {
	r := serverOf(ts)
	ts.Check(r.cmd.Process.Signal(syscall.SIGHUP))
	for line := range r.log {
		fmt.Fprintln(ts.Stdout(), line)
		if strings.Contains(line, "reload") {
			return
		}
	}
	ts.Fatalf("the server ended")
}

func cmdStop(ts *testscript.TestScript, _ bool, _ []string) {
	r := serverOf(ts)
	ts.Check(r.cmd.Process.Signal(syscall.SIGTERM))
	for line := range r.log {
		fmt.Fprintln(ts.Stdout(), line)
	}
	ts.Check(r.cmd.Wait())
	ts.Value(serverKey{}).(*servers).running = nil
}

// cmdFlip flips one bit in the middle of a file.
func cmdFlip(ts *testscript.TestScript, _ bool, args []string) {
	name := ts.MkAbs(args[0])
	data, err := os.ReadFile(name)
	ts.Check(err)
	data[len(data)/2] ^= 1
	ts.Check(os.WriteFile(name, data, 0o644))
}

// cmdSame compares two files byte by byte.
func cmdSame(ts *testscript.TestScript, neg bool, args []string) {
	if same := ts.ReadFile(args[0]) == ts.ReadFile(args[1]); same == neg {
		ts.Fatalf("same is %v", same)
	}
}
