// Package cloudevents takes events of a worker over HTTP, as CloudEvents 1.0: in binary
// and structured mode, and in batches.
//
// The call most people want:
//
//	in, err := cloudevents.Listen(cloudevents.Config{Listen: "127.0.0.1:8090"})
//
// Who posts an event has its answer, 202, when all that came of it was acknowledged: an
// event without one is sent again, with the id that its producer gave it. It refuses to
// listen where others reach it without a token, and events without id, source or type.
package cloudevents

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden/internal/worker"
)

// Config says where it listens.
type Config struct {
	Listen string
	Path   string // default "/"
	Token  string // asked for as a bearer token; needed off loopback
	// MaxBody bounds a request; default 4 MiB. Wait is how long a request waits for its
	// event to be written, default 30s; then it is 503.
	MaxBody int64
	Wait    time.Duration
}

// Input takes events.
type Input struct {
	c      Config
	token  [sha256.Size]byte
	posted chan *post
	server *http.Server
	addr   net.Addr
	ended  chan struct{}
	next   *post // did not fit into the batch before
}

var _ worker.Input = (*Input)(nil)

// post is a request: its events, and whether they are written.
type post struct {
	messages []worker.Message
	bytes    int
	done     chan struct{} // closed when they are
	gone     <-chan struct{}
}

// waiting is how many requests wait to be read.
const waiting = 256

// Kind is what configurations of workers say of it.
func Kind() worker.Kind {
	return worker.Kind{
		Name: "http",
		Keys: []worker.Key{
			{Name: "listen", Shape: worker.Address, Needed: true, Example: "127.0.0.1:8090"},
			{Name: "path", Shape: worker.Text, Default: "/", Example: "/events"},
			{Name: "token_file", Shape: worker.Secret, Example: "/etc/ipwarden/events-token"},
			{Name: "max_body", Shape: worker.Size, Default: "4MiB", Low: 1 << 10, High: 64 << 20, Example: "4MiB"},
			{Name: "wait", Shape: worker.Duration, Default: "30s", Low: int64(time.Second), High: int64(10 * time.Minute), Example: "30s"},
		},
		Check: func(v worker.Values, _ worker.Side) error {
			return check(v.Text("listen"), v.Text("path"), v.Text("token_file") != "")
		},
		Input: func(v worker.Values) (worker.Input, error) {
			token, err := v.Secret("token_file")
			if err != nil {
				return nil, err
			}
			return Listen(Config{Listen: v.Text("listen"), Path: v.Text("path"), Token: token, MaxBody: v.Int("max_body"), Wait: v.Duration("wait")})
		},
		Back: func(v worker.Values) (worker.Output, error) {
			token, err := v.Secret("token_file")
			return NewBack(v.Text("listen"), v.Text("path"), token), err
		},
	}
}

// check says what is wrong with where it listens.
func check(listen, path string, token bool) error {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return err
	}
	a, err := netip.ParseAddr(host)
	if !token && host != "localhost" && (err != nil || !a.IsLoopback()) {
		return fmt.Errorf("%q can be reached by others, who could send whatever they like; give token_file, or listen on 127.0.0.1", listen)
	}
	if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, "{} ") {
		return fmt.Errorf("path %q is none; it is such as /events", path)
	}
	return nil
}

// Listen begins to listen.
func Listen(c Config) (*Input, error) {
	if c.Path == "" {
		c.Path = "/"
	}
	if c.MaxBody == 0 {
		c.MaxBody = 4 << 20
	}
	if c.Wait == 0 {
		c.Wait = 30 * time.Second
	}
	if err := check(c.Listen, c.Path, c.Token != ""); err != nil {
		return nil, fmt.Errorf("cloudevents: %w", err)
	}
	ln, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("cloudevents: %w", err)
	}
	in := &Input{c: c, token: sha256.Sum256([]byte("Bearer " + c.Token)), posted: make(chan *post, waiting), addr: ln.Addr(), ended: make(chan struct{})}
	in.server = &http.Server{
		Handler: in, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: c.Wait + 40*time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
	}
	go func() {
		defer close(in.ended)
		_ = in.server.Serve(ln) // it ends with Close
	}()
	return in, nil
}

// Addr is where it listens.
func (in *Input) Addr() net.Addr { return in.addr }

// problem answers with what is wrong (RFC 9457).
func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"title": http.StatusText(status), "status": status, "detail": detail}) // the client went away: nobody to tell
}

// ServeHTTP takes a request.
func (in *Input) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path != in.c.Path:
		problem(w, http.StatusNotFound, "events are posted to "+in.c.Path)
		return
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", "POST")
		problem(w, http.StatusMethodNotAllowed, "events are posted")
		return
	}
	if in.c.Token != "" {
		given := sha256.Sum256([]byte(r.Header.Get("Authorization")))
		if subtle.ConstantTimeCompare(given[:], in.token[:]) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			problem(w, http.StatusUnauthorized, "send the token as Authorization: Bearer TOKEN")
			return
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, in.c.MaxBody))
	if err != nil {
		var long *http.MaxBytesError
		if errors.As(err, &long) {
			problem(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("a request has at most %d bytes", in.c.MaxBody))
			return
		}
		problem(w, http.StatusBadRequest, "the body could not be read")
		return
	}
	messages, err := parse(r.Header, body)
	if err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	if len(messages) == 0 {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), in.c.Wait)
	defer cancel()
	p := &post{messages: messages, bytes: len(body), done: make(chan struct{}), gone: ctx.Done()}
	select {
	case in.posted <- p:
	case <-ctx.Done():
		problem(w, http.StatusServiceUnavailable, "more events wait than are written; send this again")
		return
	}
	select {
	case <-p.done:
		w.WriteHeader(http.StatusAccepted)
	case <-ctx.Done():
		problem(w, http.StatusServiceUnavailable, "it is not known to be written yet; send it again, with its id")
	}
}

