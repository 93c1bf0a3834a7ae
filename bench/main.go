package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// options are the command line.
type options struct {
	feeds, cache            string
	inProcess, build, serve bool
	limits, providers       bool
	gate, dialects, files   bool
	worker, accounts, usage bool
	events                  int // for the worker
	all, quick              bool
	rounds                  int
	only                    string
	addresses               int // in each list
}

func main() {
	if len(os.Args) > 1 {
		if child, ok := children[os.Args[1]]; ok {
			if err := child(os.Args[2:]); err != nil {
				fmt.Fprintf(os.Stderr, "bench %s: %v\n", os.Args[1], err)
				os.Exit(1)
			}
			return
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// children are what this program does in processes of their own, so that the
// time and the memory of each contestant are its own.
var children = map[string]func(args []string) error{
	"worker":           workerMain,
	"account":          accountMain,
	"build-mmdbwriter": buildMMDBWriterMain,
	"build-mmdb":       buildMMDBMain,
	"build-dataset":    buildDatasetMain,
	"measure":          measureMain,
	"serve-plain":      servePlainMain,
	"serve-fixed":      serveFixedMain,
	"limit":            limitMain,
	"serve-empty":      serveEmptyMain,
	"serve-spop":       serveSPOPMain,
	"pace":             paceMain,
	"file-loop":        fileLoopMain,
}

func run(ctx context.Context, args []string, out, log io.Writer) error {
	o, err := parse(args, log)
	if err != nil {
		return err
	}
	progress := func(format string, a ...any) { fmt.Fprintf(log, "bench: "+format+"\n", a...) }
	var w *world
	if o.inProcess || o.build || o.serve || o.gate || o.dialects || o.files {
		if w, err = prepareWorld(ctx, o, progress); err != nil {
			return err
		}
	}
	r := &report{machine: describeMachine(), world: w, quick: o.quick, rounds: o.rounds}
	if o.inProcess {
		if err := runInProcess(ctx, o, w, r, progress); err != nil {
			return err
		}
	}
	if o.build {
		if err := runBuilds(ctx, o, w, r, progress); err != nil {
			return err
		}
	}
	if o.serve {
		if err := runHTTP(ctx, o, w, r, progress); err != nil {
			return err
		}
	}
	if o.limits {
		if err := runLimits(ctx, o, r, progress); err != nil {
			return err
		}
	}
	if o.providers {
		if err := runProviders(ctx, o, r, progress); err != nil {
			return err
		}
	}
	if o.gate {
		if err := runGate(ctx, o, w, r, progress); err != nil {
			return err
		}
	}
	if o.dialects {
		if err := runDialects(ctx, o, w, r, progress); err != nil {
			return err
		}
	}
	if o.files {
		if err := runFiles(ctx, o, w, r, progress); err != nil {
			return err
		}
	}
	if o.worker {
		if err := runEvents(ctx, o, r, progress); err != nil {
			return err
		}
	}
	if o.accounts || o.usage {
		if err := runAccounts(ctx, o, r, progress); err != nil {
			return err
		}
	}
	if o.accounts {
		if err := runAccountsHTTP(ctx, o, r, progress); err != nil {
			return err
		}
	}
	r.machine.loadAfter = loadAverage()
	return r.write(out)
}

func parse(args []string, log io.Writer) (*options, error) {
	o := &options{}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(log)
	fs.StringVar(&o.feeds, "feeds", os.Getenv("IPWARDEN_TEST_DATA"), "the folder of feeds; default $IPWARDEN_TEST_DATA")
	fs.StringVar(&o.cache, "cache", "", "where the world is kept between runs; default ipwarden-bench in the user's cache")
	fs.BoolVar(&o.all, "all", false, "everything; the default when none of the next eleven is named")
	fs.BoolVar(&o.inProcess, "inprocess", false, "look-ups in process")
	fs.BoolVar(&o.build, "build", false, "building the world")
	fs.BoolVar(&o.serve, "http", false, "look-ups over HTTP")
	fs.BoolVar(&o.limits, "limits", false, "limits in memory and through Redis; needs no feeds")
	fs.BoolVar(&o.providers, "providers", false, "the cache before providers, in memory and through Redis; needs no feeds")
	fs.BoolVar(&o.gate, "gate", false, "decisions, in process and through nginx and HAProxy")
	fs.BoolVar(&o.dialects, "dialects", false, "answers in other vendors' formats over HTTP, beside our own")
	fs.BoolVar(&o.files, "files", false, "files through the command, beside what one would script")
	fs.BoolVar(&o.worker, "worker", false, "the worker on NATS and Kafka; needs no feeds")
	fs.BoolVar(&o.accounts, "accounts", false, "keys, in process and over HTTP; needs no feeds")
	fs.BoolVar(&o.usage, "usage", false, "counting calls and reading the counts, beside Redis; needs no feeds")
	fs.IntVar(&o.events, "events", 0, "with -worker: so many; default 500000, with -quick 30000")
	fs.BoolVar(&o.quick, "quick", false, "few and short rounds: shows that everything runs, its figures are rough")
	fs.IntVar(&o.rounds, "rounds", 0, "interleaved rounds; default 7, with -quick 2")
	fs.StringVar(&o.only, "only", "", "contestants whose name holds one of these words, separated by commas")
	if err := fs.Parse(args); err != nil {
		return nil, flag.ErrHelp
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("%q is no flag; write -all, -inprocess, -build, -http, -limits, -providers, -gate, -dialects, -files, -worker, -accounts or -usage", fs.Arg(0))
	}
	if o.all || !o.inProcess && !o.build && !o.serve && !o.limits && !o.providers && !o.gate && !o.dialects && !o.files && !o.worker && !o.accounts && !o.usage {
		o.inProcess, o.build, o.serve, o.limits, o.providers, o.gate, o.dialects, o.files, o.worker = true, true, true, true, true, true, true, true, true
		o.accounts, o.usage = true, true
	}
	if o.feeds == "" && (o.inProcess || o.build || o.serve || o.gate || o.dialects || o.files) {
		return nil, errors.New("say where the feeds are: -feeds DIR or IPWARDEN_TEST_DATA=DIR; DIR has geo/tor-geoip, geo/tor-geoip6 and geo/ipfire-location-*.txt, plain or gzipped")
	}
	if o.cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("%w; name a folder with -cache", err)
		}
		o.cache = filepath.Join(dir, "ipwarden-bench")
	}
	if o.rounds <= 0 {
		if o.rounds = 7; o.quick {
			o.rounds = 2
		}
	}
	o.addresses = 1 << 20
	return o, nil
}

// chosen reports whether -only lets a contestant take part.
func (o *options) chosen(name string) bool {
	if o.only == "" {
		return true
	}
	for word := range strings.SplitSeq(o.only, ",") {
		if strings.Contains(name, strings.TrimSpace(word)) {
			return true
		}
	}
	return false
}
