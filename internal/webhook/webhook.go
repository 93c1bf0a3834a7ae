// Package webhook posts events of a worker to an URL.
//
// The call most people want:
//
//	out, err := webhook.New(webhook.Config{URL: "https://app.example.com/flags", Secret: secret})
//
// Each request has one event, or a batch of them, as CloudEvents, and is signed as
// Standard Webhooks say: webhook-id, webhook-timestamp, webhook-signature. An answer of
// 2xx acknowledges it; 408, 425, 429 and 5xx, and no answer, mean that it is sent again;
// any other refuses it. It refuses to follow redirects, which would take events where
// nobody sent them.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/enrich"
	"github.com/ipwarden/ipwarden/internal/worker"
)

// Config says where events go.
type Config struct {
	URL    string
	Secret string // signs; whsec_… is base64, as Standard Webhooks write it. Default: no signature
	Token  string // sent as a bearer token; default none
	// Concurrency is how many requests are under way; events of a key are never two at
	// once. Default 8. Batch sends that many events in a request; default 1.
	Concurrency, Batch int
	Timeout            time.Duration // of one request; default 10s
	// Decision is where an event has the id of the decision of a gate that it is about:
	// then URL is the gate's /v1/outcome, and what is posted is {"decision", "event"},
	// the type of the event. One without an id is refused. Default: CloudEvents.
	Decision enrich.Path
	// Retries is how often a request is made again before Write returns an error, with
	// pauses between; default 3.
	Retries int
	Client  *http.Client // default: one of its own
	Now     func() time.Time
}

// Output posts events.
type Output struct {
	c      Config
	secret []byte
	client *http.Client
}

var _ worker.Output = (*Output)(nil)

// Kind is what configurations of workers say of it.
func Kind() worker.Kind {
	return worker.Kind{
		Name: "webhook",
		Keys: []worker.Key{
			{Name: "url", Shape: worker.URL, Needed: true, Words: []string{"https", "http"}, Example: "https://app.example.com/flags"},
			{Name: "secret_file", Shape: worker.Secret, Example: "/etc/ipwarden/webhook-secret"},
			{Name: "token_file", Shape: worker.Secret, Example: "/etc/ipwarden/webhook-token"},
			{Name: "concurrency", Shape: worker.Number, Default: "8", Low: 1, High: 256},
			{Name: "batch", Shape: worker.Number, Default: "1", Low: 1, High: 10_000},
			{Name: "decision", Shape: worker.Text, Example: "decision"},
			{Name: "timeout", Shape: worker.Duration, Default: "10s", Low: int64(100 * time.Millisecond), High: int64(5 * time.Minute), Example: "10s"},
		},
		Output: func(v worker.Values) (worker.Output, error) {
			secret, err1 := v.Secret("secret_file")
			token, err2 := v.Secret("token_file")
			if err := errors.Join(err1, err2); err != nil {
				return nil, err
			}
			var decision enrich.Path
			if text := v.Text("decision"); text != "" {
				decision = enrich.ParsePath("data." + text) // of what a rule has made
			}
			return New(Config{URL: v.Text("url"), Decision: decision, Secret: secret, Token: token, Concurrency: int(v.Int("concurrency")), Batch: int(v.Int("batch")), Timeout: v.Duration("timeout")})
		},
	}
}

