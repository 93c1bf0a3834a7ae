package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ipwarden/ipwarden/limit"
	"github.com/redis/rueidis"
)

// store is the limit.Store of a server. But for close it is used by one
// goroutine, that of limit.Shared.
type store struct {
	config *Config
	script script

	mu     sync.Mutex // guards client and closed
	client rueidis.Client
	closed bool

	call  call // reused by one
	slots slots
}

var _ limit.Store = (*store)(nil)

func newStore(c *Config) *store {
	return &store{config: c, script: newScript(takeLua)}
}

var (
	errNotConnected = limit.NotApplied(errors.New("redis: not connected"))
	errClosed       = limit.NotApplied(errors.New("redis: closed"))
)

func (s *store) connected() (rueidis.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, errClosed
	case s.client == nil:
		return nil, errNotConnected
	}
	return s.client, nil
}

// Ping is limit.Store's. It charges a key of its own: a server whose memory is full,
// that may only read, or that lets this user run no scripts, answers PING like any
// other, and counts nothing.
func (s *store) Ping(ctx context.Context) error {
	client, err := s.connected()
	if errors.Is(err, errNotConnected) {
		client, err = s.connect()
	}
	if err != nil {
		return err
	}
	var c call
	if !s.config.Cluster {
		// As Exchange asks: of the connections of a client, a command that names its keys
		// takes any, and one that does not the first. Another may be whole when that one
		// is not, and what is told next would be in doubt, and lost.
		c.add(opTake, &limit.Item{Rate: &probeRate, Cost: 1}, s.config.Prefix+"probe", true)
		text, err := s.eval(ctx, client, &c)
		return s.probed(client, &c, text, err)
	}
	// Another node of it each time.
	c.add(opTake, &limit.Item{Rate: &probeRate, Cost: 1}, s.config.Prefix+"probe"+strconv.Itoa(rand.IntN(64)), true)
	text, err := client.Do(ctx, c.command(client, "EVALSHA", s.script.sha)).ToString()
	if unknown(err) {
		text, err = client.Do(ctx, c.command(client, "EVAL", s.script.text)).ToString()
	}
	return s.probed(client, &c, text, classify(err))
}

// probed is what became of a Ping.
func (s *store) probed(client rueidis.Client, c *call, text string, err error) error {
	if err == nil {
		err = c.answer(text)
	}
	if readOnly(err) {
		s.drop(client)
	}
	return err
}

// probeRate is used up by nobody.
var probeRate = limit.Rate{Name: "probe", Limit: 1_000_000, Window: time.Second}

// drop lets go of a client, so that the next Ping connects anew: the name of a server
// that has become a replica may be another's by now.
func (s *store) drop(client rueidis.Client) {
	s.mu.Lock()
	if s.client == client {
		s.client = nil
	}
	s.mu.Unlock()
	client.Close()
}

// readOnly reports that the server is a replica.
func readOnly(err error) bool {
	return err != nil && strings.HasPrefix(err.Error(), "READONLY")
}

// connect makes the client, which connects again by itself from then on.
func (s *store) connect() (rueidis.Client, error) {
	client, err := dialServer(s.config, true)
	if err != nil {
		return nil, limit.NotApplied(err)
	}
	s.load(client)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		client.Close()
		return nil, errClosed
	}
	s.client = client
	return client, nil
}

// load lets the server read the scripts before somebody waits for it to. What it does
// not take is sent with the first question, as after it was started again.
func (s *store) load(client rueidis.Client) {
	if s.config.Cluster { // each node reads them when they are asked for there
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.config.DialTimeout)
	defer cancel()
	var cmds rueidis.Commands
	for _, text := range []string{s.script.text, enterLua, settleLua} {
		cmds = append(cmds, client.B().ScriptLoad().Script(text).Build())
	}
	client.DoMulti(ctx, cmds...)
}

