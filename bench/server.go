package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Cores of the server and of the load.
const (
	serverCore = "0"
	loadCore   = "1"
)

// A server is a process, or a process and its children, that answers HTTP.
type server struct {
	cmd      *exec.Cmd
	ended    chan error // receives what Wait returned
	base     string     // http://host:port
	fastBase string
}

// startServer runs a program on the server's core until it accepts connections
// at addr, which is host:port or the path of a Unix socket.
func startServer(ctx context.Context, addr, program string, args ...string) (*server, error) {
	cmd := exec.CommandContext(ctx, "taskset", append([]string{"-c", serverCore, program}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{cmd: cmd, ended: make(chan error, 1), base: "http://" + addr}
	go func() { s.ended <- cmd.Wait() }()
	network := "tcp"
	if strings.HasPrefix(addr, "/") {
		network = "unix"
	}
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case err := <-s.ended:
			return nil, fmt.Errorf("it ended at once (%w): %s", errors.Join(err, errEnded), bytes.TrimSpace(stderr.Bytes()))
		case <-deadline:
			s.stop()
			return nil, fmt.Errorf("it does not accept connections at %s", addr)
		case <-poll.C:
			if c, err := net.Dial(network, addr); err == nil {
				c.Close()
				return s, nil
			}
		}
	}
}

var errEnded = errors.New("a server must go on")

// stop ends the server: gently, and if that does not help, at once.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case <-s.ended:
	case <-time.After(15 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
}

// pids are the server's process and its children (nginx's workers).
func (s *server) pids() []int {
	pids := []int{s.cmd.Process.Pid}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pids[0], pids[0]))
	if err != nil {
		return pids
	}
	for _, f := range strings.Fields(string(text)) {
		if n, err := strconv.Atoi(f); err == nil {
			pids = append(pids, n)
		}
	}
	return pids
}

// cpu is the time the server has had, user and system, of all its processes.
func (s *server) cpu() (sum time.Duration, err error) {
	for _, pid := range s.pids() {
		text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
		if err != nil {
			return 0, err
		}
		t, err := statTime(string(text))
		if err != nil {
			return 0, err
		}
		sum += t
	}
	return sum, nil
}

// statTime reads user and system time from /proc/PID/stat (proc_pid_stat(5)).
// The name of the program, in parentheses, may hold anything.
func statTime(stat string) (time.Duration, error) {
	i := strings.LastIndexByte(stat, ')')
	fields := strings.Fields(stat[i+1:])
	const utime, stime = 14 - 3, 15 - 3 // counted from the third field
	if i < 0 || len(fields) <= stime {
		return 0, fmt.Errorf("%.80q is no /proc/PID/stat", stat)
	}
	user, err1 := strconv.ParseInt(fields[utime], 10, 64)
	system, err2 := strconv.ParseInt(fields[stime], 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return 0, err
	}
	return time.Duration(user+system) * clockTick, nil
}

// clockTick is USER_HZ, which Linux fixes at 100 for what it tells programs.
const clockTick = 10 * time.Millisecond

// resident sums up the resident memory of the server's processes.
func (s *server) resident() (sum int64) {
	for _, pid := range s.pids() {
		kb, err := strconv.ParseInt(strings.TrimSuffix(procLine(fmt.Sprintf("/proc/%d/status", pid), "VmRSS"), " kB"), 10, 64)
		if err == nil {
			sum += kb << 10
		}
	}
	return sum
}

// freePorts finds ports of the loopback address that nobody has.
func freePorts(n int) (ports []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // after all were found, or one would come twice
		ports = append(ports, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
	return ports, nil
}