// New checks c.
func New(c Config) (*Output, error) {
	if len(c.Decision) > 0 {
		c.Batch = 1
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return nil, errors.New("webhook: the URL is none; it is such as https://app.example.com/flags")
	}
	if c.Concurrency == 0 {
		c.Concurrency = 8
	}
	if c.Batch == 0 {
		c.Batch = 1
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Retries == 0 {
		c.Retries = 3
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	o := &Output{c: c, secret: []byte(c.Secret), client: c.Client}
	if text, ok := strings.CutPrefix(c.Secret, "whsec_"); ok {
		if o.secret, err = base64.StdEncoding.DecodeString(text); err != nil || len(o.secret) == 0 {
			return nil, errors.New("webhook: what follows whsec_ in the secret is no base64")
		}
	}
	if o.client == nil {
		o.client = &http.Client{Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: c.Concurrency, IdleConnTimeout: 90 * time.Second,
			TLSHandshakeTimeout: 10 * time.Second, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 64 << 10,
		}}
	}
	own := *o.client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	o.client = &own
	return o, nil
}

// Write posts events, those of a key one after the other.
func (o *Output) Write(ctx context.Context, events []worker.Event) ([]worker.Refusal, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lanes := make([][]int, o.c.Concurrency)
	for i := range events {
		lane := i
		if key := events[i].Key; key != "" {
			h := fnv.New32a()
			_, _ = h.Write([]byte(key)) // which cannot fail
			lane = int(h.Sum32() & 0x7fffffff)
		}
		lanes[lane%len(lanes)] = append(lanes[lane%len(lanes)], i)
	}
	var mu sync.Mutex // guards refused and failed
	var refused []worker.Refusal
	var failed error
	var posts sync.WaitGroup
	for _, lane := range lanes {
		if len(lane) == 0 {
			continue
		}
		posts.Go(func() {
			for len(lane) > 0 {
				part := lane[:min(o.c.Batch, len(lane))]
				lane = lane[len(part):]
				no, err := o.divide(ctx, events, part)
				mu.Lock()
				refused = append(refused, no...)
				if err != nil && failed == nil {
					failed = err
					cancel() // all is sent again
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	posts.Wait()
	if failed != nil {
		return nil, failed
	}
	return refused, nil
}

// divide posts some events; where they are refused together for what may be in one of
// them, the first half of them and then the second.
func (o *Output) divide(ctx context.Context, events []worker.Event, part []int) (refused []worker.Refusal, err error) {
	reason, status, err := o.send(ctx, events, part)
	switch {
	case err != nil || reason == "":
		return nil, err
	case len(part) == 1 || !ofContent(status):
		for _, i := range part {
			refused = append(refused, worker.Refusal{Index: i, Reason: reason})
		}
		return refused, nil
	}
	for _, half := range [][]int{part[:len(part)/2], part[len(part)/2:]} {
		no, err := o.divide(ctx, events, half)
		if err != nil {
			return nil, err
		}
		refused = append(refused, no...)
	}
	return refused, nil
}

// ofContent: the answer may be about one event of several. Who is asked for a key, or
// sent elsewhere, is so with each of them.
func ofContent(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone:
		return false
	}
	return status >= 400
}

// send posts some events until there is an answer that means something.
func (o *Output) send(ctx context.Context, events []worker.Event, part []int) (reason string, status int, err error) {
	var body []byte
	id, kind := events[part[0]].ID, "application/cloudevents+json"
	switch {
	case len(o.c.Decision) > 0:
		e := &events[part[0]]
		decision := o.c.Decision.Scalar(e.Value)
		if e.Type == "" || decision == "" {
			return "it names no decision: a rule with emit makes what is told of one", 0, nil
		}
		kind = "application/json"
		body = ipwarden.AppendString([]byte(`{"decision":`), decision)
		body = append(ipwarden.AppendString(append(body, `,"event":`...), e.Type), '}')
	case o.c.Batch == 1:
		body = appendEvent(nil, &events[part[0]])
	default:
		kind = "application/cloudevents-batch+json"
		sum := sha256.New()
		for n, i := range part {
			body = append(body, "[,"[min(n, 1)])
			body = appendEvent(body, &events[i])
			fmt.Fprintln(sum, events[i].ID)
		}
		body = append(body, ']')
		id = base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:18])
	}
	pause := 200 * time.Millisecond
	for attempt := 0; ; attempt++ {
		status, after, err := o.post(ctx, id, kind, body)
		switch {
		case err == nil && status >= 200 && status < 300:
			return "", status, nil
		case err == nil && status != 408 && status != 425 && status != 429 && status < 500:
			return "the answer was " + strconv.Itoa(status) + " " + http.StatusText(status), status, nil
		case err == nil:
			err = fmt.Errorf("webhook: the answer of %s was %d %s", o.host(), status, http.StatusText(status))
		}
		if attempt == o.c.Retries {
			return "", 0, err
		}
		t := time.NewTimer(max(pause, min(after, 30*time.Second)))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return "", 0, err
		}
		pause *= 3
	}
}

// host is what may be told of the URL, which can have a secret in it.
func (o *Output) host() string {
	u, err := url.Parse(o.c.URL)
	if err != nil {
		return "the URL"
	}
	return u.Host
}

// post makes one request.
func (o *Output) post(ctx context.Context, id, kind string, body []byte) (status int, after time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, o.c.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, o.c.URL, bytes.NewReader(body))
	if err != nil {
		return 0, 0, errors.New("webhook: the URL is none")
	}
	stamp := strconv.FormatInt(o.c.Now().Unix(), 10)
	r.Header.Set("Content-Type", kind)
	r.Header.Set("User-Agent", "ipwarden")
	r.Header.Set("Webhook-Id", headerText(id))
	r.Header.Set("Webhook-Timestamp", stamp)
	if len(o.secret) > 0 {
		mac := hmac.New(sha256.New, o.secret)
		mac.Write([]byte(headerText(id) + "." + stamp + "."))
		mac.Write(body)
		r.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	if o.c.Token != "" {
		r.Header.Set("Authorization", "Bearer "+o.c.Token)
	}
	resp, err := o.client.Do(r)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // without the URL
		}
		return 0, 0, fmt.Errorf("webhook: %s: %w", o.host(), err)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection is used again
	if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && n > 0 {
		after = time.Duration(n) * time.Second
	}
	return resp.StatusCode, after, nil
}

// headerText is an id as it may stand in a header.
func headerText(id string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '_'
		}
		return r
	}, id)
}

// appendEvent writes an event as a CloudEvent; one that a rule has made is one.
func appendEvent(dst []byte, e *worker.Event) []byte {
	if e.Type != "" {
		return append(dst, e.Value...)
	}
	dst = ipwarden.AppendString(append(dst, `{"specversion":"1.0","id":`...), e.ID)
	dst = append(dst, `,"source":"ipwarden/worker","type":"enriched"`...)
	if e.Key != "" {
		dst = ipwarden.AppendString(append(dst, `,"subject":`...), e.Key)
	}
	if !e.Time.IsZero() {
		dst = append(e.Time.UTC().AppendFormat(append(dst, `,"time":"`...), time.RFC3339Nano), '"')
	}
	dst = append(dst, `,"datacontenttype":"application/json","data":`...)
	return append(append(dst, e.Value...), '}')
}

// Close closes idle connections.
func (o *Output) Close() error {
	o.client.CloseIdleConnections()
	return nil
}
