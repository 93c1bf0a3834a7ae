// Package redisstreams carries events of a worker over streams of Redis and Valkey.
//
// The call most people want:
//
//	in, err := redisstreams.NewInput(redisstreams.Config{URL: "redis://127.0.0.1:6379"}, "logins", "ipwarden", "w1")
//
// An Input is one consumer of a group. It begins with what it has read and not
// acknowledged, in order, and takes over what a consumer of another name has left
// behind. Whether an event outlives the server is the server's configuration
// (appendonly). It refuses to add an event twice, as long as it remembers its id.
package redisstreams

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/ipwarden/ipwarden/internal/worker"
)

// Fields of an entry.
const (
	fieldValue = "event"
	fieldID    = "id"
	fieldKey   = "key"
)

// Config says which server.
type Config struct {
	// URL is redis://[user:password@]host:port/database, or rediss:// with TLS.
	URL      string
	Password string // default: what the URL says
}

func (c *Config) connect() (rueidis.Client, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, errors.New("redisstreams: the URL cannot be read; it is like redis://127.0.0.1:6379/0") // its own error shows the password
	}
	addr := u.Host
	if u.Port() == "" {
		addr += ":6379"
	}
	o := rueidis.ClientOption{
		InitAddress: []string{addr}, ForceSingleClient: true, DisableCache: true, ClientName: "ipwarden",
		Username: u.User.Username(), Password: c.Password, ConnWriteTimeout: 10 * time.Second, DisableRetry: true,
		BlockingPoolSize: 4, AlwaysRESP2: false,
	}
	if p, ok := u.User.Password(); ok && o.Password == "" {
		o.Password = p
	}
	if n := strings.Trim(u.Path, "/"); n != "" {
		if o.SelectDB, err = strconv.Atoi(n); err != nil || o.SelectDB < 0 {
			return nil, fmt.Errorf("redisstreams: the database %.20q is no number; a URL is like redis://127.0.0.1:6379/0", n)
		}
	}
	o.Dialer.Timeout = 2 * time.Second
	if u.Scheme == "rediss" {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: u.Hostname()}
	}
	return rueidis.NewClient(o)
}

// link is a connection that is made when it is needed: a server that is away is no
// mistake.
type link struct {
	c      Config
	client rueidis.Client
}

func (l *link) get() (rueidis.Client, error) {
	if l.client == nil {
		client, err := l.c.connect()
		if err != nil {
			return nil, fmt.Errorf("redisstreams: %w", err)
		}
		l.client = client
	}
	return l.client, nil
}

func (l *link) Close() error {
	if l.client != nil {
		l.client.Close()
	}
	return nil
}

