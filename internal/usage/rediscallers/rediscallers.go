// Package rediscallers keeps the counts of clients and of pages in Redis or Valkey: for
// who has so many of them that they are better not rows of a database.
//
// The call most people want:
//
//	store, err := rediscallers.Open(ctx, "redis://127.0.0.1:6379/0")
//	counts := usage.CountCallers(usage.CallersConfig{Sources: sources, Store: store})
//
// Counts and how far they are change in one script, so that nothing is counted twice
// whatever becomes of an answer. A server that forgets (without persistence, restarted)
// is filled again from what the streams still have; one that throws single keys away is
// refused.
package rediscallers

import (
	"context"
	"crypto/tls"
	_ "embed"
	"encoding/binary"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/ipwarden/ipwarden/internal/usage"
	"github.com/ipwarden/ipwarden/redis"
)

// Store is the counts on one server, or on the one node of a cluster that has them.
type Store struct {
	client atomic.Pointer[rueidis.Client] // replaced by anew
	option rueidis.ClientOption
	prefix string
}

var _ usage.CallerStore = (*Store)(nil)

// prefix begins each key. The part in braces keeps all on one node of a cluster: a
// script changes what is in one place.
const prefix = "{ipwarden:callers}:"

// Open opens the store at a URL, as [redis.ParseURL] reads it. A server that is away is
// an error at the start; later it is tried again and again.
func Open(url string) (*Store, error) {
	c, err := redis.ParseURL(url)
	if err != nil {
		return nil, err
	}
	option := rueidis.ClientOption{
		InitAddress: c.Addresses, Username: c.Username, Password: c.Password, SelectDB: c.Database, TLSConfig: c.TLS,
		Dialer: net.Dialer{Timeout: 2 * time.Second}, DisableCache: true, AlwaysRESP2: true, DisableRetry: true, ConnWriteTimeout: 10 * time.Second,
		ForceSingleClient: !c.Cluster && c.Master == "", ClientName: "ipwarden", BlockingPoolSize: 2, PipelineMultiplex: -1,
		Sentinel: rueidis.SentinelOption{MasterSet: c.Master, Username: c.SentinelUsername, Password: c.SentinelPassword, TLSConfig: c.TLS},
	}
	if len(c.Addresses) == 1 && strings.HasPrefix(c.Addresses[0], "/") {
		option.DialCtxFn = func(ctx context.Context, address string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return d.DialContext(ctx, "unix", address)
		}
	}
	client, err := rueidis.NewClient(option)
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	s := &Store{option: option, prefix: prefix}
	s.client.Store(&client)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := s.keeps(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Close ends the connection.
func (s *Store) Close() { (*s.client.Load()).Close() }

// keeps is an error when the server may throw away what it has to make room: without the
// marks, all that is in the streams would be counted once more. A server that does not
// say is believed.
func (s *Store) keeps(ctx context.Context) error {
	client := *s.client.Load()
	text, err := client.Do(ctx, client.B().Info().Section("memory").Build()).ToString()
	if err != nil {
		return nil
	}
	said := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		said[name] = value
	}
	if policy := said["maxmemory_policy"]; said["maxmemory"] != "0" && policy != "" && policy != "noeviction" {
		return fmt.Errorf("redis: the server throws away what it has when its memory is full (maxmemory-policy is %s), and counts with it: set it to noeviction, or give a server of their own", policy)
	}
	return nil
}

// anew connects again where the server has become a replica of another: a name or an
// address in front of it may lead to that by now. Sentinels and clusters tell it
// themselves.
func (s *Store) anew(old *rueidis.Client, why error) {
	if e, ok := rueidis.IsRedisErr(why); !ok || !strings.HasPrefix(e.Error(), "READONLY") || !s.option.ForceSingleClient {
		return
	}
	client, err := rueidis.NewClient(s.option)
	if err != nil {
		return // the next attempt is made with the old one
	}
	if s.client.CompareAndSwap(old, &client) {
		(*old).Close()
	} else {
		client.Close()
	}
}

// parts is over how many hashes a day's counts are spread: so that none is so large that
// it holds up the server to read it.
const parts = 64

// key is that of a part of a day's counts.
func (s *Store) key(day uint32, clients bool, part int) string {
	kind := "h"
	if clients {
		kind = "c"
	}
	return s.prefix + strconv.FormatUint(uint64(day), 10) + kind + strconv.Itoa(part)
}

// field is a client's number in 8 bytes, or a host's name. It is in the part that its
// bytes say.
func field(c usage.Caller) (name string, part int) {
	if c.Client == 0 {
		for _, b := range []byte(c.Host) {
			part = part*31 + int(b)
		}
		return c.Host, part & (parts - 1)
	}
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], c.Client)
	n := c.Client * 0x9e3779b97f4a7c15
	return string(b[:]), int(n >> 58)
}

