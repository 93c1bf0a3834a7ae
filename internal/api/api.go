package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/api/dialect"
	"github.com/ipwarden/ipwarden/internal/authz"
	"github.com/ipwarden/ipwarden/internal/shield"
	"github.com/ipwarden/ipwarden/internal/usage"
)

// Config says what an [API] answers from. The zero value is not usable: Data
// is required.
type Config struct {
	// Data returns the data in use; it is called once a request, so that one
	// answer never mixes two datasets. It must not block, must return the same
	// pointer until the data changes, and may return nil (of the interface, not
	// a nil pointer in it) while there is none yet: then look-ups are a 503 problem and /readyz says so. Required.
	Data func() Data

	// Info describes what Data returned. It is called when that changes, not on
	// every request. Default: a description with nothing in it.
	Info func(Data) Info

	// Scores computes the scores of a Record at the time of the answer.
	// Default: answers carry no scores.
	Scores func(r ipwarden.Record, now time.Time) ipwarden.Scores

	// Now is the clock. Default: time.Now.
	Now func() time.Time

	// Gate adds the routes that decide about requests. Default: none.
	Gate *GateConfig

	// GateOnly leaves out the look-ups and the pages: there are the gate's routes,
	// /healthz and /readyz. Default: false.
	GateOnly bool

	// Dialects are other vendors' wire formats, by virtual host and below
	// /compat/. Default: none.
	Dialects *dialect.Set

	// Accounts says who may have answers, and counts them. Default: everybody may,
	// and nothing is counted.
	Accounts *authz.Authorizer

	// Usage reads what was counted, for GET /v1/usage, where Accounts is given.
	// Default: there is no such route.
	Usage func(ctx context.Context, q usage.Query, yield func(usage.Row, int64) bool) error

	// SignIn and SignUp are the paths of the pages where people do so, such as
	// "/account/sign-in": the pages lead there. Default: they lead to none.
	SignIn, SignUp string

	// Session is the cookie of who is signed in, and Account where such a person goes:
	// the page at / leads there and not to SignIn. Whether the session still lasts is
	// said there. Default: nobody is signed in.
	Session, Account string

	// Mounts are what others answer, at the net/http listener. Default: nothing.
	Mounts []Mount

	// Client tells who asks, for keys that are for certain networks and for calls
	// without a key: under an explicit trust in proxies. It returns the invalid
	// address when it cannot tell. Default: the peer, whatever the header says.
	Client func(peer netip.Addr, h ipwarden.Header) netip.Addr

	// Watch is told of calls that are refused for their key, their quota or where they
	// come from. Default: nobody is.
	Watch *shield.Watch

	// Operator answers what is below /shield on the admin listener. Default: there is
	// nothing.
	Operator http.Handler

	// Parts are what the server works with, for /readyz and the metrics: always the
	// same ones. One that is away does not make the server unready. Default: none.
	Parts func() []Part

	// Impaired says what is out of use while the rest works, a line each, for people
	// who look at /readyz; it changes nothing else. Default: nothing is.
	Impaired func() []string

	// Version of the program, for the pages and the metrics. Default: "devel".
	Version string

	// PublicURL is where people reach the net/http listener ("https://ip.example"),
	// for links in answers that cannot know it: the fast listener names it in
	// its 404s, and the OpenAPI document lists it. Default: where [Listen] opened
	// it, and nothing in the OpenAPI document.
	PublicURL string

	// Log takes what went wrong inside. Default: slog.Default().
	Log *slog.Logger
}

// A Mount is what somebody else answers: Prefix itself, such as "/account", and all
// paths below it.
type Mount struct {
	Prefix  string
	Handler http.Handler
}

// mounted returns who answers a path, or nil for the API itself.
func (a *API) mounted(path string) http.Handler {
	for i := range a.cfg.Mounts {
		if rest, ok := strings.CutPrefix(path, a.cfg.Mounts[i].Prefix); ok && (rest == "" || rest[0] == '/') {
			return a.cfg.Mounts[i].Handler
		}
	}
	return nil
}