// Kind is what configurations of workers say of it.
func Kind() worker.Kind {
	return worker.Kind{
		Name: "redis",
		Keys: []worker.Key{
			{Name: "url", Shape: worker.URL, Needed: true, Words: []string{"redis", "rediss"}, Example: "redis://127.0.0.1:6379"},
			{Name: "password_file", Shape: worker.Secret, Example: "/etc/ipwarden/redis-password"},
			{Name: "stream", Shape: worker.Text, Needed: true, Example: "logins"},
			{Name: "group", Side: worker.In, Shape: worker.Text, Default: "ipwarden", Example: "ipwarden"},
			{Name: "consumer", Side: worker.In, Shape: worker.Text, Example: "worker-1"},
			{Name: "field", Side: worker.In, Shape: worker.Text, Default: fieldValue, Example: "event"},
			{Name: "claim", Side: worker.In, Shape: worker.Duration, Default: "5m", Low: int64(time.Second), High: int64(24 * time.Hour), Example: "5m"},
			{Name: "max_length", Side: worker.Out, Shape: worker.Number, Low: 1, High: 1 << 40, Example: "1000000"},
			{Name: "remember", Side: worker.Out, Shape: worker.Duration, Default: "1h", Low: int64(time.Second), High: int64(30 * 24 * time.Hour), Example: "1h"},
		},
		Check: func(v worker.Values, _ worker.Side) error {
			u, err := url.Parse(v.Text("url"))
			if err != nil || strings.Contains(u.Host, ",") {
				return errors.New("url is of one server, such as redis://127.0.0.1:6379/0")
			}
			return nil
		},
		Input: func(v worker.Values) (worker.Input, error) {
			c, err := configOf(v)
			if err != nil {
				return nil, err
			}
			return NewInput(c, InputConfig{Stream: v.Text("stream"), Group: v.Text("group"), Consumer: v.Text("consumer"), Field: v.Text("field"), Claim: v.Duration("claim")})
		},
		Output: func(v worker.Values) (worker.Output, error) {
			c, err := configOf(v)
			if err != nil {
				return nil, err
			}
			return NewOutput(c, OutputConfig{Stream: v.Text("stream"), MaxLength: v.Int("max_length"), Remember: v.Duration("remember")}), nil
		},
		Back: func(v worker.Values) (worker.Output, error) {
			c, err := configOf(v)
			if err != nil {
				return nil, err
			}
			return NewOutput(c, OutputConfig{Stream: v.Text("stream"), Field: v.Text("field")}), nil
		},
		Dead: func(v worker.Values) (worker.Input, error) {
			c, err := configOf(v)
			if err != nil {
				return nil, err
			}
			return NewInput(c, InputConfig{Stream: v.Text("stream"), Group: "ipwarden-replay", Consumer: "replay"})
		},
	}
}

func configOf(v worker.Values) (Config, error) {
	password, err := v.Secret("password_file")
	return Config{URL: v.Text("url"), Password: password}, err
}

// InputConfig says which events are read.
type InputConfig struct {
	Stream, Group string
	Consumer      string        // the name of this process in the group; default the host's
	Field         string        // of an entry, that holds the event; default "event"
	Claim         time.Duration // after it what another consumer has is taken over; default 5m
}

// Input reads as a consumer of a group.
type Input struct {
	link
	cfg    InputConfig
	out    worker.Outstanding
	made   bool
	after  string // of what this consumer has already: read first; "" when that is done
	claims time.Time
	count  int64 // how many entries are asked for
}

// firstCount is how many entries the first question asks for, before it is known how
// large they are.
const firstCount = 32

// suit makes the next question such that its answer has about most.Bytes, if entries
// stay as they are.
func (in *Input) suit(b *worker.Batch, most worker.Bound) {
	bytes := 0
	for i := range b.Messages {
		bytes += len(b.Messages[i].Value)
	}
	fits := int64(most.Bytes) / int64(bytes/len(b.Messages)+1)
	in.count = max(min(2*in.count, fits, int64(most.Messages)), 1)
}

var (
	_ worker.Input   = (*Input)(nil)
	_ worker.Lagging = (*Input)(nil)
)

// NewInput returns an Input; it connects when it is read.
func NewInput(c Config, cfg InputConfig) (*Input, error) {
	if cfg.Consumer == "" {
		var err error
		if cfg.Consumer, err = os.Hostname(); err != nil {
			return nil, err
		}
	}
	if cfg.Field == "" {
		cfg.Field = fieldValue
	}
	if cfg.Claim == 0 {
		cfg.Claim = 5 * time.Minute
	}
	return &Input{link: link{c: c}, cfg: cfg, after: "0", count: firstCount}, nil
}

// begin makes the group, and begins with what was read before.
func (in *Input) begin(ctx context.Context, c rueidis.Client) error {
	if err := in.out.Wait(ctx); err != nil {
		return err
	}
	err := c.Do(ctx, c.B().XgroupCreate().Key(in.cfg.Stream).Group(in.cfg.Group).Id("0").Mkstream().Build()).Error()
	if err != nil && !strings.HasPrefix(err.Error(), "BUSYGROUP") {
		return fmt.Errorf("redisstreams: the group %s of %s: %w", in.cfg.Group, in.cfg.Stream, err)
	}
	in.made, in.after = true, "0"
	return nil
}