// dialServer makes a client of a server.
func dialServer(c *Config, noCache bool) (rueidis.Client, error) {
	option := rueidis.ClientOption{
		InitAddress: c.Addresses, Username: c.Username, Password: c.Password, SelectDB: c.Database,
		Dialer:    net.Dialer{Timeout: c.DialTimeout, KeepAlive: 0},
		TLSConfig: c.TLS,
		// Limits are not cached by the client, nothing is retried by it (an ask that
		// is in doubt is not asked again), and a connection that says nothing for a
		// second is given up.
		DisableCache: noCache, DisableRetry: true, ConnWriteTimeout: 2 * c.DialTimeout,
		ForceSingleClient: !c.Cluster && c.Master == "",
		ClientName:        "ipwarden",
		DialCtxFn:         dial,
		BlockingPoolSize:  2, RingScaleEachConn: 8,
		ReadBufferEachConn: 64 << 10, WriteBufferEachConn: 64 << 10,
		Sentinel: rueidis.SentinelOption{
			MasterSet: c.Master, Username: c.SentinelUsername, Password: c.SentinelPassword,
			Dialer: net.Dialer{Timeout: c.DialTimeout}, ClientName: "ipwarden",
		},
	}
	if c.Master != "" {
		option.Sentinel.TLSConfig = c.TLS
		option.Sentinel.TopologyRefreshInterval = sentinelRefresh
	}
	if c.Cluster {
		option.ClusterOption.ShardsRefreshInterval = clusterRefresh
		option.ClusterOption.MaxMovedRedirections = 3
	}
	return rueidis.NewClient(option)
}

// dial connects to host:port, or to a Unix socket, under guard.
func dial(ctx context.Context, address string, d *net.Dialer, c *tls.Config) (net.Conn, error) {
	network := "tcp"
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	var conn net.Conn
	var err error
	if c != nil {
		conn, err = (&tls.Dialer{NetDialer: d, Config: c}).DialContext(ctx, network, address)
	} else {
		conn, err = d.DialContext(ctx, network, address)
	}
	if err != nil {
		return nil, err
	}
	return &guard{Conn: conn}, nil
}

func (s *store) close() {
	s.mu.Lock()
	s.closed = true
	client := s.client
	s.client = nil
	s.mu.Unlock()
	if client != nil {
		client.Close()
	}
}

// keysAtOnce bounds how long one run of the script keeps the server to itself.
const keysAtOnce = 256

// Exchange is limit.Store's.
func (s *store) Exchange(ctx context.Context, asks []*limit.Ask) error {
	client, err := s.connected()
	if err != nil {
		return err
	}
	if s.config.Cluster {
		s.slots.exchange(ctx, client, s, asks)
		return nil
	}
	for len(asks) > 0 {
		n, items := 0, 0
		for n < len(asks) && (n == 0 || items+len(asks[n].Items) <= keysAtOnce) {
			items += len(asks[n].Items)
			n++
		}
		s.run(ctx, client, asks[:n], items)
		asks = asks[n:]
	}
	return nil
}

// run carries out asks in one run of the script.
func (s *store) run(ctx context.Context, client rueidis.Client, asks []*limit.Ask, items int) {
	c := &s.call
	c.reset()
	names := make([]byte, 0, items*(len(s.config.Prefix)+keySize)) // one string for all keys
	for _, a := range asks {
		for i := range a.Items {
			names = appendKey(names, s.config.Prefix, a.Items[i].Key)
		}
	}
	all, size := string(names), len(s.config.Prefix)+keySize
	for _, a := range asks {
		for i := range a.Items {
			c.add(opTake, &a.Items[i], all[:size], i == len(a.Items)-1)
			all = all[size:]
		}
	}
	text, err := s.eval(ctx, client, c)
	if err == nil {
		err = c.answer(text)
	}
	for _, a := range asks {
		a.Err = err
		conclude(a)
	}
}

// conclude makes an ask's answer of those of its items.
func conclude(a *limit.Ask) {
	a.Allowed = a.Err == nil
	for i := range a.Items {
		a.Allowed = a.Allowed && a.Items[i].Allowed
	}
}

// eval runs the script, and loads it where it is not known.
func (s *store) eval(ctx context.Context, client rueidis.Client, c *call) (string, error) {
	cmd := client.B().Arbitrary("EVALSHA").Args(c.arguments(s.script.sha)...)
	text, err := client.Do(ctx, cmd.Build()).ToString()
	if unknown(err) {
		cmd = client.B().Arbitrary("EVAL").Args(c.arguments(s.script.text)...)
		text, err = client.Do(ctx, cmd.Build()).ToString()
	}
	return text, classify(err)
}

// unknown reports that the server does not have the script.
func unknown(err error) bool {
	e, ok := rueidis.IsRedisErr(err)
	return ok && e.IsNoScript()
}

// classify marks the errors after which nothing was counted: those that the
// server answered with, and those of a connection that never was.
func classify(err error) error {
	if err == nil {
		return nil
	}
	var op *net.OpError
	if _, ok := rueidis.IsRedisErr(err); ok || errors.Is(err, rueidis.ErrClosing) || errors.As(err, &op) && op.Op == "dial" {
		return limit.NotApplied(err)
	}
	return err
}