// An API answers requests. It is safe for concurrent use.
type API struct {
	cfg     Config
	queries *queryCache
	gate    *gateRoutes // nil without a policy
	zones   zoneEnds
	pages   *pages
	metrics *metrics

	usageReaders chan struct{} // who reads usage holds a place in it

	exchanges sync.Pool // of *exchange
	zippers   sync.Pool // of *zipper
	state     atomic.Pointer[state]
	draining  atomic.Bool
	date      atomic.Pointer[dateLine]
	clocks    atomic.Pointer[time.Time] // when both were read
}

// state is what is made once for each dataset.
type state struct {
	data Data
	asks ipwarden.Asker // data, where it asks others outside; else nil
	info Info
	seed uint64 // of the entity tags, so that they change with the dataset
	ends atomic.Pointer[endsOfDay]
}

// New makes an API. The error names every mistake in cfg.
func New(cfg Config) (*API, error) {
	var errs []error
	if cfg.Data == nil {
		errs = append(errs, errors.New("Data is missing: say where the data comes from"))
	}
	if u := cfg.PublicURL; u != "" && !strings.HasPrefix(u, "http://") && !strings.HasPrefix(u, "https://") {
		errs = append(errs, fmt.Errorf("PublicURL %q is no http:// or https:// address, such as \"https://ip.example\"", u))
	}
	for _, m := range cfg.Mounts {
		if m.Handler == nil || len(m.Prefix) < 2 || m.Prefix[0] != '/' || strings.HasSuffix(m.Prefix, "/") {
			errs = append(errs, fmt.Errorf("the prefix %q of Mounts is none, or has no handler; one is \"/account\"", m.Prefix))
		}
	}
	routes, err := newGateRoutes(cfg.Gate)
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	cfg.PublicURL = strings.TrimRight(cfg.PublicURL, "/")
	if cfg.Version == "" {
		cfg.Version = "devel"
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	a := &API{cfg: cfg, queries: newQueryCache(), gate: routes, usageReaders: make(chan struct{}, usageReaders)}
	a.exchanges.New = func() any { return &exchange{api: a} }
	a.zippers.New = newZipper
	if a.pages, err = newPages(&a.cfg, "http://127.0.0.1:8080"); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	a.metrics = newMetrics(a)
	if cfg.Accounts != nil {
		a.metrics.registry.MustRegister(AccountMetrics(cfg.Accounts))
	}
	if cfg.Parts != nil {
		a.metrics.registry.MustRegister(partCollector{cfg.Parts})
	}
	if cfg.Gate != nil {
		a.metrics.registry.MustRegister(GateMetrics(cfg.Gate.Gate, cfg.Gate.Challenges), LimitMetrics(cfg.Gate.Gate))
		if cfg.Gate.Crawlers != nil {
			a.metrics.registry.MustRegister(CrawlerMetrics(cfg.Gate.Crawlers))
		}
		if cfg.Gate.Bans != nil {
			a.metrics.registry.MustRegister(BanMetrics(cfg.Gate.Bans))
		}
	}
	return a, nil
}

// listensAt notes where the net/http listener is, for the examples, unless the
// operator said where people reach it. It is called before anything is served.
func (a *API) listensAt(addr net.Addr) error {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || a.cfg.PublicURL != "" {
		return nil
	}
	host := tcp.IP.String()
	if tcp.IP.IsUnspecified() {
		host = "127.0.0.1" // works on this machine at least
	}
	p, err := newPages(&a.cfg, "http://"+net.JoinHostPort(host, strconv.Itoa(tcp.Port)))
	if err != nil {
		return fmt.Errorf("api: %w", err)
	}
	a.pages = p
	return nil
}

// Ready reports whether look-ups can be answered, and are wanted.
func (a *API) Ready() bool { return !a.draining.Load() && a.cfg.Data() != nil }

// Refresh takes up what Config.Data returns now. Whoever swaps the data calls it,
// so that the one before is let go of at once and not with the next request.
func (a *API) Refresh() { a.current() }

// current returns the data in use with what was made for it. Its data is nil
// when there is none.
func (a *API) current() *state {
	d := a.cfg.Data()
	st := a.state.Load()
	if st != nil && st.data == d {
		return st
	}
	st = &state{data: d}
	st.asks, _ = d.(ipwarden.Asker)
	if d != nil && a.cfg.Info != nil {
		st.info = a.cfg.Info(d)
	}
	st.seed = xxhash.Sum64String(st.info.Hash)
	a.state.Store(st) // two racing requests store equal states
	return st
}
