package redis

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/ipwarden/ipwarden/source"
)

// AnswersConfig says where providers' answers are shared.
type AnswersConfig struct {
	// Server says which server, as for a Limiter: Addresses, Cluster, Master, the
	// names and passwords, TLS, Database, DialTimeout and Logger. Prefix is
	// "ipwarden:" where it is not given. What else is in it is not used.
	Server Config
	// ClientCache keeps in this process what was read, as long as the server does not
	// say that it has changed (client-side caching, RESP3). It pays where the answers
	// that are asked for again and again do not fit into the process's own memory.
	// Default: not.
	ClientCache bool
}

const defaultAnswersPrefix = "ipwarden:"

// Answers is a [source.Store] on a Redis or Valkey server. Values are read no
// further than source.MaxValue, whatever the server has. It is safe for
// concurrent use.
type Answers struct {
	cfg Config
	own bool // client-side caching

	ready atomic.Pointer[rueidis.Client] // client, for who need not wait

	mu         sync.Mutex // guards the rest
	client     rueidis.Client
	closed     bool
	connecting bool
	failed     time.Time // when connecting failed
	err        error
}

var (
	_ source.Store   = (*Answers)(nil)
	_ source.Counter = (*Answers)(nil)
)

// NewAnswers returns a Store, or says everything that is wrong with c. It does not
// wait for the server: one that is away is connected to when it is back.
func NewAnswers(c AnswersConfig) (*Answers, error) {
	s := &c.Server
	if s.Prefix == "" {
		s.Prefix = defaultAnswersPrefix
	}
	if s.DialTimeout == 0 {
		s.DialTimeout = defaultDialTimeout
	}
	if s.Logger == nil {
		s.Logger = slog.Default()
	}
	s.Addresses = append([]string(nil), s.Addresses...)
	if err := s.check(); err != nil {
		return nil, err
	}
	return &Answers{cfg: *s, own: c.ClientCache}, nil
}

// Close disconnects.
func (a *Answers) Close() error {
	a.mu.Lock()
	a.closed = true
	client := a.client
	a.client = nil
	a.ready.Store(nil)
	a.mu.Unlock()
	if client != nil {
		client.Close()
	}
	return nil
}

// Connecting has a time of its own: a question does not wait for it longer than
// its context allows, and the next finds it done.
const (
	connectPatience = 2 * time.Millisecond
	connectPause    = time.Second
)

var errConnecting = errors.New("redis: not connected yet")

// connected returns the client. The first time it connects, behind the question.
func (a *Answers) connected(ctx context.Context) (rueidis.Client, error) {
	if client := a.ready.Load(); client != nil {
		return *client, nil
	}
	for {
		a.mu.Lock()
		switch {
		case a.closed:
			a.mu.Unlock()
			return nil, errClosed
		case a.client != nil:
			client := a.client
			a.mu.Unlock()
			return client, nil
		case !a.connecting && time.Since(a.failed) < connectPause:
			err := a.err
			a.mu.Unlock()
			return nil, err
		case !a.connecting:
			a.connecting = true
			go a.connect()
		}
		a.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, errConnecting
		case <-time.After(connectPatience):
		}
	}
}

func (a *Answers) connect() {
	client, err := dialServer(&a.cfg, !a.own)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.connecting = false
	switch {
	case err != nil:
		a.failed, a.err = time.Now(), err
	case a.closed:
		client.Close()
	default:
		a.client = client
		a.ready.Store(&client)
	}
}

func (a *Answers) key(k source.Key) string {
	b := make([]byte, 0, 64+source.MaxKeyText)
	return string(k.AppendText(append(b, a.cfg.Prefix...)))
}

// trackedFor bounds how long the client keeps what it has read.
const trackedFor = time.Minute

// Get is part of [source.Store].
func (a *Answers) Get(ctx context.Context, keys []source.Key, values [][]byte) error {
	client, err := a.connected(ctx)
	if err != nil {
		return err
	}
	if a.own {
		return a.getOwn(ctx, client, keys, values)
	}
	cmds := make(rueidis.Commands, len(keys))
	for i, k := range keys {
		cmds[i] = client.B().Arbitrary("GETRANGE").Keys(a.key(k)).Args("0", lastByte).ReadOnly()
	}
	for i, r := range client.DoMulti(ctx, cmds...) {
		if values[i], err = value(r); err != nil {
			return err
		}
	}
	return nil
}

// lastByte is one more than there may be, so that a longer value is told from one
// that has been cut.
var lastByte = strconv.Itoa(source.MaxValue)

// getOwn is Get where the client remembers what it has read.
func (a *Answers) getOwn(ctx context.Context, client rueidis.Client, keys []source.Key, values [][]byte) (err error) {
	read := func(k source.Key) rueidis.Cacheable {
		return client.B().Getrange().Key(a.key(k)).Start(0).End(source.MaxValue).Cache()
	}
	if len(keys) == 1 {
		values[0], err = value(client.DoCache(ctx, read(keys[0]), trackedFor))
		return err
	}
	cmds := make([]rueidis.CacheableTTL, len(keys))
	for i, k := range keys {
		cmds[i] = rueidis.CT(read(k), trackedFor)
	}
	for i, r := range client.DoMultiCache(ctx, cmds...) {
		if values[i], err = value(r); err != nil {
			return err
		}
	}
	return nil
}

// value is what a key holds, nil where there is nothing of ours. Its bytes may be the
// client's, for others to read too.
func value(r rueidis.RedisResult) ([]byte, error) {
	b, err := r.AsBytes()
	if _, ok := rueidis.IsRedisErr(err); ok {
		return nil, nil // nothing there, or something that is no text: another's
	}
	if err != nil || len(b) == 0 || len(b) > source.MaxValue {
		return nil, err
	}
	return b, nil
}

// Set is part of [source.Store].
func (a *Answers) Set(ctx context.Context, key source.Key, value []byte, ttl time.Duration) error {
	client, err := a.connected(ctx)
	if err != nil {
		return err
	}
	return client.Do(ctx, client.B().Set().Key(a.key(key)).Value(rueidis.BinaryString(value)).PxMilliseconds(max(ttl.Milliseconds(), 1)).Build()).Error()
}

// Claim is part of [source.Store].
func (a *Answers) Claim(ctx context.Context, key source.Key, ttl time.Duration) (mine bool, err error) {
	client, err := a.connected(ctx)
	if err != nil {
		return false, err
	}
	err = client.Do(ctx, client.B().Set().Key(a.key(key)).Value("1").Nx().PxMilliseconds(max(ttl.Milliseconds(), 1)).Build()).Error()
	if rueidis.IsRedisNil(err) {
		return false, nil
	}
	return err == nil, err
}

// Count is part of [source.Counter].
func (a *Answers) Count(ctx context.Context, key source.Key, n int64, ttl time.Duration) (total int64, err error) {
	client, err := a.connected(ctx)
	if err != nil {
		return 0, err
	}
	name := a.key(key)
	// The time is set each time: a process that is killed between two commands of
	// its own would leave a count for ever.
	r := client.DoMulti(ctx,
		client.B().Incrby().Key(name).Increment(n).Build(),
		client.B().Pexpire().Key(name).Milliseconds(max(ttl.Milliseconds(), 1)).Nx().Build(),
	)
	return r[0].AsInt64()
}
