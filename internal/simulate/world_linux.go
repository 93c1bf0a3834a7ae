package simulate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ipwarden/ipwarden/internal/netns"
)

// world is the regions and what they share.
type world struct {
	c        *Config
	ctx      context.Context
	dir      string
	net      *netns.World  // nil when near
	thread   chan<- func() // that starts processes, when near
	database *database
	redis    *redis   // nil is none
	stream   *process // the last region's
	regions  []*region
	kills    int
}

// region is a server, and who calls it.
type region struct {
	w      *world
	i      int
	name   string
	server *process
}

// addr is where something listens in a region.
func (w *world) addr(i, port int) string {
	if w.net != nil {
		return netip.AddrPortFrom(netns.Addr(i), uint16(port)).String()
	}
	a := nearAddr().As4()
	a[3] = byte(i + 1)
	return netip.AddrPortFrom(netip.AddrFrom4(a), uint16(nearPort(port))).String()
}

// nearAddr is of the loopback, and this process's own: a process has a number below
// 2^22, and others are seldom on such addresses.
func nearAddr() netip.Addr {
	pid := os.Getpid()
	return netip.AddrFrom4([4]byte{127, byte(64 + pid>>16&63), byte(pid >> 8), 0})
}

// nearPort tells processes apart whose addresses are the same.
func nearPort(port int) int { return port - 4096 + os.Getpid()&255*8 }

const (
	portHTTP   = 18080
	portStream = 14222
)

// wait waits.
func (w *world) wait(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-w.ctx.Done():
	case <-t.C:
	}
}

func (w *world) say(format string, args ...any) { fmt.Fprintf(w.c.Out, format, args...) }

// open starts everything.
func (w *world) open() (err error) {
	if w.c.Near {
		w.thread = oneThread()
	} else {
		if w.net, err = netns.New(netns.Config{Places: len(w.c.Regions), Delay: func(from, to int) time.Duration { return w.c.RTT(from, to) / 2 }}); err != nil {
			return err
		}
	}
	for i, name := range w.c.Regions {
		w.regions = append(w.regions, &region{w: w, i: i, name: name})
	}
	if err := os.WriteFile(filepath.Join(w.dir, "password"), []byte("simulated\n"), 0o600); err != nil {
		return err
	}
	if err := w.openDatabase(); err != nil {
		return err
	}
	if err := w.openRedis(); err != nil {
		return err
	}
	last := len(w.regions) - 1
	w.stream = &process{name: "stream", place: last, args: []string{
		w.c.Program, "simulate", "stream", "--listen", w.addr(last, portStream), "--dir", filepath.Join(w.dir, "stream"), "--password-file", filepath.Join(w.dir, "password"),
	}}
	return w.ready(w.stream, func() bool { return w.listens(last, w.addr(last, portStream)) })
}

// listens says whether somebody does.
func (w *world) listens(place int, addr string) bool {
	c, err := w.dial(place, addr)
	if err == nil {
		c.Close()
	}
	return err == nil
}

func (w *world) dial(place int, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(w.ctx, 2*time.Second)
	defer cancel()
	if w.net != nil {
		return w.net.Dial(ctx, place, "tcp", addr)
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}

// serve starts the servers, all at once.
func (w *world) serve() error {
	secret, err := os.ReadFile(filepath.Join(w.dir, "secrets", "key-hash"))
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	errs := make([]error, len(w.regions))
	for i, r := range w.regions {
		dir := filepath.Join(w.dir, r.name)
		if err := os.MkdirAll(filepath.Join(dir, "secrets"), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "secrets", "key-hash"), secret, 0o600); err != nil {
			return err
		}
		r.server = &process{name: r.name, place: i, args: []string{
			w.c.Program, "serve", "--accounts", "--region", r.name, "--listen", r.http(), "--data-dir", dir,
			"--usage-password-file", filepath.Join(w.dir, "password"), "--usage-clients", "1024",
		}}
		if w.redis != nil {
			r.server.args = append(r.server.args, "--usage-redis", w.redis.url())
		}
		if i == len(w.regions)-1 {
			r.server.args = append(r.server.args, "--usage-stream", "nats://"+w.addr(i, portStream))
		} else {
			r.server.args = append(r.server.args, "--usage-listen", w.addr(i, portStream))
		}
		for j, other := range w.regions {
			if i != j {
				r.server.args = append(r.server.args, "--usage-region", other.name+"=nats://"+w.addr(j, portStream))
			}
		}
		r.server.env = []string{"IPWARDEN_ACCOUNTS_URL=" + w.database.url + "&application_name=" + r.name}
		if skew := w.skew(i); skew != 0 {
			r.server.env = append(r.server.env, ClockEnv+"="+skew.String())
		}
		all.Go(func() { errs[i] = w.ready(r.server, r.ready) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// skew is how wrong a region's clock is.
func (w *world) skew(i int) time.Duration {
	switch i {
	case 0: // with the database
		return w.c.Skew
	case len(w.regions) - 1:
		return -w.c.Skew
	}
	return 0
}

func (r *region) http() string { return r.w.addr(r.i, portHTTP) }

// ready says whether the server answers.
func (r *region) ready() bool {
	c := r.caller()
	defer c.close()
	a, err := c.get("", "/readyz")
	return err == nil && a.status == 200
}

// kill kills a region's server.
func (w *world) kill(p *process) {
	w.kills++
	p.kill()
}

func (w *world) close() {
	for _, r := range w.regions {
		r.server.kill()
	}
	w.stream.kill() // none is nothing to kill
	w.database.remove()
	if w.redis != nil {
		w.redis.kill()
	}
	if w.net != nil {
		w.net.Close()
	}
	if w.thread != nil {
		close(w.thread)
	}
}

// customer is an account and its keys.
type customer struct {
	email string
	limit int64 // look-ups a month
	keys  []string
	ids   []string
}

// customer makes an account with a plan of its own, of the last 30 days: it does not
// begin anew while the simulation runs.
func (w *world) customer(name string, limit int64, keys int) (*customer, error) {
	c := &customer{email: name + "@example.com", limit: limit}
	if _, err := w.tool("plan", "set", name, "--per-month", strconv.FormatInt(limit, 10), "--window", "rolling"); err != nil {
		return nil, err
	}
	if _, err := w.tool("account", "add", c.email, "--plan", name); err != nil {
		return nil, err
	}
	for range keys {
		out, err := w.tool("key", "new", c.email, "--json")
		if err != nil {
			return nil, err
		}
		var k struct{ Key, ID string }
		if err := json.Unmarshal([]byte(out), &k); err != nil {
			return nil, fmt.Errorf("simulate: ipwarden key new: %w", err)
		}
		c.keys, c.ids = append(c.keys, k.Key), append(c.ids, k.ID)
	}
	return c, nil
}

// known waits until a key is known in all regions.
func (w *world) known(key string) error {
	for _, r := range w.regions {
		c := r.caller()
		defer c.close()
		if err := w.until("a new key is known in "+r.name, func() bool {
			a, err := c.get(key, pathBad)
			return err == nil && a.status == 400
		}); err != nil {
			return err
		}
	}
	return nil
}

// memory is what the servers have of their own, on average.
func (w *world) memory() (bytes int64) {
	for _, r := range w.regions {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.server.cmd.Process.Pid))
		if err != nil {
			return 0
		}
		for line := range strings.Lines(string(b)) {
			if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
				n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
				bytes += n << 10 / int64(len(w.regions))
			}
		}
	}
	return bytes
}
