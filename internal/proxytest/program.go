package proxytest

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds each wait: these are two shared cores at worst.
const patience = time.Minute

// Need finds a program, or ends the test and names its package. Where the
// variable CI is set, not having it is a failure.
func Need(t *testing.T, program, debian string) string {
	t.Helper()
	name, err := exec.LookPath(program)
	if err == nil {
		return name
	}
	// Debian keeps servers where only root looks.
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin"} {
		if name, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return name
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed (Debian: %s)", program, debian)
	}
	t.Skipf("%s is not installed (Debian: %s)", program, debian)
	return ""
}

// FreeAddr returns an address of this machine on which nobody listens, and which
// no other test gets as long as this one runs. Its port is below those that
// connections get, so that none of them takes it before the program does.
func FreeAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		port := 10_000 + rand.IntN(22_000)
		if !reserve(t, port) {
			continue
		}
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if ln, err := net.Listen("tcp", addr); err == nil {
			ln.Close()
			return addr
		}
	}
	t.Fatal("there is no free port")
	return ""
}

// reserve takes a port among the tests of all processes: a lock on a file, which
// the system gives back when a process ends, however it does.
func reserve(t *testing.T, port int) bool {
	t.Helper()
	dir := filepath.Join(os.TempDir(), "ipwarden-test-ports-"+strconv.Itoa(os.Getuid())) // of this user
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return false
	}
	t.Cleanup(func() { f.Close() })
	return true
}

// Config copies the file name into dir, with each old text replaced by the new
// one that follows it. Old text that is not in the file fails the test: the file
// is not what the test takes it for.
func Config(t *testing.T, dir, name string, oldnew ...string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(text, oldnew[i]) {
			t.Fatalf("%s does not have %q", name, oldnew[i])
		}
	}
	path := filepath.Join(dir, filepath.Base(name))
	if err := os.WriteFile(path, []byte(strings.NewReplacer(oldnew...).Replace(text)), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// A Process is a program that runs until the test ends.
type Process struct {
	t     *testing.T
	cmd   *exec.Cmd
	out   *output
	ended chan struct{}
}

// Start runs a program in the folder dir and waits until it listens on addr. It
// is ended, by its own number, when the test ends.
func Start(t *testing.T, dir, addr, program string, args ...string) *Process {
	t.Helper()
	return StartUntil(t, dir, "listens on "+addr, func() bool {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			c.Close()
		}
		return err == nil
	}, program, args...)
}

// Answers reports whether a server of HTTP answers, if only that what it was sent
// is no request. One that listens may not be ready for signals yet.
func Answers(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	if _, err := c.Write([]byte("no request\r\n\r\n")); err != nil {
		return false
	}
	n, _ := c.Read(make([]byte, 1))
	return n > 0
}

// StartUntil is [Start] for a program that is ready when something else is so.
func StartUntil(t *testing.T, dir, what string, ready func() bool, program string, args ...string) *Process {
	t.Helper()
	return startCommand(t, dir, what, ready, exec.Command(program, args...))
}

// startCommand is [StartUntil] for a command with attributes of its own.
func startCommand(t *testing.T, dir, what string, ready func() bool, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{t: t, cmd: cmd, out: &output{}, ended: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, p.out, p.out
	p.cmd.WaitDelay = time.Second
	p.cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = p.cmd.Wait(); close(p.ended) }()
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			t.Logf("%s said:\n%s", cmd.Path, p.out)
		}
	})
	Eventually(t, cmd.Path+" "+what, func() bool {
		select {
		case <-p.ended:
			t.Fatalf("%s ended: %v", cmd.Path, p.cmd.ProcessState)
		default:
		}
		return ready()
	})
	return p
}

// Pid is the program's process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Output is what the program said so far.
func (p *Process) Output() string { return p.out.String() }

// Signal sends the program a signal.
func (p *Process) Signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Error(err)
	}
}

// Stop ends the program: at its request first, then at once.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		return
	case <-time.After(3 * time.Second):
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Error(err)
	}
	<-p.ended
}

// Eventually waits until what is so, and fails the test when it does not come.
func Eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %v it is not so that %s", patience, what)
		}
	}
}

// output keeps the end of what a program says.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

const maxOutput = 1 << 20

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.b.Len() > maxOutput {
		o.b.Next(maxOutput / 2)
	}
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
