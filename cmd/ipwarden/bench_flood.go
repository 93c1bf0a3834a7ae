package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/customer"
)

// floodCmd measures what a flood of unknown keys does to those who pay.
type floodCmd struct {
	KeysPerSecond int           `default:"2400" placeholder:"N" help:"How many unknown keys come in a second, each another one; default ${default}, which is 200 million a day."`
	Paying        int           `default:"200" placeholder:"N" help:"Calls a second with a key that is known; default ${default}."`
	Round         time.Duration `default:"1s" placeholder:"TIME" help:"How long it is quiet, and how long the flood is, in turns; default ${default}."`
	Rounds        int           `default:"10" placeholder:"N" help:"How many turns; default ${default}."`

	program string // default this one
}

// Help is the long help.
func (floodCmd) Help() string {
	return `Starts 'ipwarden serve --accounts' in a folder that is deleted in the end, and calls its
fast listener with a key that is known, in turns alone and beside a flood of keys that
nobody has, each another one. Prints how long a paying call takes in both, as a ratio,
and what a refusal costs the server in processor time and memory. Who floods and who
pays share this machine's processors with the server: the ratio is at its worst here.
Exit status 1 if a paying call was not answered, or one of the flood was.

Example:
  ipwarden bench flood --keys-per-second 20000`
}

// floodCallers is how many connections those who pay have, and those who do not.
const floodCallers = 4

// flood is a running measurement.
type flood struct {
	*floodCmd
	socket  string
	key     string
	raging  atomic.Bool
	refused atomic.Int64
	wrong   atomic.Int64 // answers that should have been others
	mu      sync.Mutex   // guards took
	took    [2][]time.Duration
}

// Run measures.
func (c *floodCmd) Run(ctx context.Context, e *env) error {
	if c.KeysPerSecond < 1 || c.Paying < 1 || c.Rounds < 1 || c.Round < 10*time.Millisecond {
		return usagef("--keys-per-second, --paying and --rounds are at least 1, and --round 10ms")
	}
	dir, err := os.MkdirTemp("", "ipwarden-flood-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if c.program == "" {
		if c.program, err = os.Executable(); err != nil {
			return err
		}
	}
	f := &flood{floodCmd: c, socket: filepath.Join(dir, "fast.sock")}
	if f.key, err = floodKey(ctx, dir, e); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	server := exec.CommandContext(ctx, c.program, "serve", "--accounts", "--data-dir", dir, "--listen", "unix:"+filepath.Join(dir, "all.sock"), "--fast-listen", "unix:"+f.socket, "--usage-clients", "4096")
	var said strings.Builder
	server.Stderr = &said
	if err := server.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() { _ = server.Wait(); close(ended) }()
	defer func() { stop(); <-ended }()
	for begun := time.Now(); ; {
		if conn, err := f.dial(ctx); err == nil {
			conn.Close()
			break
		}
		if time.Since(begun) > time.Minute || !wait(ctx, 10*time.Millisecond) {
			stop()
			<-ended
			return fmt.Errorf("the server does not start; it said: %s", said.String())
		}
	}
	return f.run(ctx, server.Process.Pid, e.stdout)
}

// floodKey makes somebody who pays.
func floodKey(ctx context.Context, dir string, e *env) (string, error) {
	a, err := (&accountsFlags{dirFlag: dirFlag{DataDir: dir}}).open(ctx, e)
	if err != nil {
		return "", err
	}
	defer a.Close()
	if _, err := a.hasher(ctx); err != nil {
		return "", err
	}
	if err := a.PutPlans(ctx, operator(), []customer.Plan{{Name: "paying", PerMonth: 1 << 40}}); err != nil {
		return "", err
	}
	acc, err := a.Add(ctx, operator(), account.NewAccount{Email: "paying@example.com", Plan: "paying", Verified: true})
	if err != nil {
		return "", err
	}
	_, text, err := a.NewKey(ctx, operator(), acc.ID, account.KeySpec{})
	return text, err
}

func (f *flood) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", f.socket)
}

func (f *flood) run(ctx context.Context, pid int, out io.Writer) error {
	run, stop := context.WithCancel(ctx)
	defer stop()
	errs := make(chan error, 2*floodCallers)
	var all sync.WaitGroup
	for range floodCallers {
		all.Go(func() { errs <- f.pay(run) })
		all.Go(func() { errs <- f.refuse(run) })
	}
	var cpu [2]time.Duration
	wait(ctx, f.Round) // the first calls are of another kind
	before := resident(pid)
	for n := range 2 * f.Rounds {
		raging := n % 2
		began := processorTime(pid)
		f.raging.Store(raging == 1)
		wait(ctx, f.Round)
		cpu[raging] += processorTime(pid) - began
	}
	f.raging.Store(false)
	grown := resident(pid) - before
	stop()
	all.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return f.report(out, cpu, grown)
}

