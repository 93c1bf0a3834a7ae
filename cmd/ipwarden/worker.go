package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/ipwarden/ipwarden/internal/api"
	"github.com/ipwarden/ipwarden/internal/worker"
)

// workerCmd enriches events of queues.
type workerCmd struct {
	Run    workerRunCmd    `cmd:"" default:"withargs" help:"Enrich events until it is told to stop (the default command)." example:"ipwarden worker run --config worker.yaml"`
	Check  workerCheckCmd  `cmd:"" help:"Check a configuration." example:"ipwarden worker check --config worker.yaml"`
	Replay workerReplayCmd `cmd:"" help:"Put dead letters back." example:"ipwarden worker replay --config worker.yaml"`
}

// Help is the long help.
func (workerCmd) Help() string {
	return `ipwarden worker --config FILE is ipwarden worker run --config FILE;
'ipwarden worker run --help' has its flags. docs/worker.md says what the file holds.

Examples:
  ipwarden worker --config worker.yaml
  ipwarden worker check --config worker.yaml
  ipwarden worker replay --config worker.yaml`
}

// workerFileFlag names the configuration.
type workerFileFlag struct {
	WorkerConfig string `env:"IPWARDEN_WORKER_CONFIG" placeholder:"FILE" help:"Where events come from and go to; --config FILE is the same here."`
}

// workerArgs lets --config be the worker's file where the command is worker: there it
// is not that of the settings, which IPWARDEN_CONFIG still names.
func workerArgs(args []string) []string {
	if len(args) == 0 || args[0] != "worker" {
		return args
	}
	args = append([]string(nil), args...)
	for i, a := range args {
		if a == "--config" || strings.HasPrefix(a, "--config=") {
			args[i] = "--worker-config" + strings.TrimPrefix(a, "--config")
		}
	}
	return args
}

func (f *workerFileFlag) read() (*worker.File, error) {
	if f.WorkerConfig == "" {
		return nil, usagef("say where events come from and go to: --config worker.yaml; docs/worker.md has one to begin with")
	}
	r, err := os.Open(f.WorkerConfig)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return worker.ReadFile(r, f.WorkerConfig, workerKinds())
}

type workerCheckCmd struct{ workerFileFlag }

// Help is the long help.
func (workerCheckCmd) Help() string {
	return `Says all that is wrong with the file, with lines and columns, or what it does. It
connects to nothing.

Example:
  ipwarden worker check --config worker.yaml`
}

// Run checks the file.
func (c *workerCheckCmd) Run(e *env) error {
	f, err := c.read()
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%s is right: events of %s", c.WorkerConfig, f.Input.Kind)
	for i, o := range f.Outputs {
		fmt.Fprintf(e.stdout, "%s %s (%s)", map[bool]string{true: " go to", false: ","}[i == 0], o.Name, o.Kind)
	}
	fmt.Fprintf(e.stdout, "; dead letters to %s; %d rules\n", f.Dead.Kind, len(f.Rules))
	return nil
}

type workerRunCmd struct {
	workerFileFlag
	AsOf        string `placeholder:"event|now|DATE" help:"Answer as of the time of each event, as of now, or from the dataset of that day or moment of those that the data directory keeps, whatever the file says."`
	AdminListen string `env:"IPWARDEN_ADMIN_LISTEN" placeholder:"ADDR" help:"Where metrics and profiles are; loopback only."`
	LogFormat   string `env:"IPWARDEN_LOG_FORMAT" enum:"text,json" default:"text" help:"${enum}."`
	LogLevel    string `env:"IPWARDEN_LOG_LEVEL" enum:"debug,info,warn,error" default:"info" help:"${enum}."`
	dataFlags
}

// Help is the long help.
func (workerRunCmd) Help() string {
	return `Takes events from a queue, adds what is known of their addresses, and puts them
into others. Each comes out at least once, and always with the same id; what is no
event goes to the dead letters. At SIGTERM it writes what it has read, and ends.

Examples:
  ipwarden worker --config worker.yaml
  ipwarden worker --config worker.yaml --admin-listen 127.0.0.1:9090
  ipwarden worker --config worker.yaml --as-of event
  ipwarden worker --config worker.yaml --as-of 2026-11-17`
}

// workerMemory is what is not exceeded without need, beside batches larger than usual.
const workerMemory = 96 << 20

// Run works until a signal.
func (c *workerRunCmd) Run(e *env) error {
	log := newLog(e.stderr, c.LogFormat, c.LogLevel)
	f, err := c.read()
	if err != nil {
		return err
	}
	if e.getenv("GOMEMLIMIT") == "" {
		// Batches make garbage quickly. It is collected sooner rather than let grow.
		debug.SetMemoryLimit(workerMemory + 8*int64(f.Batch.Bytes))
	}
	if c.AsOf != "" {
		f.AsOf = c.AsOf == "event"
	}
	answers, err := c.answers(e, log)
	if err != nil {
		return err
	}
	ends, err := openEnds(f, log)
	if err != nil {
		return err
	}
	defer ends.close(log)
	cfg := worker.Config{
		Input: ends.input, Outputs: ends.outputs, Dead: ends.dead, To: f.To, Rules: f.Rules,
		Source: answers.present, Paths: f.Paths, Fields: f.Fields, Member: f.Member, Scores: scores,
		MaxBytes: f.MaxBytes, Batch: f.Batch, Drain: f.Drain, Log: log, Now: e.now,
	}
	if f.AsOf {
		if cfg.AsOf, err = answers.history(&c.dataFlags, e, log); err != nil {
			return err
		}
	}
	w, err := worker.New(cfg)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	others, err := c.admin(w)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "ipwarden %s works\n  on events of %s as %s says\n", version(), f.Input.Kind, c.WorkerConfig)
	others.greet(e.stdout)
	wait := others.run(ctx, stop)
	watched := answers.watching(ctx)
	err = w.Run(ctx)
	stop()
	watched()
	return errors.Join(err, wait())
}

// answers opens what is answered from: what the files hold now, or what they held on
// the day of --as-of.
func (c *workerRunCmd) answers(e *env, log *slog.Logger) (*workerAnswers, error) {
	if c.AsOf == "" || c.AsOf == "event" || c.AsOf == "now" {
		return newWorkerAnswers(&c.dataFlags, e, log)
	}
	d, now, err := (&datedFlags{AsOf: c.AsOf, dataFlags: c.dataFlags}).openAsOf(e)
	if err != nil {
		return nil, err
	}
	a := &workerAnswers{log: log, at: now()}
	a.live.Store(d)
	return a, nil
}

// admin opens the listener for metrics.
func (c *workerRunCmd) admin(w *worker.Worker) (ways, error) {
	if c.AdminListen == "" {
		return nil, nil
	}
	if !api.OnLoopback(c.AdminListen) {
		return nil, usagef("the admin listener %q can be reached by others: it shows metrics and profiles to whoever asks; give a loopback address such as 127.0.0.1:9090", c.AdminListen)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	w.Metrics().Register(registry)
	healthy := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	h := &http.Server{Handler: api.AdminOf(registry, healthy, nil), ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 2 * time.Minute}
	return ways(nil).add("admin", c.AdminListen, func(ctx context.Context, ln net.Listener) error {
		defer context.AfterFunc(ctx, func() { _ = h.Close() })() // nobody waits for a metric
		if err := h.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
}
