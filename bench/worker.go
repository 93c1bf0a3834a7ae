package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
)

// A worker is the process of one contestant: its garbage, its pages and its
// memory are its own. It reads orders and writes results, a JSON object a line.

// order asks for passes over a list, or for the answers of the sample.
type order struct {
	Workload string
	Passes   int
	Answers  bool
}

// result is what a worker says.
type result struct {
	Error     string
	NS        float64  // CPU time per look-up
	Allocs    float64  // per look-up
	Pass      float64  // CPU seconds of the last pass
	RSS       int64    // bytes that are resident now, without the lists
	Answers   []answer // of the sample
	Addresses int
}

// workerMain is the worker: the folder of the world, and the contestant's name.
func workerMain(args []string) error {
	if len(args) != 2 {
		return errors.New("want WORLD NAME")
	}
	k, ok := kindNamed(args[1])
	if !ok {
		return fmt.Errorf("no contestant is called %q", args[1])
	}
	w := &world{dir: args[0]}
	c, err := k.open(w)
	if err != nil {
		return err
	}
	debug.FreeOSMemory() // what opening it took
	lists, listed := map[string][]netip.Addr{}, int64(0)
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(result{}); err != nil { // open
		return err
	}
	in := json.NewDecoder(bufio.NewReader(os.Stdin))
	for {
		var o order
		if err := in.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		list, ok := lists[o.Workload]
		if !ok {
			before := residentSet()
			if list, err = readAddresses(w.addresses(o.Workload)); err != nil {
				return err
			}
			debug.FreeOSMemory() // what reading it took
			listed += residentSet() - before
			lists[o.Workload] = list
			c.pass(list) // the first pass brings pages and caches in
		}
		r := obey(c, &o, list)
		r.RSS -= listed // every contestant has the same lists
		if err := out.Encode(r); err != nil {
			return err
		}
	}
}

func obey(c contestant, o *order, list []netip.Addr) (r result) {
	r.Addresses = len(list)
	if o.Answers {
		for _, a := range list {
			r.Answers = append(r.Answers, c.answer(a))
		}
		return r
	}
	runtime.GC() // what was before is not this pass's
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := cpuTime()
	sum := uint64(0)
	for range o.Passes {
		sum += c.pass(list)
	}
	spent := cpuTime() - start
	runtime.KeepAlive(sum)
	runtime.ReadMemStats(&after)
	n := float64(o.Passes * len(list))
	r.NS = float64(spent.Nanoseconds()) / n
	r.Pass = spent.Seconds() / float64(o.Passes)
	// The two readings themselves allocate a little; look-ups come in millions.
	r.Allocs = float64(after.Mallocs-before.Mallocs) / n
	r.RSS = residentSet()
	return r
}

// cpuTime is the time this process has had of the processors, user and system,
// of all of its threads: collecting garbage counts.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// workerProcess is a worker seen from outside.
type workerProcess struct {
	kind kind
	cmd  *exec.Cmd
	in   io.WriteCloser
	to   *json.Encoder
	from *json.Decoder
}

func startWorker(ctx context.Context, w *world, k kind) (*workerProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &workerProcess{kind: k, cmd: exec.CommandContext(ctx, self, "worker", w.dir, k.name)}
	p.cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=100")
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.to, p.from = json.NewEncoder(p.in), json.NewDecoder(out)
	var ready result
	if err := p.from.Decode(&ready); err != nil {
		return nil, errors.Join(fmt.Errorf("%s did not start: %w", k.name, err), p.stop())
	}
	return p, nil
}

func (p *workerProcess) do(o order) (r result, err error) {
	if err = p.to.Encode(o); err == nil {
		err = p.from.Decode(&r)
	}
	if err == nil && r.Error != "" {
		err = errors.New(r.Error)
	}
	if err != nil {
		err = fmt.Errorf("%s, %s: %w", p.kind.name, o.Workload, err)
	}
	return r, err
}

// stop lets the worker end.
func (p *workerProcess) stop() error {
	p.in.Close()
	return p.cmd.Wait()
}

// disagreement is an address about which a contestant says something else.
type disagreement struct {
	addr       netip.Addr
	want, have answer
}

// compare returns where a contestant disagrees in what it has.
func compare(k *kind, addrs []netip.Addr, want, have []answer) (d []disagreement) {
	for i, a := range addrs {
		x, y := want[i], have[i]
		if !k.country {
			x.Country, y.Country = "", ""
		}
		if !k.as {
			x.AS, y.AS = 0, 0
		}
		if !k.traits {
			x.Traits, y.Traits = 0, 0
		}
		y.Traits &= worldTraits // a dataset has some of its own, such as bogons
		if x != y {
			d = append(d, disagreement{a, x, y})
		}
	}
	return d
}