// envelope is an event in structured mode.
type envelope struct {
	SpecVersion string          `json:"specversion"`
	ID          string          `json:"id"`
	Source      string          `json:"source"`
	Type        string          `json:"type"`
	Subject     string          `json:"subject"`
	Time        string          `json:"time"`
	Data        json.RawMessage `json:"data"`
	DataBase64  []byte          `json:"data_base64"`
}

// mostEvents is how many a batch has at most.
const mostEvents = 10_000

// parse reads what was posted (CloudEvents' HTTP binding 1.0.2, section 3).
func parse(h http.Header, body []byte) ([]worker.Message, error) {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil && h.Get("Content-Type") != "" {
		return nil, errors.New("the Content-Type cannot be read; it is such as application/cloudevents+json")
	}
	switch kind {
	case "application/cloudevents+json":
		var e envelope
		if err := json.Unmarshal(body, &e); err != nil {
			return nil, fmt.Errorf("the event is not JSON as CloudEvents have it: %w", err)
		}
		m, err := e.message()
		return []worker.Message{m}, err
	case "application/cloudevents-batch+json":
		var all []envelope
		if err := json.Unmarshal(body, &all); err != nil {
			return nil, fmt.Errorf("the batch is not JSON as CloudEvents have it: %w", err)
		}
		if len(all) > mostEvents {
			return nil, fmt.Errorf("a batch has at most %d events", mostEvents)
		}
		messages := make([]worker.Message, len(all))
		for i := range all {
			if messages[i], err = all[i].message(); err != nil {
				return nil, fmt.Errorf("event %d of the batch: %w", i+1, err)
			}
		}
		return messages, nil
	}
	if strings.HasPrefix(kind, "application/cloudevents") {
		return nil, errors.New("events are read as application/cloudevents+json, application/cloudevents-batch+json, or with ce- headers")
	}
	attribute := func(name string) string {
		text := h.Get("Ce-" + name)
		if plain, err := url.PathUnescape(text); err == nil { // section 3.1.3.2
			return plain
		}
		return text
	}
	e := envelope{
		SpecVersion: attribute("Specversion"), ID: attribute("Id"), Source: attribute("Source"), Type: attribute("Type"),
		Subject: attribute("Subject"), Time: attribute("Time"), Data: body,
	}
	m, err := e.message()
	return []worker.Message{m}, err
}

// message is the event as a worker takes it: its data. Two events are one when source
// and id are the same (CloudEvents 1.0.2, section 3.1.1).
func (e *envelope) message() (worker.Message, error) {
	if e.SpecVersion != "1.0" || e.ID == "" || e.Source == "" || e.Type == "" {
		return worker.Message{}, errors.New(`an event has specversion "1.0", id, source and type; such as ce-specversion: 1.0, ce-id: 17, ce-source: /logins, ce-type: login`)
	}
	id := e.Source + "/" + e.ID
	if len(id) > 256 || len(e.Subject) > 1024 || len(e.Type) > 256 {
		return worker.Message{}, errors.New("source and id have at most 255 bytes together, type 256, and subject 1,024")
	}
	m := worker.Message{ID: id, Position: "http:" + id, Key: e.Subject, Value: e.Data}
	if e.DataBase64 != nil {
		m.Value = e.DataBase64
	}
	if t, err := time.Parse(time.RFC3339Nano, e.Time); err == nil {
		m.Time = t
	}
	return m, nil
}

// Read waits for events. A request is not divided: one of more events than most has
// room for is a batch alone.
func (in *Input) Read(ctx context.Context, most worker.Bound) (*worker.Batch, error) {
	p := in.next
	in.next = nil
	if p == nil {
		select {
		case p = <-in.posted:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	var taken []*post
	b := &worker.Batch{}
	bytes := 0
	for p != nil {
		select {
		case <-p.gone: // it was told to send it again
			p = nil
		default:
			if len(taken) > 0 && (len(b.Messages)+len(p.messages) > most.Messages || bytes+p.bytes > most.Bytes) {
				in.next = p
				p = nil
				continue
			}
			taken, bytes = append(taken, p), bytes+p.bytes
			b.Messages = append(b.Messages, p.messages...)
			p = nil
		}
		select {
		case p = <-in.posted:
		default:
		}
	}
	if len(taken) == 0 {
		return nil, nil
	}
	b.Commit = func(context.Context) error {
		for _, p := range taken {
			close(p.done)
		}
		return nil
	}
	return b, nil
}

// Close ends listening. Who waits for an answer still has it when the event is written
// already, and else is to send it again.
func (in *Input) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := in.server.Shutdown(ctx); err != nil {
		err = in.server.Close()
		<-in.ended
		return err
	}
	<-in.ended
	return nil
}
