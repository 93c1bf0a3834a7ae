package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"syscall"

	"github.com/ipwarden/ipwarden/dataset"
	"github.com/ipwarden/ipwarden/internal/api"
	"github.com/ipwarden/ipwarden/internal/console"
	"github.com/ipwarden/ipwarden/internal/redact"
)

type serveCmd struct {
	Listen        string   `env:"IPWARDEN_LISTEN" default:"127.0.0.1:8080" placeholder:"ADDR" help:"Where to answer, such as 127.0.0.1:8080, 0.0.0.0:80 or unix:/run/ipwarden.sock; default ${default}."`
	FastListen    string   `env:"IPWARDEN_FAST_LISTEN" placeholder:"ADDR" help:"A second listener for the hot routes alone, for use behind a proxy."`
	AdminListen   string   `env:"IPWARDEN_ADMIN_LISTEN" placeholder:"ADDR" help:"Where metrics and profiles are; loopback only."`
	Index         string   `env:"IPWARDEN_INDEX" enum:"auto,compact,flat" default:"auto" help:"${enum}: flat takes 72 MiB more for fewer steps an IPv4 look-up, which pays most in bulk; auto is compact."`
	ProxyProtocol []string `env:"IPWARDEN_PROXY_PROTOCOL" sep:"," placeholder:"CIDR,..." help:"Balancers that tell the client in a PROXY header at --listen, which they then must; default nobody."`
	PublicURL     string   `env:"IPWARDEN_PUBLIC_URL" placeholder:"URL" help:"Where people reach this server, for links in its answers."`
	LogFormat     string   `env:"IPWARDEN_LOG_FORMAT" enum:"text,json" default:"text" help:"${enum}."`
	LogLevel      string   `env:"IPWARDEN_LOG_LEVEL" enum:"debug,info,warn,error" default:"info" help:"${enum}."`
	dataFlags
	providerFlags
	reportFlags
	dialectFlags `group:"Dialects"`
	gateFlags    `group:"Gate"`
	doorFlags    `group:"Gate"`
	keyFlags     `group:"Accounts"`

	gateOnly bool // set by the gate command
}

// Help is the long help.
func (serveCmd) Help() string {
	return `Serves look-ups to whoever reaches it, and writes nothing. A new dataset, a
changed overlay and SIGHUP are taken up while it runs; one that is not right is
reported, and what was in use stays. SIGTERM and SIGINT end it when everything
that was accepted is answered.

Examples:
  ipwarden serve
  ipwarden serve --listen 0.0.0.0:8080 --admin-listen 127.0.0.1:9090
  ipwarden serve --dataset world.ipw --fast-listen unix:/run/ipwarden-fast.sock
  ipwarden serve --dialect-listen ipinfo=127.0.0.1:8091`
}

// server is what serve keeps while it runs.
type server struct {
	loader *loader
	live   atomic.Pointer[data]
	asked  atomic.Pointer[askedData] // live with providers; nil without
	beside *outside                  // the providers; nil without
	flat   bool
	gate   *gateRun // nil without a policy
	ask    *asker   // nil without dialects
	keys   *keyRun  // nil without accounts
	shield *shieldRun
	log    *slog.Logger
	failed reloads
	// swapped is called when live has changed; nil for nobody.
	swapped func()
}

