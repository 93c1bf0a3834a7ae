package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/ipwarden/ipwarden/internal/worker"
)

// EventsConfig says which table a worker writes into.
type EventsConfig struct {
	URL      string // as of Open
	Password string // default: what the URL says
	Table    string // NAME or SCHEMA.NAME; default ipwarden_events
	// Make makes the table when it is not there.
	Make    bool
	Timeout time.Duration // of one Write; default 30s
}

// Events writes events into a table: id, at, key, type, event. An event whose id is
// there already is left out, so each is there once.
type Events struct {
	c    EventsConfig
	conf *pgx.ConnConfig
	conn *pgx.Conn // nil: not connected
}

var _ worker.Output = (*Events)(nil)

// isTable says whether s may name a table: a name, or a schema's and a name. A
// pattern that counts to 63 twice would cost each start of the program 100 KB.
func isTable(s string) bool {
	schema, name, both := strings.Cut(s, ".")
	return isName(schema) && (!both || isName(name))
}

func isName(s string) bool {
	if s == "" || len(s) > 63 || s[0] >= '0' && s[0] <= '9' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// EventsKind is what configurations of workers say of it.
func EventsKind() worker.Kind {
	return worker.Kind{
		Name: "postgres",
		Keys: []worker.Key{
			{Name: "url", Shape: worker.URL, Needed: true, Words: []string{"postgres", "postgresql"}, Example: "postgres://ipwarden@db.example.com/events"},
			{Name: "password_file", Shape: worker.Secret, Example: "/etc/ipwarden/postgres-password"},
			{Name: "table", Shape: worker.Text, Default: "ipwarden_events", Example: "ipwarden_events"},
			{Name: "make", Shape: worker.Truth, Default: "true"},
		},
		Check: func(v worker.Values, _ worker.Side) error {
			_, err := NewEvents(EventsConfig{URL: v.Text("url"), Table: v.Text("table")})
			return err
		},
		Output: func(v worker.Values) (worker.Output, error) {
			password, err := v.Secret("password_file")
			if err != nil {
				return nil, err
			}
			return NewEvents(EventsConfig{URL: v.Text("url"), Password: password, Table: v.Text("table"), Make: v.Truth("make")})
		},
	}
}

// NewEvents checks c; it connects when it is written to.
func NewEvents(c EventsConfig) (*Events, error) {
	if c.Table == "" {
		c.Table = "ipwarden_events"
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if !isTable(c.Table) {
		return nil, fmt.Errorf("postgres: %.80q is no name of a table: small letters, digits and _, such as ipwarden_events or events.enriched", c.Table)
	}
	conf, err := pgx.ParseConfig(c.URL)
	if err != nil {
		return nil, errors.New("postgres: the URL cannot be read; it is like postgres://ipwarden@db.example.com/events") // its own error may show the password
	}
	if c.Password != "" {
		conf.Password = c.Password
	}
	conf.ConnectTimeout = 5 * time.Second
	return &Events{c: c, conf: conf}, nil
}

// connect connects, and makes the table.
func (o *Events) connect(ctx context.Context) error {
	if o.conn != nil && !o.conn.IsClosed() {
		return nil
	}
	conn, err := pgx.ConnectConfig(ctx, o.conf)
	if err != nil {
		return err
	}
	if o.c.Make {
		_, err := conn.Exec(ctx, `CREATE TABLE IF NOT EXISTS `+o.c.Table+` (id text PRIMARY KEY, at timestamptz, key text, type text, event jsonb NOT NULL)`)
		var pg *pgconn.PgError
		if err != nil && !(errors.As(err, &pg) && (pg.Code == "23505" || pg.Code == "42P07")) { // another worker makes it as well
			_ = conn.Close(ctx) // the error that counts is the other
			return err
		}
	}
	o.conn = conn
	return nil
}

// Write inserts events, all of them or none; those that the table cannot take are
// refused, one by one.
func (o *Events) Write(ctx context.Context, events []worker.Event) ([]worker.Refusal, error) {
	ctx, cancel := context.WithTimeout(ctx, o.c.Timeout)
	defer cancel()
	err := o.connect(ctx)
	if err == nil {
		err = o.insert(ctx, events)
	}
	var pg *pgconn.PgError
	if err == nil || !errors.As(err, &pg) || !refuses(pg.Code) {
		return nil, o.away(err)
	}
	if len(events) == 1 {
		return []worker.Refusal{{Index: 0, Reason: pg.Message}}, nil
	}
	var refused []worker.Refusal // halves, until those are found that are wrong
	for _, part := range [][2]int{{0, len(events) / 2}, {len(events) / 2, len(events)}} {
		no, err := o.Write(ctx, events[part[0]:part[1]])
		if err != nil {
			return nil, err
		}
		for _, r := range no {
			refused = append(refused, worker.Refusal{Index: part[0] + r.Index, Reason: r.Reason})
		}
	}
	return refused, nil
}

// refuses: it is about the data (class 22), which will not become better, or larger or
// nested deeper than the server takes (class 54).
func refuses(code string) bool {
	return strings.HasPrefix(code, "22") || strings.HasPrefix(code, "54")
}

func (o *Events) away(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("postgres: %w", err)
}

func (o *Events) insert(ctx context.Context, events []worker.Event) error {
	ids, keys, kinds, values := make([]string, len(events)), make([]*string, len(events)), make([]*string, len(events)), make([]string, len(events))
	times := make([]*time.Time, len(events))
	for i := range events {
		e := &events[i]
		ids[i], values[i] = text(e.ID), string(e.Value)
		if e.Key != "" {
			key := text(e.Key)
			keys[i] = &key
		}
		if e.Type != "" {
			kinds[i] = &e.Type
		}
		if !e.Time.IsZero() {
			times[i] = &e.Time
		}
	}
	_, err := o.conn.Exec(ctx, `INSERT INTO `+o.c.Table+` (id, at, key, type, event)
SELECT id, at, key, type, event::jsonb FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[], $5::text[]) AS t(id, at, key, type, event)
ON CONFLICT (id) DO NOTHING`, ids, times, keys, kinds, values)
	return err
}

// text is s as a column of text may hold it.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// Close ends the connection.
func (o *Events) Close() error {
	if o.conn == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return o.conn.Close(ctx)
}
