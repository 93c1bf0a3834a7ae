// Package memcached shares providers' answers between nodes through Memcached.
//
// The call most people want:
//
//	store, err := memcached.New(memcached.Config{Addresses: []string{"127.0.0.1:11211"}})
//
// A [Store] is a [source.Store] for [source.Cached]. Memcached forgets what it has
// no room for, which costs another look-up and nothing else. It refuses values that
// are longer than source.MaxValue, and to wait longer than its time-out.
package memcached

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/ipwarden/ipwarden/source"
)

// Config says which servers. Only Addresses must be there.
type Config struct {
	// Addresses are host:port, or the path of a Unix socket; with several each has a
	// part of the keys.
	Addresses []string
	// Prefix begins each key. Default: "ipwarden:".
	Prefix string
	// Timeout is how long one question takes at most, connecting with it. Default:
	// 250ms.
	Timeout time.Duration
	// Connections are kept open to each server, this many at most. Default: 16.
	Connections int
}

// Store is a [source.Store] on Memcached servers. It is safe for concurrent use.
type Store struct {
	cfg    Config
	client *memcache.Client
}

var (
	_ source.Store   = (*Store)(nil)
	_ source.Counter = (*Store)(nil)
)

// New returns a Store, or says everything that is wrong with c. It does not
// connect before it is asked.
func New(c Config) (*Store, error) {
	var errs []error
	wrong := func(text string) { errs = append(errs, errors.New("memcached: "+text)) }
	if len(c.Addresses) == 0 {
		wrong(`there is no address; give one such as "127.0.0.1:11211"`)
	}
	for _, a := range c.Addresses {
		if a == "" || !strings.HasPrefix(a, "/") && !strings.Contains(a, ":") {
			wrong("the address " + strconv.Quote(a) + ` is neither host:port nor a path, such as "127.0.0.1:11211"`)
		}
	}
	if c.Prefix == "" {
		c.Prefix = "ipwarden:"
	}
	// A key of Memcached has at most 250 bytes, no spaces and no control characters.
	if len(c.Prefix) > 64 || strings.ContainsFunc(c.Prefix, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		wrong("the prefix is at most 64 characters without spaces, such as ipwarden:")
	}
	if c.Timeout == 0 {
		c.Timeout = 250 * time.Millisecond
	}
	if c.Timeout < 0 || c.Timeout > time.Minute {
		wrong("the time-out is " + c.Timeout.String() + "; it is up to a minute, such as 250ms")
	}
	if c.Connections == 0 {
		c.Connections = 16
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	servers := new(memcache.ServerList)
	if err := servers.SetServers(c.Addresses...); err != nil {
		return nil, errors.New("memcached: " + err.Error())
	}
	client := memcache.NewFromSelector(servers)
	client.Timeout, client.MaxIdleConns = c.Timeout, c.Connections
	return &Store{cfg: c, client: client}, nil
}

// Close disconnects.
func (s *Store) Close() error { return s.client.Close() }

func (s *Store) key(k source.Key) string {
	b := make([]byte, 0, 64+source.MaxKeyText)
	return string(k.AppendText(append(b, s.cfg.Prefix...)))
}

// Get is part of [source.Store].
func (s *Store) Get(ctx context.Context, keys []source.Key, values [][]byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = s.key(k)
	}
	items, err := s.client.GetMulti(names)
	if err != nil {
		return err
	}
	for i, name := range names {
		values[i] = nil
		if it := items[name]; it != nil && len(it.Value) <= source.MaxValue {
			values[i] = it.Value
		}
	}
	return nil
}

// longest is the time beyond which Memcached takes a number of seconds for a date.
const longest = 30*24*60*60 - 1

// seconds rounds up: Memcached knows no shorter times.
func seconds(d time.Duration) int32 {
	return int32(min(max((d+time.Second-1)/time.Second, 1), longest))
}

// Set is part of [source.Store].
func (s *Store) Set(ctx context.Context, key source.Key, value []byte, ttl time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.client.Set(&memcache.Item{Key: s.key(key), Value: value, Expiration: seconds(ttl)})
}

// Claim is part of [source.Store].
func (s *Store) Claim(ctx context.Context, key source.Key, ttl time.Duration) (mine bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	err = s.client.Add(&memcache.Item{Key: s.key(key), Value: []byte("1"), Expiration: seconds(ttl)})
	if errors.Is(err, memcache.ErrNotStored) {
		return false, nil
	}
	return err == nil, err
}

// Count is part of [source.Counter].
func (s *Store) Count(ctx context.Context, key source.Key, n int64, ttl time.Duration) (total int64, err error) {
	name := s.key(key)
	for range 3 {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		sum, err := s.client.Increment(name, uint64(n))
		if err == nil {
			return int64(sum), nil
		}
		if !errors.Is(err, memcache.ErrCacheMiss) {
			return 0, err
		}
		err = s.client.Add(&memcache.Item{Key: name, Value: strconv.AppendInt(nil, n, 10), Expiration: seconds(ttl)})
		if err == nil {
			return n, nil
		}
		if !errors.Is(err, memcache.ErrNotStored) { // another was first
			return 0, err
		}
	}
	return 0, errors.New("memcached: the count comes and goes")
}

// ParseURL reads a Config from memcached://host[:port][,host[:port]…] or
// memcached:///path/of/socket, with ?timeout=1s or without.
func ParseURL(text string) (Config, error) {
	const example = "; it is like memcached://127.0.0.1:11211"
	rest, ok := strings.CutPrefix(text, "memcached://")
	if !ok {
		return Config{}, errors.New("memcached: a URL of another scheme" + example)
	}
	var c Config
	if before, text, ok := strings.Cut(rest, "?timeout="); ok {
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			return c, errors.New("memcached: the time-out " + strconv.Quote(text) + " is no time, such as 250ms")
		}
		rest, c.Timeout = before, d
	}
	if strings.HasPrefix(rest, "/") {
		c.Addresses = []string{rest}
		return c, nil
	}
	for a := range strings.SplitSeq(strings.TrimSuffix(rest, "/"), ",") {
		if a == "" || strings.ContainsAny(a, "/?#@ ") {
			return Config{}, errors.New("memcached: a URL with something other than hosts and ports" + example)
		}
		if _, _, err := net.SplitHostPort(a); err != nil {
			a = net.JoinHostPort(strings.Trim(a, "[]"), "11211")
		}
		c.Addresses = append(c.Addresses, a)
	}
	return c, nil
}