// Run serves until it is told to stop.
func (c *serveCmd) Run(e *env) error {
	reports, err := c.reportFlags.open(e)
	if err != nil {
		return err
	}
	defer reports.Close()
	log := reported(newLog(e.stderr, c.LogFormat, c.LogLevel), reports)
	if e.getenv("GOGC") == "" {
		// What answers keep is most of the heap and does not change, and look-ups do
		// not allocate: memory is worth more here than collecting seldom.
		debug.SetGCPercent(50)
	}
	file, err := c.policyFile(&c.dirFlag, e)
	if err != nil {
		return err
	}
	if c.gateOnly && c.Accounts {
		return usagef("the gate alone has no look-ups; --accounts is a flag of ipwarden serve")
	}
	if c.gateOnly && file == "" {
		return usagef("there is no policy to decide by: give --policy policy.yaml; 'ipwarden policy init' writes one")
	}
	s := &server{loader: &loader{flags: &c.dataFlags, env: e, policy: file}, log: log, flat: c.Index == "flat"}
	seen := s.loader.fingerprint()
	first, err := s.loader.load()
	if err != nil {
		return err
	}
	if wrong := first.Canaries(); len(wrong) > 0 {
		log.Warn("this dataset is wrong about addresses whose answers are certain; it would be refused as a replacement", "first", wrong[0], "in all", len(wrong))
	}
	s.use(first)
	if s.beside, err = c.providerFlags.open(e, s.live.Load, log); err != nil {
		return err
	}
	defer s.beside.Close()
	s.use(first)
	arms := newShield(s.live.Load, s.beside, e, log)
	if s.gate, err = c.gateFlags.open(file, &c.dirFlag, e, s.live.Load, s.beside, arms, log); err != nil {
		return err
	}
	defer s.gate.Close()
	if s.gate == nil && !c.Accounts && (c.gateOnly || c.dialectFlags.off()) {
		if err := c.gateFlags.unused(); err != nil {
			return err
		}
	}
	dialects, alone, err := c.dialectFlags.open(c, s)
	if err != nil {
		return err
	}
	if s.keys, err = c.keyFlags.open(&c.dirFlag, c.reachedAt(), c.PublicURL, arms, e, log); err != nil {
		return err
	}
	defer s.keys.Close()
	if s.gate != nil || s.keys != nil {
		if err := arms.open(context.Background(), &c.dirFlag, e, s.gate, s.keys); err != nil {
			return err
		}
		s.shield = arms
		defer s.shield.Close()
	}
	operator, err := s.shield.page()
	if err != nil {
		return err
	}
	if s.loader.also = s.named(); len(s.loader.also) > 0 {
		seen = s.loader.fingerprint()
	}
	client := s.keys.client(&c.gateFlags, s.ask)
	mounts, err := s.mounts(c, client, e)
	if err != nil {
		return err
	}
	handler, err := api.New(api.Config{
		Data:   s.data(),
		Info:   func(d api.Data) api.Info { return describe(dataOf(d)) },
		Scores: scores, Gate: s.gate.routes(), GateOnly: c.gateOnly, Dialects: dialects, Accounts: s.keys.authorizer(), Usage: s.keys.rows(), Client: client, Mounts: mounts, SignIn: s.keys.page("sign-in"), SignUp: s.keys.page("sign-up"),
		Session: s.keys.session(c.reachedAt()), Account: console.Prefix,
		Watch: s.shield.sight(), Operator: operator, Parts: s.parts(),
		Impaired: s.beside.impaired, Now: e.now, Version: version(), PublicURL: c.PublicURL, Log: log,
	})
	if err != nil {
		return err
	}
	s.failed.register(handler.Registry())
	s.keys.register(handler.Registry())
	s.swapped = handler.Refresh
	s.beside.register(handler.Registry())
	s.shield.register(handler.Registry())
	handler.Registry().MustRegister(reportMetrics{reports})
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	proxied, err := proxyProtocol(c.ProxyProtocol, log)
	if err != nil {
		return err
	}
	listeners, err := api.Listen(api.ServerConfig{
		API: handler, Listen: c.Listen, FastListen: c.FastListen, AdminListen: c.AdminListen, Dialects: alone, Wrap: proxied,
	})
	if err != nil {
		return err
	}
	ways, err := c.doorFlags.open(s.gate, log)
	if err != nil {
		return err
	}
	greet(e.stdout, listeners, alone, first, c.gateOnly, cmp.Or(s.keys.page("sign-up"), s.keys.page("sign-in")))
	ways.greet(e.stdout)
	watched := s.watching(ctx, seen, hangup)
	others := ways.run(ctx, stop)
	err = listeners.Run(ctx)
	stop()
	watched()
	return errors.Join(err, others())
}

// newLog writes what happens, without keys and credentials.
func newLog(w io.Writer, format, level string) *slog.Logger {
	var l slog.Level
	_ = l.UnmarshalText([]byte(level)) // one of the enum
	var h slog.Handler = slog.NewTextHandler(w, &slog.HandlerOptions{Level: l})
	if format == "json" {
		h = slog.NewJSONHandler(w, &slog.HandlerOptions{Level: l})
	}
	return slog.New(redact.Handler(h))
}

