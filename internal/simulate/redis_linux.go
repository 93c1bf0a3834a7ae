package simulate

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// redis is the server that counts by client, in the first region.
type redis struct {
	*process
	addr string
}

func (r *redis) url() string { return "redis://" + r.addr + "/0" }

// openRedis starts a Redis, where it is one of the faults and its program is there.
func (w *world) openRedis() error {
	if !slices.Contains(w.c.Faults, FaultRedis) {
		return nil
	}
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return nil //nolint:nilerror // the fault is left out, and says so
	}
	dir := filepath.Join(w.dir, "redis")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	r := &redis{addr: w.addr(0, 6379)}
	host, port, err := net.SplitHostPort(r.addr)
	if err != nil {
		return err
	}
	r.process = &process{name: "redis", dir: dir, args: []string{
		program, "--bind", host, "--port", port, "--protected-mode", "no", "--save", "",
		"--dir", dir, "--appendonly", "yes", // what it said it has outlives a kill
	}}
	w.redis = r
	return w.ready(r.process, r.listens(w))
}

func (r *redis) listens(w *world) func() bool {
	return func() bool { return w.listens(0, r.addr) }
}

// lines reads what ipwarden usage prints as JSON, and adds up a member of it.
func (w *world) lines(member string, args ...string) (sum int64, err error) {
	day := func(days int) string { return time.Now().UTC().AddDate(0, 0, days).Format(time.DateOnly) }
	out, err := w.tool(append([]string{"usage", "--json", "--from", day(-2), "--to", day(2)}, args...)...)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(out) {
		var row map[string]any
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			return 0, fmt.Errorf("simulate: ipwarden usage: %w", err)
		}
		n, _ := row[member].(float64)
		sum += int64(n)
	}
	return sum, nil
}

// callersAgree waits until as many calls are counted by client as by key. Calls whose
// server was killed in their middle may be counted by one and not by the other.
func (w *world) callersAgree(lost int64) (counted int64, err error) {
	said := ""
	err = w.until("as many calls are counted by client as by key", func() bool {
		byKey, err := w.lines("charged", "--by", "account")
		if err == nil {
			counted, err = w.lines("calls", "--by", "client", "--usage-redis", w.redis.url())
		}
		if err == nil && byKey > 0 && byKey-lost <= counted && counted <= byKey+lost {
			return true
		}
		said = fmt.Sprintf("by key %d, by client %d (%v); %d calls were lost", byKey, counted, err, lost)
		w.wait(200 * time.Millisecond)
		return false
	})
	if err != nil {
		return counted, fmt.Errorf("%w: %s", err, said)
	}
	return counted, nil
}