func (f *flood) report(out io.Writer, cpu [2]time.Duration, grown int64) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "a paying call takes\tp50\tp90\tp99\t")
	var at [2][3]time.Duration
	for i, name := range []string{"alone", fmt.Sprintf("beside %d unknown keys a second", f.KeysPerSecond)} {
		slices.Sort(f.took[i])
		if len(f.took[i]) == 0 {
			return errors.New("the rounds are too short for a paying call")
		}
		for j, p := range []float64{0.5, 0.9, 0.99} {
			at[i][j] = f.took[i][min(len(f.took[i])-1, int(p*float64(len(f.took[i]))))]
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t\n", name, at[i][0].Round(time.Microsecond), at[i][1].Round(time.Microsecond), at[i][2].Round(time.Microsecond))
	}
	ratio := func(j int) float64 { return float64(at[1][j]) / float64(at[0][j]) }
	fmt.Fprintf(t, "ratio\t%.2f\t%.2f\t%.2f\t\n", ratio(0), ratio(1), ratio(2))
	if err := t.Flush(); err != nil {
		return err
	}
	refused := f.refused.Load()
	fmt.Fprintf(out, "\n%d keys were refused", refused)
	if cpu[1] > 0 && refused > 0 {
		fmt.Fprintf(out, "; a refusal costs the server %.1fµs of processor time, and all of them %.1f MiB of memory", float64((cpu[1]-cpu[0]).Nanoseconds())/1000/float64(refused), float64(grown)/(1<<20))
	}
	fmt.Fprintln(out)
	if n := f.wrong.Load(); n > 0 {
		fmt.Fprintf(out, "\n%d answers should have been others.\n", n)
		return errReported
	}
	return nil
}

// pay calls with the key that is known, and takes the time.
func (f *flood) pay(ctx context.Context) error {
	c, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	tick := time.NewTicker(floodCallers * time.Second / time.Duration(f.Paying))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		raging := 0
		if f.raging.Load() {
			raging = 1
		}
		began := time.Now()
		if err := c.ask(f.key); err != nil {
			return err
		}
		status, err := c.status()
		took := time.Since(began)
		if err != nil {
			return err
		}
		if status != http.StatusOK {
			f.wrong.Add(1)
		}
		f.mu.Lock()
		f.took[raging] = append(f.took[raging], took)
		f.mu.Unlock()
	}
}

// refuse sends keys that nobody has, while the flood rages.
func (f *flood) refuse(ctx context.Context) error {
	c, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	const turn = 5 * time.Millisecond
	tick := time.NewTicker(turn)
	defer tick.Stop()
	due := 0.0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if !f.raging.Load() {
			continue
		}
		due += float64(f.KeysPerSecond) / floodCallers * turn.Seconds()
		n := int(due)
		due -= float64(n)
		for range n {
			if err := c.ask(customer.NewKeyText(customer.Secret, customer.Live)); err != nil {
				return err
			}
			status, err := c.status()
			if err != nil {
				return err
			}
			if status != http.StatusUnauthorized {
				f.wrong.Add(1)
			}
			f.refused.Add(1)
		}
	}
}

// floodConn is one connection.
type floodConn struct {
	net.Conn
	in  *bufio.Reader
	out []byte
}

func (f *flood) open(ctx context.Context) (*floodConn, error) {
	conn, err := f.dial(ctx)
	if err != nil {
		return nil, err
	}
	return &floodConn{Conn: conn, in: bufio.NewReader(conn)}, nil
}

func (c *floodConn) ask(key string) error {
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	c.out = append(c.out[:0], "GET /v1/ip/8.8.8.8 HTTP/1.1\r\nHost: ip.example\r\nX-Api-Key: "...)
	c.out = append(append(c.out, key...), "\r\n\r\n"...)
	_, err := c.Write(c.out)
	return err
}

func (c *floodConn) status() (int, error) {
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}

// processorTime is what a process has used, where the system tells (proc(5)); ticks are
// hundredths of a second on all that do.
func processorTime(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// resident is how much memory of its own a process has; 0 is not known.
func resident(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n << 10
		}
	}
	return 0
}
