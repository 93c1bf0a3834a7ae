package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/alecthomas/kong"

	"github.com/ipwarden/ipwarden/internal/config"
)

// cli is every command and every flag that more than one command has.
type cli struct {
	Config string `env:"IPWARDEN_CONFIG" placeholder:"FILE" help:"Read settings from FILE instead of ipwarden.yaml, here or in /etc/ipwarden."`

	Lookup     lookupCmd     `cmd:"" help:"Say who addresses are." example:"ipwarden lookup 8.8.8.8 2001:4860:4860::8888"`
	Explain    explainCmd    `cmd:"" help:"Show which feed says what about an address." example:"ipwarden explain 8.8.8.8"`
	Enrich     enrichCmd     `cmd:"" help:"Add what is known of the addresses in files." example:"ipwarden enrich access.log.gz"`
	Summarize  summarizeCmd  `cmd:"" help:"Count who is in files: countries, networks, traits, providers." example:"ipwarden summarize -o report.html access.log.gz"`
	Worker     workerCmd     `cmd:"" help:"Enrich the events of queues." example:"ipwarden worker --config worker.yaml"`
	Serve      serveCmd      `cmd:"" help:"Answer over HTTP." example:"ipwarden serve --listen 127.0.0.1:8080"`
	Gate       gateCmd       `cmd:"" help:"Decide about requests for proxies and applications." example:"ipwarden gate --policy policy.yaml --listen unix:/run/ipwarden.sock"`
	Policy     policyCmd     `cmd:"" help:"Write, check, test and explain policies." example:"ipwarden policy init"`
	Gateway    gatewayCmd    `cmd:"" help:"Stand in front of an application as a reverse proxy." example:"ipwarden gateway --upstream http://127.0.0.1:3000 --policy policy.yaml"`
	Edge       edgeCmd       `cmd:"" help:"Decide at an edge platform." example:"ipwarden edge build --policy policy.yaml --out edge"`
	Ban        banCmd        `cmd:"" help:"Shut networks out for a while, at a running gate." example:"ipwarden ban 203.0.113.7 --for 1h --reason 'sshd: 5 failures'"`
	Shield     shieldCmd     `cmd:"" help:"Refuse more, under attack." example:"ipwarden shield require-keys --for 2h"`
	DNSBL      dnsblCmd      `cmd:"" name:"dnsbl" help:"Ask block lists by DNS." example:"ipwarden dnsbl check bl.blocklist.de"`
	Data       dataCmd       `cmd:"" help:"Fetch feeds, and build, check and export datasets." example:"ipwarden data update"`
	Provider   providerCmd   `cmd:"" help:"Try and compare providers." example:"ipwarden provider compare --providers providers.yaml --sample 500 access.log"`
	CIDR       cidrCmd       `cmd:"" name:"cidr" help:"Compute with networks, and find addresses in text." example:"ipwarden cidr aggregate networks.txt"`
	Account    accountCmd    `cmd:"" help:"Look after accounts." example:"ipwarden account add ada@example.com"`
	Key        keyCmd        `cmd:"" help:"Make, list, rotate, revoke and restrict keys." example:"ipwarden key new ada@example.com --name web"`
	Plan       planCmd       `cmd:"" help:"Look after plans." example:"ipwarden plan list"`
	Usage      usageCmd      `cmd:"" help:"Say what accounts and keys have used." example:"ipwarden usage ada@example.com --by day"`
	Mail       mailCmd       `cmd:"" help:"Read the letters of accounts that wait in the outbox." example:"ipwarden mail list"`
	Migrate    migrateCmd    `cmd:"" help:"Move an installation to another database." example:"ipwarden migrate sqlite-to-postgres --accounts-url postgres://ipwarden@db.example.com/ipwarden"`
	Bench      benchCmd      `cmd:"" help:"Measure what is promised." example:"ipwarden bench overshoot --nodes 4 --redis redis://127.0.0.1:6379"`
	Simulate   simulateCmd   `cmd:"" help:"Run many regions on this machine, and break them." example:"ipwarden simulate regions --regions 11"`
	Version    versionCmd    `cmd:"" help:"Print the version." example:"ipwarden version"`
	Completion completionCmd `cmd:"" help:"Print the completion of a shell." example:"ipwarden completion bash"`
}

// dataCmd groups what is about datasets rather than addresses.
type dataCmd struct {
	Update updateCmd `cmd:"" help:"Fetch the feeds, build a dataset, and switch to it." example:"ipwarden data update"`
	Build  buildCmd  `cmd:"" help:"Build a dataset from a folder of feeds, reproducibly." example:"ipwarden data build --from feeds -o world.ipw"`
	Verify verifyCmd `cmd:"" help:"Check a dataset thoroughly." example:"ipwarden data verify world.ipw"`
	Info   infoCmd   `cmd:"" help:"Tell what a dataset holds." example:"ipwarden data info"`
	Diff   diffCmd   `cmd:"" help:"Tell what moved between two datasets." example:"ipwarden data diff old.ipw new.ipw"`
	Export exportCmd `cmd:"" help:"Write a dataset in another format." example:"ipwarden data export --format mmdb -o world.mmdb"`
	Notice noticeCmd `cmd:"" help:"Print the licence and the credits of a dataset." example:"ipwarden data notice >NOTICE"`
	Feeds  feedsCmd  `cmd:"" help:"List the feeds of the catalogue." example:"ipwarden data feeds"`
}

