// Package redis shares limits between nodes through Redis or Valkey: one server,
// one that sentinels watch, or a cluster.
//
// The call most people want:
//
//	l, err := redis.New(ctx, redis.Config{Addresses: []string{"127.0.0.1:6379"}})
//	…
//	defer l.Close()
//	err = l.Take(ctx, reqs, results)
//
// A [Limiter] is a [limit.Limiter]. In exact mode each Take that could be
// allowed asks the server, together with the others that wait; in fast mode this
// node admits a part of each limit before it asks, and nodes together admit at
// most [limit.SharedConfig.Overshoot] too many. Either way a Take takes no
// longer than its budget: a server that refuses, hangs, is slow, answers
// nonsense or was emptied leaves decisions to this node's own counts, which
// results say ([limit.Local]). It refuses to believe a value that is not its
// own, and to run without a time-out.
package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden/limit"
)

// Config says how a Limiter is made. Only Addresses must be there.
type Config struct {
	// Addresses are host:port, or the path of a Unix socket: the server's, some of
	// the cluster's nodes, or the sentinels'.
	Addresses []string
	// Cluster says that Addresses are nodes of a cluster. Keys of one Take may be on
	// several of them; see [Limiter].
	Cluster bool
	// Master is the name that sentinels know the server by; with it Addresses are
	// sentinels.
	Master string
	// Username and Password are the server's; SentinelUsername and SentinelPassword
	// the sentinels'. The default is none.
	Username, Password                 string
	SentinelUsername, SentinelPassword string
	// TLS is nil for a connection without it.
	TLS *tls.Config
	// Database is the number of the database; a cluster has only 0.
	Database int
	// Prefix begins each key; the default is "ipwarden:limit:". What else uses the
	// server must not use it.
	Prefix string

	// Budget, Fast, Lease, Interval and Entries are as in [limit.SharedConfig].
	Budget   time.Duration
	Fast     bool
	Lease    int
	Interval time.Duration
	Entries  int
	// Outcomes is how long the outcome of an attempt may be told to any node, see
	// [limit.Attempts]; the default is 10m.
	Outcomes time.Duration
	// DialTimeout is how long connecting may take, beside of requests; the default
	// is 500ms.
	DialTimeout time.Duration
	// Logger is told when the server goes away, once a minute while it is, and when
	// it is back. The default is slog.Default.
	Logger *slog.Logger
}

const (
	defaultPrefix      = "ipwarden:limit:"
	defaultBudget      = 5 * time.Millisecond
	defaultDialTimeout = 500 * time.Millisecond
)

func (c *Config) check() error {
	var errs []error
	wrong := func(text string) { errs = append(errs, errors.New("redis: Config."+text)) }
	if len(c.Addresses) == 0 {
		wrong(`Addresses is empty; it has at least one, such as "127.0.0.1:6379"`)
	}
	for _, a := range c.Addresses {
		if a == "" || !strings.HasPrefix(a, "/") && !strings.Contains(a, ":") {
			wrong("Addresses has " + strconv.Quote(a) + `, which is neither host:port nor a path, such as "127.0.0.1:6379"`)
		}
	}
	if c.Cluster && c.Master != "" {
		wrong("Cluster and Master are both there; a cluster has no sentinels")
	}
	if c.Cluster && c.Database != 0 {
		wrong("Database is " + strconv.Itoa(c.Database) + "; a cluster has only 0")
	}
	if c.Database < 0 {
		wrong("Database is negative; it is a number such as 0")
	}
	if len(c.Prefix) > 64 {
		wrong("Prefix has " + strconv.Itoa(len(c.Prefix)) + " bytes; it has at most 64")
	}
	if c.Outcomes < 0 || c.Outcomes > 24*time.Hour {
		wrong("Outcomes is " + c.Outcomes.String() + "; it is up to a day, such as 10m")
	}
	if c.DialTimeout < 0 || c.DialTimeout > time.Minute {
		wrong("DialTimeout is " + c.DialTimeout.String() + "; it is up to a minute, such as 500ms")
	}
	return errors.Join(errs...)
}

// A Limiter shares limits through a server. It is safe for concurrent use; Close
// ends it.
//
// On a cluster the keys of one Take may belong to several nodes, which nothing
// charges at once: each node charges its part, and when one denies, the others
// are told to give back what they took. Until they have, for the time of one
// round trip, others may be denied what they could have had. More than the limit
// is never admitted by that. A node that is lost in between keeps what it
// charged: at most the Cost of the Takes that were on their way.
type Limiter struct {
	*limit.Shared
	store *store
	asks  chan struct{} // as many as are under way beside the Takes
	notes notes
}

var _ limit.Limiter = (*Limiter)(nil)

// New returns a Limiter, or says everything that is wrong with c. It tries to
// connect for a second; a server that is away is no error, but told to Logger.
func New(ctx context.Context, c Config) (*Limiter, error) {
	if c.Prefix == "" {
		c.Prefix = defaultPrefix
	}
	if c.Budget == 0 {
		c.Budget = defaultBudget
	}
	if c.Outcomes == 0 {
		c.Outcomes = defaultOutcomes
	}
	if c.DialTimeout == 0 {
		c.DialTimeout = defaultDialTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	c.Addresses = append([]string(nil), c.Addresses...)
	st := newStore(&c)
	shared := limit.SharedConfig{
		Store: st, Budget: c.Budget, Fast: c.Fast, Lease: c.Lease, Interval: c.Interval, Entries: c.Entries,
		Notify: func(err error) {
			if err != nil {
				c.Logger.Warn("limits are counted by this node alone", "why", err)
			} else {
				c.Logger.Info("limits are shared")
			}
		},
	}
	if err := errors.Join(c.check(), shared.Check()); err != nil {
		return nil, err
	}
	s, err := limit.NewShared(ctx, shared)
	if err != nil {
		return nil, err
	}
	return &Limiter{Shared: s, store: st, asks: make(chan struct{}, asksAtOnce)}, nil
}

// Close tells the server what is not told yet, and disconnects.
func (l *Limiter) Close() error {
	err := l.Shared.Close()
	l.store.close()
	return err
}
