// Package sentry reports errors to a service that speaks Sentry's protocol, so that
// somebody is told of them who does not read the log.
//
// The call most people want:
//
//	r, err := sentry.New(sentry.Config{DSN: dsn})
//	log := slog.New(r.Handler(next))
//	…
//	defer r.Close()
//
// What is reported is what the log has at the level ERROR, without keys, credentials
// and the host parts of addresses, and without anything of a request or of the
// machine. It never makes anybody wait: what is too much is dropped, and counted.
package sentry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/getsentry/sentry-go"

	"github.com/ipwarden/ipwarden/internal/redact"
)

// Config says where to report to.
type Config struct {
	// DSN is https://KEY@HOST/PROJECT. Required.
	DSN string
	// Environment and Release tell reports apart. Default: none.
	Environment, Release string
	// PerMinute is how many reports are sent in a minute. Default: 60.
	PerMinute int
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// A Reporter sends reports. It is safe for concurrent use. The nil one sends none.
type Reporter struct {
	client *sentry.Client
	cfg    Config
	stop   context.CancelFunc // ends what is on its way

	mu     sync.Mutex // guards what is below
	minute time.Time
	left   int

	sent, dropped atomic.Uint64
}

// New returns a Reporter. It asks nobody yet.
func New(cfg Config) (*Reporter, error) {
	if cfg.PerMinute <= 0 {
		cfg.PerMinute = 60
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.DSN == "" {
		return nil, errNoDSN
	}
	ctx, stop := context.WithCancel(context.Background())
	client, err := sentry.NewClient(sentry.ClientOptions{
		Dsn: cfg.DSN, Environment: cfg.Environment, Release: cfg.Release,
		ServerName:       "-", // not the name of the machine
		AttachStacktrace: false, MaxBreadcrumbs: -1,
		HTTPClient: &http.Client{Timeout: 10 * time.Second, Transport: until{ctx}, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // reports go where the operator says, and nowhere else
		}},
		Integrations: func([]sentry.Integration) []sentry.Integration { return nil }, // no list of modules, no environment
		BeforeSend:   func(e *sentry.Event, _ *sentry.EventHint) *sentry.Event { e.ServerName = ""; return e },
	})
	if err != nil {
		stop()
		return nil, errNoDSN // whose own words may have the key in them
	}
	return &Reporter{client: client, cfg: cfg, stop: stop}, nil
}

var errNoDSN = errors.New("that is no DSN of Sentry; one is https://KEY@sentry.example.com/42")

// Counts says how many reports were handed over, and how many dropped because there
// were too many.
func (r *Reporter) Counts() (sent, dropped uint64) {
	if r == nil {
		return 0, 0
	}
	return r.sent.Load(), r.dropped.Load()
}

// Close sends what waits, for two seconds at most.
func (r *Reporter) Close() error {
	if r == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	r.client.FlushWithContext(ctx) // what could not be sent is in the log
	r.stop()
	r.client.Close()
	return nil
}

// until sends requests that end when ctx does.
type until struct{ ctx context.Context }

// RoundTrip is part of http.RoundTripper.
func (u until) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	stop := context.AfterFunc(u.ctx, cancel)
	res, err := http.DefaultTransport.RoundTrip(r.WithContext(ctx))
	if err != nil {
		stop()
		cancel()
		return nil, err
	}
	res.Body = body{res.Body, func() { stop(); cancel() }}
	return res, nil
}

// body ends its request when it is closed.
type body struct {
	io.ReadCloser
	end func()
}

// Close is part of io.Closer.
func (b body) Close() error {
	defer b.end()
	return b.ReadCloser.Close()
}

// admit reports whether there may be a report more in this minute.
func (r *Reporter) admit() bool {
	now := r.cfg.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if d := now.Sub(r.minute); d >= time.Minute || d < 0 {
		r.minute, r.left = now, r.cfg.PerMinute
	}
	if r.left == 0 {
		r.dropped.Add(1)
		return false
	}
	r.left--
	return true
}

// Handler hands records on, and reports those of the level ERROR.
func (r *Reporter) Handler(next slog.Handler) slog.Handler {
	if r == nil {
		return next
	}
	return handler{next: next, to: r}
}

type handler struct {
	next  slog.Handler
	to    *Reporter
	attrs []slog.Attr
	group string // before the names of what is added, with a dot
}

// Enabled is part of slog.Handler.
func (h handler) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelError || h.next.Enabled(ctx, l)
}

// Handle is part of slog.Handler.
func (h handler) Handle(ctx context.Context, rec slog.Record) error {
	if rec.Level >= slog.LevelError && h.to.admit() {
		h.to.report(&h, &rec)
	}
	if !h.next.Enabled(ctx, rec.Level) {
		return nil
	}
	return h.next.Handle(ctx, rec)
}

// WithAttrs is part of slog.Handler.
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.next = h.next.WithAttrs(attrs)
	all := append([]slog.Attr(nil), h.attrs...)
	for _, a := range attrs {
		all = append(all, slog.Attr{Key: h.group + a.Key, Value: a.Value})
	}
	h.attrs = all
	return h
}

// WithGroup is part of slog.Handler.
func (h handler) WithGroup(name string) slog.Handler {
	h.next = h.next.WithGroup(name)
	if name != "" {
		h.group += name + "."
	}
	return h
}

// Bounds of a report.
const (
	maxText  = 2000    // bytes of a text
	maxSeen  = 8 << 10 // bytes of a text that are looked at
	maxAttrs = 50
)

func (r *Reporter) report(h *handler, rec *slog.Record) {
	e := sentry.NewEvent()
	e.Level, e.Timestamp, e.Platform = sentry.LevelError, rec.Time, "go"
	e.Message = clean(rec.Message)
	facts := sentry.Context{}
	for _, a := range h.attrs {
		add(facts, "", a)
	}
	rec.Attrs(func(a slog.Attr) bool {
		add(facts, h.group, a)
		return len(facts) < maxAttrs
	})
	if len(facts) > 0 {
		e.Contexts = map[string]sentry.Context{"log": facts}
	}
	if rec.PC != 0 {
		f, _ := runtime.CallersFrames([]uintptr{rec.PC}).Next()
		pkg, function := path.Split(f.Function)
		pkg, function = pkg+strings.SplitN(function, ".", 2)[0], function[strings.IndexByte(function, '.')+1:]
		e.Logger = pkg
		e.Transaction = function
		e.Tags = map[string]string{"source": fmt.Sprintf("%s:%d", path.Base(f.File), f.Line)}
	}
	if r.client.CaptureEvent(e, nil, nil) == nil {
		r.dropped.Add(1)
		return
	}
	r.sent.Add(1)
}

// add adds what a record says, as text.
func add(to sentry.Context, group string, a slog.Attr) {
	v := a.Value.Resolve()
	switch {
	case len(to) >= maxAttrs:
	case v.Kind() == slog.KindGroup:
		for _, member := range v.Group() {
			add(to, group+a.Key+".", member)
		}
	case redact.Named(a.Key):
		to[group+a.Key] = "[redacted]"
	default:
		to[group+a.Key] = clean(fmt.Sprintf("%v", v.Any()))
	}
}

// clean is a text as somebody outside may have it. It is cut when the secrets are out:
// the first half of one is not known again.
func clean(s string) string {
	if len(s) > maxSeen {
		s = s[:maxSeen]
		s = s[:strings.LastIndexAny(s, " \n")+1] + "…" // without the last word, of which a part is gone
	}
	s = redact.Addresses(redact.Secrets(s))
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	return s
}