// waits is how long one question to the server waits for an event.
const waits = time.Second

// Read waits for events.
func (in *Input) Read(ctx context.Context, most worker.Bound) (*worker.Batch, error) {
	c, err := in.get()
	if err != nil {
		return nil, err
	}
	if !in.made {
		if err := in.begin(ctx, c); err != nil {
			return nil, err
		}
	}
	entries, err := in.read(ctx, c, most)
	if err != nil {
		in.made = false // what the answer had is this consumer's: it is read again
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("redisstreams: %s: %w", in.cfg.Stream, err)
	}
	if len(entries) == 0 {
		return nil, nil
	}
	b := &worker.Batch{}
	var ids []string
	for _, e := range entries {
		ids = append(ids, e.ID)
		m := worker.Message{ID: e.FieldValues[fieldID], Key: e.FieldValues[fieldKey], Value: []byte(e.FieldValues[in.cfg.Field])}
		m.Position = "redis:" + in.cfg.Stream + "/" + e.ID
		if m.ID == "" || len(m.ID) > 256 {
			m.ID = m.Position
		}
		ms, _, _ := strings.Cut(e.ID, "-")
		if n, err := strconv.ParseInt(ms, 10, 64); err == nil && n > 1e11 {
			m.Time = time.UnixMilli(n)
		}
		b.Messages = append(b.Messages, m)
	}
	in.suit(b, most)
	in.out.Add()
	b.Commit = func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if err := c.Do(ctx, c.B().Xack().Key(in.cfg.Stream).Group(in.cfg.Group).Id(ids...).Build()).Error(); err != nil {
			return fmt.Errorf("redisstreams: %w", err)
		}
		in.out.Done()
		return nil
	}
	b.Extend = func() { // so that no other consumer takes them over
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = c.Do(ctx, c.B().Xclaim().Key(in.cfg.Stream).Group(in.cfg.Group).Consumer(in.cfg.Consumer).MinIdleTime("0").Id(ids...).Justid().Build()).Error()
	}
	return b, nil
}

// read asks for entries: what this consumer has, then what others have left, then new
// ones.
func (in *Input) read(ctx context.Context, c rueidis.Client, most worker.Bound) ([]rueidis.XRangeEntry, error) {
	count := min(in.count, int64(most.Messages))
	if in.after == "" && time.Since(in.claims) >= in.cfg.Claim/2 {
		answer, err := c.Do(ctx, c.B().Xautoclaim().Key(in.cfg.Stream).Group(in.cfg.Group).Consumer(in.cfg.Consumer).
			MinIdleTime(strconv.FormatInt(in.cfg.Claim.Milliseconds(), 10)).Start("0").Count(count).Build()).ToArray()
		if err != nil {
			return nil, err
		}
		if len(answer) < 2 {
			return nil, errors.New("an answer to XAUTOCLAIM that cannot be read")
		}
		entries, err := answer[1].AsXRange()
		if err != nil && !rueidis.IsRedisNil(err) {
			return nil, err
		}
		if len(entries) > 0 {
			return entries, nil
		}
		in.claims = time.Now()
	}
	from := ">"
	cmd := c.B().Xreadgroup().Group(in.cfg.Group, in.cfg.Consumer).Count(count)
	var answer map[string][]rueidis.XRangeEntry
	var err error
	if in.after != "" {
		from = in.after
		answer, err = c.Do(ctx, cmd.Streams().Key(in.cfg.Stream).Id(from).Build()).AsXRead()
	} else {
		answer, err = c.Do(ctx, cmd.Block(waits.Milliseconds()).Streams().Key(in.cfg.Stream).Id(from).Build()).AsXRead()
	}
	if rueidis.IsRedisNil(err) {
		err = nil
	}
	if err != nil {
		return nil, err
	}
	entries := answer[in.cfg.Stream]
	if in.after == "" {
		return entries, nil
	}
	if len(entries) == 0 {
		in.after, in.claims = "", time.Time{}
		return nil, nil
	}
	in.after = entries[len(entries)-1].ID
	there, gone := entries[:0:0], []string(nil)
	for _, e := range entries {
		if e.FieldValues == nil {
			gone = append(gone, e.ID) // it was deleted from the stream
			continue
		}
		there = append(there, e)
	}
	if len(gone) > 0 {
		return there, c.Do(ctx, c.B().Xack().Key(in.cfg.Stream).Group(in.cfg.Group).Id(gone...).Build()).Error()
	}
	return there, nil
}