// markField is the name of a mark.
func markField(m usage.Mark) string { return strconv.FormatUint(m.Node, 16) + " " + m.Region }

// CallerMarks says how far the counts are.
func (s *Store) CallerMarks(ctx context.Context) (map[usage.Mark]uint64, error) {
	if err := s.keeps(ctx); err != nil {
		return nil, err
	}
	client := *s.client.Load()
	all, err := client.Do(ctx, client.B().Hgetall().Key(s.prefix+"marks").Build()).AsStrMap()
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	marks := map[usage.Mark]uint64{}
	for name, value := range all {
		node, region, _ := strings.Cut(name, " ")
		id, err := strconv.ParseUint(node, 16, 64)
		n, err2 := strconv.ParseUint(value, 10, 64)
		if err != nil || err2 != nil {
			return nil, fmt.Errorf("redis: %smarks has %q, which is no mark of ours", s.prefix, name)
		}
		marks[usage.Mark{Node: id, Region: region}] = n
	}
	return marks, nil
}

//go:embed add.lua
var addLua string

var add = rueidis.NewLuaScript(addLua)

// AddCallers adds to the counts and moves the marks.
func (s *Store) AddCallers(ctx context.Context, counts map[usage.Caller]int64, was, marks map[usage.Mark]uint64) error {
	head := []string{strconv.Itoa(len(marks))}
	for m, to := range marks {
		head = append(head, markField(m), strconv.FormatUint(was[m], 10), strconv.FormatUint(to, 10))
	}
	keys := []string{s.prefix + "marks"}
	args := append(head, strconv.Itoa(int((usage.KeepCallers+1)*24*time.Hour/time.Second)))
	// A server takes a million arguments at most, so the counts of a hash are one.
	packed := map[string][]byte{}
	for c, n := range counts {
		name, part := field(c)
		key := s.key(c.Day, c.Client != 0, part)
		b := binary.BigEndian.AppendUint16(packed[key], uint16(len(name))) //nolint:gosec // a host's name, as the ledger has it
		number := strconv.FormatInt(n, 10)
		packed[key] = append(append(append(b, name...), byte(len(number))), number...)
	}
	for key, b := range packed {
		keys, args = append(keys, key), append(args, string(b))
	}
	client := s.client.Load()
	done, err := add.Exec(ctx, *client, keys, args).AsInt64()
	if err != nil {
		s.anew(client, err)
		return fmt.Errorf("redis: %w", err)
	}
	if done == 0 {
		return usage.ErrBehind
	}
	return nil
}

// Callers calls yield with counts.
func (s *Store) Callers(ctx context.Context, first, last uint32, clients bool, yield func(usage.Caller, int64) bool) error {
	if last >= first && last-first > usage.KeepCallers {
		first = last - usage.KeepCallers
	}
	client := *s.client.Load()
	for day := first; day <= last; day++ {
		cmds := make(rueidis.Commands, parts)
		for i := range cmds {
			cmds[i] = client.B().Hgetall().Key(s.key(day, clients, i)).Build()
		}
		for _, answer := range client.DoMulti(ctx, cmds...) {
			all, err := answer.ToArray()
			if err != nil {
				return fmt.Errorf("redis: %w", err)
			}
			for ; len(all) >= 2; all = all[2:] {
				name, err := all[0].ToString()
				n, err2 := all[1].AsInt64()
				if err != nil || err2 != nil || clients && len(name) != 8 {
					return fmt.Errorf("redis: the counts of day %d have what is none of ours", day)
				}
				c := usage.Caller{Day: day, Host: name}
				if clients {
					c.Client, c.Host = binary.BigEndian.Uint64([]byte(name)), ""
				}
				if !yield(c, n) {
					return nil
				}
			}
		}
	}
	return nil
}
