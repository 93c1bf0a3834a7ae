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
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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
// folder of small feeds, $WORK/feeds, and the dataset made of it, $WORK/world.ipw; at
// $DNS is a server with block lists.
//
// Beside the commands of testscript there are: serve ARGS, which starts a
// server and waits until it listens, at $URL; get PATH, which prints status, headers and
// body of its answer; hup, which sends SIGHUP and prints the log line that
// follows; and quit, which sends SIGTERM and wants exit status 0 (stop is of
// testscript itself, and ends a script). gateway ARGS
// starts a gateway as serve starts a server; app starts an application for it, at
// $APP, which says what it gets; and proxied ADDR PATH is get with a PROXY header
// that names ADDR before it, or none when ADDR is -. keep NAME puts what the last
// command has printed into $NAME; and until PATTERN PATH is get, again and again until
// status or body match.
func TestScripts(t *testing.T) {
	world := filepath.Join(t.TempDir(), "world.ipw")
	built := run([]string{"data", "build", "--from", "testdata/feeds", "--catalogue", "testdata/catalogue.yaml", "-o", world}, &env{
		stdin: strings.NewReader(""), stdout: io.Discard, stderr: os.Stderr,
		getenv: func(string) string { return "" }, now: time.Now,
	})
	if built != exitOK {
		t.Fatal("the dataset of the scripts could not be built")
	}
	dns := serveBlockLists(t)
	refuseStop(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			if err := os.CopyFS(filepath.Join(e.WorkDir, "feeds"), os.DirFS("testdata/feeds")); err != nil {
				return err
			}
			e.Setenv("DNS", dns)
			e.Setenv("IPWARDEN_CATALOGUE", filepath.Join(e.WorkDir, "catalogue.yaml"))
			e.Setenv("XDG_DATA_HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("DATA", filepath.Join(e.WorkDir, "home", "ipwarden"))
			e.Values[serverKey{}] = new(servers)
			return errors.Join(
				copyFile(filepath.Join(e.WorkDir, "world.ipw"), world),
				copyFile(filepath.Join(e.WorkDir, "catalogue.yaml"), "testdata/catalogue.yaml"),
				copyFile(filepath.Join(e.WorkDir, "ipwarden.conf"), "../../integrations/fail2ban/ipwarden.conf"),
			)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": cmdServe, "gateway": cmdGateway, "app": cmdApp, "proxied": cmdProxied, "get": cmdGet, "hup": cmdHup, "quit": cmdQuit, "flip": cmdFlip, "keep": cmdKeep, "until": cmdUntil, "same": cmdSame,
		},
	})
}

// refuseStop finds scripts that say stop where quit is meant: stop is testscript's
// own, ends the script as passed, and leaves out the rest.
func refuseStop(t *testing.T) {
	t.Helper()
	scripts, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range scripts {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(strings.Split(string(text), "\n"), "stop") {
			t.Errorf("%s: stop ends a script there; quit ends its server", name)
		}
	}
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
	startServer(ts, neg, "serve", args, func(line string) bool { return strings.HasSuffix(line, "in a browser") })
}

func cmdGateway(ts *testscript.TestScript, neg bool, args []string) {
	startServer(ts, neg, "gateway", args, func(line string) bool { return strings.HasPrefix(line, "  decides by") })
}

// startServer starts a command that listens; last knows the last line of its
// greeting.
func startServer(ts *testscript.TestScript, neg bool, command string, args []string, last func(string) bool) {
	if neg {
		ts.Fatalf("%s starts a server; use exec for one that must not start", command)
	}
	r := &running{log: make(chan string, 64)}
	r.cmd = exec.Command("ipwarden", append([]string{command, "--listen", "127.0.0.1:0"}, args...)...)
	r.cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "XDG_DATA_HOME", "TESTSCRIPT_COMMAND", "IPWARDEN_CATALOGUE", "IPWARDEN_DATA_DIR"} {
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
			if addr, ok := strings.CutPrefix(url, "tcp:"); ok {
				url = "http://" + addr
			}
			r.url = url
			ts.Setenv("URL", url)
		}
		if last(lines.Text()) {
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

// cmdKeep keeps what the last command printed in a variable.
func cmdKeep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: keep NAME")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

// cmdUntil asks until status or body match: a server that follows something is given
// time.
func cmdUntil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until PATTERN PATH [Header: value]...")
	}
	pattern, err := regexp.Compile(args[0])
	ts.Check(err)
	for end := time.Now().Add(30 * time.Second); ; {
		req, err := http.NewRequest(http.MethodGet, serverOf(ts).url+args[1], nil)
		ts.Check(err)
		for _, h := range args[2:] {
			name, value, _ := strings.Cut(h, ": ")
			req.Header.Set(name, value)
		}
		resp, err := http.DefaultClient.Do(req)
		ts.Check(err)
		body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		resp.Body.Close()
		ts.Check(err)
		if pattern.MatchString(resp.Status + "\n" + string(body)) {
			fmt.Fprintf(ts.Stdout(), "%s\n%s", resp.Status, body)
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("still %s after 30 s: %s", resp.Status, body)
		}
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

func cmdQuit(ts *testscript.TestScript, _ bool, _ []string) {
	r := serverOf(ts)
	ts.Check(r.cmd.Process.Signal(syscall.SIGTERM))
	for line := range r.log {
		fmt.Fprintln(ts.Stdout(), line)
	}
	ts.Check(r.cmd.Wait())
	ts.Value(serverKey{}).(*servers).running = nil
}

// cmdApp starts an application that says what it gets.
func cmdApp(ts *testscript.TestScript, _ bool, _ []string) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s\n", r.Method, r.URL.RequestURI())
		_ = r.Header.WriteSubset(w, map[string]bool{"X-Ipwarden-Decision": true}) // the client went away
	}))
	ts.Defer(app.Close)
	ts.Setenv("APP", app.URL)
}

// cmdProxied sends a request as a balancer does that speaks the PROXY protocol.
func cmdProxied(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: proxied ADDR-or-- PATH [Header: value]...")
	}
	c, err := net.Dial("tcp", strings.TrimPrefix(serverOf(ts).url, "http://"))
	ts.Check(err)
	defer c.Close()
	ts.Check(c.SetDeadline(time.Now().Add(30 * time.Second)))
	head := ""
	if args[0] != "-" {
		head = "PROXY TCP4 " + args[0] + " 127.0.0.1 4711 80\r\n"
	}
	head += "GET " + args[1] + " HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n"
	for _, line := range args[2:] {
		head += line + "\r\n"
	}
	_, err = io.WriteString(c, head+"\r\n")
	ts.Check(err)
	answer, err := io.ReadAll(io.LimitReader(c, 1<<20))
	fmt.Fprintf(ts.Stdout(), "%s\n", answer)
	if err != nil {
		fmt.Fprintln(ts.Stdout(), err)
	}
	if neg == strings.HasPrefix(string(answer), "HTTP/1.1 2") {
		ts.Fatalf("got %q, %v", answer, err)
	}
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
