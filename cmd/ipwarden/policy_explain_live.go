package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden/policy"
)

// liveDecision is what POST /v1/decide answers, as far as it is shown.
type liveDecision struct {
	Verdict    string `json:"verdict"`
	Reason     string `json:"reason"`
	By         string `json:"by"`
	RetryAfter int    `json:"retry_after"`
	Degraded   bool   `json:"degraded"`
	Limits     []struct {
		Name      string `json:"name"`
		Limit     uint32 `json:"limit"`
		Remaining uint32 `json:"remaining"`
		Reset     int    `json:"reset"`
		Source    string `json:"source"`
	} `json:"limits"`

	Title, Detail string // of a problem instead
}

// How long a running gate may take to answer, and how much it may say.
const (
	askPatience = 10 * time.Second
	askMost     = 1 << 20
)

// ask asks a running gate about the request. It is a dry run: nothing is charged.
func (c *policyExplainCmd) ask(ctx context.Context, e *env, in *policy.Input) (*liveDecision, error) {
	token, err := secret(c.ServiceTokenFile, "IPWARDEN_SERVICE_TOKEN", e)
	if err != nil {
		return nil, err
	}
	headers := map[string][]string{}
	for name, lines := range in.Request.Header.(http.Header) {
		headers[name] = lines
	}
	question, err := json.Marshal(map[string]any{
		"ip": in.Client.String(), "method": in.Request.Method, "scheme": in.Request.Scheme, "host": in.Request.Host,
		"path": c.Path, "headers": headers, "account": in.Request.Account, "dry_run": true,
	})
	if err != nil {
		return nil, err
	}
	client := &http.Client{
		Timeout: askPatience,
		// The token is for this server alone.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	base := strings.TrimSuffix(c.Server, "/")
	if socket, ok := strings.CutPrefix(c.Server, "unix:"); ok {
		base = "http://localhost"
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", strings.TrimPrefix(socket, "//"))
		}
		client.Transport = &http.Transport{DialContext: dial}
	} else if !strings.HasPrefix(base, "http://") && !strings.HasPrefix(base, "https://") {
		return nil, usagef("--server %q is no URL; it is like http://127.0.0.1:8090 or unix:/run/ipwarden.sock", c.Server)
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/decide", bytes.NewReader(question))
	if err != nil {
		return nil, usagef("--server: %w", err)
	}
	q.Header.Set("Content-Type", "application/json")
	if token != "" {
		q.Header.Set("Authorization", "Bearer "+token)
	}
	r, err := client.Do(q)
	if err != nil {
		return nil, fmt.Errorf("the gate at %s: %w", c.Server, errors.Unwrap(err))
	}
	defer r.Body.Close()
	var live liveDecision
	err = json.NewDecoder(io.LimitReader(r.Body, askMost)).Decode(&live)
	switch {
	case r.StatusCode != http.StatusOK && live.Detail != "":
		return nil, fmt.Errorf("the gate at %s: %s: %s", c.Server, live.Title, live.Detail)
	case r.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("the gate at %s answered %s", c.Server, r.Status)
	case err != nil || live.Verdict == "":
		return nil, fmt.Errorf("what is at %s did not answer as a gate does", c.Server)
	}
	return &live, nil
}

// live tells what a running gate says, and the state of its limits.
func (w *explainWriter) live(server string, d *liveDecision) {
	because := strings.ReplaceAll(d.Reason, "_", " ")
	if d.By != "" {
		because += fmt.Sprintf(" %q", printable(d.By))
	}
	if d.Degraded {
		because += "; something that it wanted to know was away"
	}
	w.line("now", "%s says %s%s%s, by %s", server, w.green, printable(d.Verdict), w.reset, because)
	for i := range d.Limits {
		l := &d.Limits[i]
		says := fmt.Sprintf("%d of %d left", l.Remaining, l.Limit)
		if l.Remaining < l.Limit {
			says += fmt.Sprintf(", all of it in %s", time.Duration(l.Reset)*time.Second)
		}
		if l.Source == "local" {
			says += ", by its own counts alone"
		}
		w.line("", "limit %s: %s", printable(l.Name), says)
	}
	if d.RetryAfter > 0 {
		w.line("", "again in %s", time.Duration(d.RetryAfter)*time.Second)
	}
}
