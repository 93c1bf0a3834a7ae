package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// machine describes where and when the figures were taken.
type machine struct {
	cpu, kernel, goVersion string
	cores                  int
	memory                 int64 // bytes
	date                   time.Time
	loadBefore, loadAfter  string
}

func describeMachine() machine {
	m := machine{
		cpu: "unknown processor", cores: runtime.NumCPU(), goVersion: runtime.Version(),
		kernel: runtime.GOOS, date: time.Now().UTC(), loadBefore: loadAverage(),
	}
	if v := procLine("/proc/cpuinfo", "model name"); v != "" {
		m.cpu = v
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.kernel = "Linux " + strings.TrimSpace(string(text))
	}
	if kb, err := strconv.ParseInt(strings.TrimSuffix(procLine("/proc/meminfo", "MemTotal"), " kB"), 10, 64); err == nil {
		m.memory = kb << 10
	}
	return m
}

func (m *machine) String() string {
	return fmt.Sprintf("%s, %d cores, %d GiB, %s, %s", m.cpu, m.cores, (m.memory+1<<29)>>30, m.kernel, m.goVersion)
}

// procLine returns the value of the first "key: value" line.
func procLine(file, key string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	in := bufio.NewScanner(bytes.NewReader(text))
	for in.Scan() {
		k, v, ok := strings.Cut(in.Text(), ":")
		if ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// loadAverage is that of the last minute.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(text), " ")
	return one
}

// residentSet returns the bytes of this process that are in memory now.
func residentSet() int64 {
	kb, err := strconv.ParseInt(strings.TrimSuffix(procLine("/proc/self/status", "VmRSS"), " kB"), 10, 64)
	if err == nil {
		return kb << 10
	}
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) == nil {
		return int64(u.Maxrss) << 10
	}
	return 0
}