// data is what the API reads.
func (s *server) data() func() api.Data {
	if s.beside == nil {
		return func() api.Data { return s.live.Load() }
	}
	return func() api.Data { return s.asked.Load() }
}

// named are the files that others name, which are watched.
func (s *server) named() []string { return slices.Concat(s.gate.named(), s.beside.named()) }

// use puts d in use; its flat index is built while it already answers.
func (s *server) use(d *data) {
	s.live.Store(d)
	if s.beside != nil {
		s.asked.Store(&askedData{d, s.beside})
		s.beside.forget()
	}
	if s.swapped != nil {
		s.swapped()
	}
	if s.flat {
		go func() {
			if err := d.BuildFlat(); err != nil {
				s.log.Warn("the flat index could not be built; the compact one answers", "error", err)
			}
		}()
	}
}

// describe tells the API what it answers from.
func describe(d *data) api.Info {
	in := d.Info()
	out := api.Info{
		Date: in.Date, Hash: in.Hash + d.overlaid, Size: in.Size,
		NetworksV4: int64(in.Counts.Ranges4), NetworksV6: int64(in.Counts.Ranges6),
		Records: int64(in.Counts.Answers), ASes: int64(in.Counts.ASNs),
	}
	for _, f := range in.Feeds {
		out.Feeds = append(out.Feeds, api.Feed{
			Name: f.Name, Title: f.Title, Homepage: f.URL, Date: f.Date, Licence: f.Licence,
			Attribution: f.Attribution, Rows: int64(f.Rows), Skipped: int64(f.Skipped),
		})
	}
	return out
}

// greet says where the server is, what it knows, and what to try. people is where those
// with accounts begin; empty where nobody has one.
func greet(w io.Writer, l *api.Server, alone []api.DialectListener, d *data, gateOnly bool, people string) {
	base := "http://" + reachable(l.Addr())
	if l.Addr().Network() == "unix" {
		base = "http://localhost"
		fmt.Fprintf(w, "ipwarden %s listens on unix:%s\n", version(), l.Addr())
	} else {
		fmt.Fprintf(w, "ipwarden %s listens on %s\n", version(), base)
	}
	if a := l.FastAddr(); a != nil {
		fmt.Fprintf(w, "  fast    %s:%s\n", a.Network(), a)
	}
	if a := l.AdminAddr(); a != nil {
		fmt.Fprintf(w, "  admin   http://%s/metrics\n", a)
	}
	greetDialects(w, l, alone)
	info := d.Info()
	fmt.Fprintf(w, "  dataset %s, %s, %s\n", day(info.Date), mib(info.Size), coverageText(&info))
	if gateOnly {
		return
	}
	curl := "curl "
	if l.Addr().Network() == "unix" {
		curl = fmt.Sprintf("curl --unix-socket %s ", l.Addr())
	}
	if people != "" {
		curl += "-H 'X-Api-Key: ipw_sk_live_…' "
	}
	fmt.Fprintf(w, "  try     %s%s/v1/ip/8.8.8.8\n", curl, base)
	fmt.Fprintf(w, "          %s'%s/v1/ip/2001:4860:4860::8888?fields=location.country,asn&explain=1'\n", curl, base)
	fmt.Fprintf(w, "          %s/docs in a browser\n", base)
	if people != "" {
		fmt.Fprintf(w, "  pages   %s%s\n", base, people)
	}
}

func coverageText(info *dataset.Info) string {
	return fmt.Sprintf("%d IPv4 and %d IPv6 ranges from %d feeds", info.Counts.Ranges4, info.Counts.Ranges6, len(info.Feeds))
}

// reachable is an address that a person can paste: the wildcard is none.
func reachable(a net.Addr) string {
	t, ok := a.(*net.TCPAddr)
	if !ok || !t.IP.IsUnspecified() {
		return a.String()
	}
	return net.JoinHostPort("127.0.0.1", fmt.Sprint(t.Port))
}