// Lag is how many events the group has not acknowledged.
func (in *Input) Lag(ctx context.Context) (int64, error) {
	c, err := in.c.connect() // its own: Read has the other
	if err != nil {
		return 0, err
	}
	defer c.Close()
	groups, err := c.Do(ctx, c.B().XinfoGroups().Key(in.cfg.Stream).Build()).ToArray()
	if err != nil {
		return 0, err
	}
	for _, g := range groups {
		m, err := g.AsMap()
		if err != nil {
			return 0, err
		}
		if name := m["name"]; !is(&name, in.cfg.Group) {
			continue
		}
		lag, pending := m["lag"], m["pending"]
		n, err1 := lag.AsInt64() // null when the server cannot tell
		p, err2 := pending.AsInt64()
		return n + p, errors.Join(err1, err2)
	}
	return 0, fmt.Errorf("redisstreams: no group %s", in.cfg.Group)
}

func is(m *rueidis.RedisMessage, s string) bool {
	text, err := m.ToString()
	return err == nil && text == s
}

// OutputConfig says where events are written.
type OutputConfig struct {
	Stream    string
	Field     string        // default "event"
	MaxLength int64         // about as many stay; default all
	Remember  time.Duration // ids that are not added again; 0: all are added
}

// Output adds events to a stream.
type Output struct {
	link
	cfg OutputConfig
}

var _ worker.Output = (*Output)(nil)

// NewOutput returns an Output; it connects when it is written to.
func NewOutput(c Config, cfg OutputConfig) *Output {
	if cfg.Field == "" {
		cfg.Field = fieldValue
	}
	return &Output{link: link{c: c}, cfg: cfg}
}

// add adds an event unless its id is remembered: in one step, so that what was added
// is also remembered.
var add = rueidis.NewLuaScriptNoSha(`
if tonumber(ARGV[1]) > 0 and redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
if tonumber(ARGV[2]) > 0 then
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', unpack(ARGV, 3))
else
  redis.call('XADD', KEYS[1], '*', unpack(ARGV, 3))
end
if tonumber(ARGV[1]) > 0 then redis.call('SET', KEYS[2], '', 'PX', ARGV[1]) end
return 1`)

// Write adds events in their order.
func (o *Output) Write(ctx context.Context, events []worker.Event) ([]worker.Refusal, error) {
	c, err := o.get()
	if err != nil {
		return nil, err
	}
	const atOnce = 256
	for first := 0; first < len(events); first += atOnce {
		part := events[first:min(first+atOnce, len(events))]
		execs := make([]rueidis.LuaExec, len(part))
		for i := range part {
			e := &part[i]
			args := []string{strconv.FormatInt(o.cfg.Remember.Milliseconds(), 10), strconv.FormatInt(o.cfg.MaxLength, 10), fieldID, e.ID, o.cfg.Field, string(e.Value)}
			if e.Key != "" {
				args = append(args, fieldKey, e.Key)
			}
			execs[i] = rueidis.LuaExec{Keys: []string{o.cfg.Stream, "ipwarden:id:{" + o.cfg.Stream + "}:" + e.ID}, Args: args}
		}
		for _, r := range add.ExecMulti(ctx, c, execs...) {
			if err := r.Error(); err != nil {
				return nil, fmt.Errorf("redisstreams: %s: %w", o.cfg.Stream, err)
			}
		}
	}
	return nil, nil
}
