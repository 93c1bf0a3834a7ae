package simulate

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a program that is killed and started again.
type process struct {
	name  string
	place int
	args  []string
	env   []string // besides the simulation's own
	as    *syscall.Credential
	dir   string // where it is; default the simulation's
	cmd   *exec.Cmd
	ended chan struct{}
}

// start starts p in its region. What it says goes on in a file.
func (w *world) start(p *process) error {
	log, err := os.OpenFile(w.logName(p), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(p.args[0], p.args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = cmp.Or(p.dir, w.dir), log, log
	cmd.Env = append(w.environ(), p.env...)
	// They end with the simulation, however it ends: the thread that starts them lives as
	// long as it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.as, Pdeathsig: syscall.SIGKILL}
	if err := w.do(p.place, cmd.Start); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	ended := make(chan struct{})
	p.cmd, p.ended = cmd, ended
	go func() { _ = cmd.Wait(); close(ended) }()
	return nil
}

// do calls f in a region.
func (w *world) do(place int, f func() error) error {
	if w.net != nil {
		return w.net.Do(place, f)
	}
	ended := make(chan error)
	w.thread <- func() { ended <- f() }
	return <-ended
}

// oneThread makes what is sent to it, all on one thread.
func oneThread() chan<- func() {
	calls := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range calls {
			f()
		}
	}()
	return calls
}

func (w *world) logName(p *process) string { return filepath.Join(w.dir, p.name+".log") }

// environ is the environment without what would configure ipwarden or PostgreSQL.
func (w *world) environ() (env []string) {
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "IPWARDEN_") && !strings.HasPrefix(v, "PG") {
			env = append(env, v)
		}
	}
	return append(env, "HOME="+w.dir, "XDG_DATA_HOME="+w.dir, "XDG_CONFIG_HOME="+w.dir)
}

// kill ends p as the system does when it has no memory left, and its children.
func (p *process) kill() {
	if p == nil || p.cmd == nil {
		return
	}
	children := childrenOf(p.cmd.Process.Pid)
	_ = p.cmd.Process.Kill()
	for _, pid := range children {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	<-p.ended
	p.cmd = nil
}

func childrenOf(pid int) (pids []int) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil // the kernel does not say
	}
	for f := range strings.FieldsSeq(string(b)) {
		if n, err := strconv.Atoi(f); err == nil {
			pids = append(pids, n)
		}
	}
	return pids
}

// gone says whether p has ended by itself.
func (p *process) gone() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// until waits for something that must come true.
func (w *world) until(what string, is func() bool) error {
	deadline := time.Now().Add(w.c.Patience)
	for !is() {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("simulate: after %v it is not so that %s", w.c.Patience, what)
		}
		w.wait(5 * time.Millisecond)
	}
	return nil
}

// ready starts p and waits until it is.
func (w *world) ready(p *process, is func() bool) error {
	if err := w.start(p); err != nil {
		return err
	}
	err := w.until(p.name+" is ready", func() bool { return p.gone() || is() })
	if err == nil && p.gone() {
		err = errors.New("it ended")
	}
	if err != nil {
		said, _ := os.ReadFile(w.logName(p)) // as much as there is
		return fmt.Errorf("simulate: %s: %w; it said:\n%s", p.name, err, said[max(0, len(said)-2000):])
	}
	return nil
}

// tool runs a command of ipwarden beside the database, and returns what it prints.
func (w *world) tool(args ...string) (string, error) {
	cmd := exec.CommandContext(w.ctx, w.c.Program, args...)
	cmd.Dir, cmd.Env = w.dir, append(w.environ(), "IPWARDEN_ACCOUNTS_URL="+w.database.url, "IPWARDEN_DATA_DIR="+w.dir)
	var out, said strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &said
	err := w.do(0, cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return "", fmt.Errorf("simulate: ipwarden %s: %w\n%s", strings.Join(args, " "), err, said.String())
	}
	return out.String(), nil
}