// env is the world that a command sees, so that tests can make one.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	now            func() time.Time
}

// Exit statuses.
const (
	exitOK    = 0
	exitSome  = 1 // something failed; the rest was done
	exitUsage = 2 // the command was not understood, or a question has no answer
)

// errReported ends a command whose failures have been told already.
var errReported = errors.New("something failed")

// errNoAnswer ends a command whose exit status is its answer and that could not
// find it; why has been told already.
var errNoAnswer = errors.New("no answer")

// usageError is a mistake in the command line that only the command can see.
type usageError struct{ error }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// exit carries the status of kong's own exits (--help) out of Parse.
type exit int

// run is the whole program.
func run(args []string, e *env) (status int) {
	defer func() {
		if code, ok := recover().(exit); ok {
			status = int(code)
		}
	}()
	var c cli
	file := &settings{getenv: e.getenv}
	parser, err := kong.New(
		&c, kong.Name("ipwarden"), kong.Description("Tells a service who is knocking.\n\nStart with 'ipwarden lookup 8.8.8.8' or 'ipwarden serve'."),
		kong.Writers(e.stdout, e.stderr), kong.Exit(func(code int) { panic(exit(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 96}),
		kong.Resolvers(file),
		kong.Vars{"index": "auto,compact,flat"},
	)
	if err != nil {
		panic(err) // the structs above are wrong: no user can cause it
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	switch args[0] { // as other programs spell it
	case "--version":
		args[0] = "version"
	case "help":
		args = append(args[1:len(args):len(args)], "--help")
	}
	ctx, err := parser.Parse(workerArgs(args))
	if err == nil && file.err != nil {
		fmt.Fprintf(e.stderr, "ipwarden: the configuration file: %v\n", file.err)
		return exitUsage
	}
	if err != nil {
		var wrong *kong.ParseError
		node := parser.Model.Node
		if errors.As(err, &wrong) && wrong.Context != nil && wrong.Context.Selected() != nil {
			node = wrong.Context.Selected()
		}
		explainUsage(e.stderr, err, node)
		return exitUsage
	}
	ctx.Bind(e)
	ctx.Bind(parser.Model)
	ctx.BindTo(context.Background(), (*context.Context)(nil))
	err = ctx.Run()
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		explainUsage(e.stderr, err, ctx.Selected())
		return exitUsage
	case errors.Is(err, errNoAnswer):
		return exitUsage
	case errors.Is(err, errReported):
	default:
		fmt.Fprintf(e.stderr, "ipwarden: %v\n", err)
	}
	return exitSome
}

// explainUsage says what was wrong with a command line, and what works.
func explainUsage(w io.Writer, err error, node *kong.Node) {
	fmt.Fprintf(w, "ipwarden: %v\n", err)
	path := node.FullPath()
	if node.Tag != nil && node.Tag.Has("example") {
		fmt.Fprintf(w, "  for example:  %s\n", node.Tag.Get("example"))
	}
	fmt.Fprintf(w, "  all of it:    %s --help\n", path)
}

// settings resolves flags from the configuration file, which is read when the
// first flag asks for it.
type settings struct {
	getenv func(string) string
	file   *config.Settings
	err    error
}

// Validate is part of kong.Resolver; the file's own reader has checked it.
func (s *settings) Validate(*kong.Application) error { return nil }

// Resolve returns what the file says of a flag that was not given. The
// environment goes before the file, which kong would do the other way round.
func (s *settings) Resolve(ctx *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if flag.Name == "config" || flag.Name == "help" {
		return nil, nil
	}
	for _, name := range flag.Envs {
		if _, set := lookupEnv(s.getenv, name); set {
			return nil, nil
		}
	}
	if s.file == nil && s.err == nil {
		s.file, s.err = config.LoadSettings(configName(ctx, s.getenv))
	}
	if s.err != nil {
		return nil, nil //nolint:nilerr // run reports it once; kong would blame a flag
	}
	if v, ok := s.file.Get(flag.Name); ok {
		return v, nil
	}
	return nil, nil
}

func configName(ctx *kong.Context, getenv func(string) string) string {
	for _, p := range ctx.Path {
		if p.Flag != nil && p.Flag.Name == "config" {
			if s, ok := ctx.FlagValue(p.Flag).(string); ok {
				return s
			}
		}
	}
	return getenv("IPWARDEN_CONFIG")
}

func lookupEnv(getenv func(string) string, name string) (string, bool) {
	v := getenv(name)
	return v, v != ""
}

// isTerminal reports whether w is a screen and not a file or a pipe.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
