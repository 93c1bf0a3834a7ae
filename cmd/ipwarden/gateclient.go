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
)

// How long a running gate may take to answer, and how much it may say.
const (
	askPatience = 10 * time.Second
	askMost     = 1 << 20
	askMostBans = 64 << 20
)

// errNotFound is in what ask returns when the server does not know the path.
var errNotFound = errors.New("it does not know the path")

// gateClient asks a running gate.
type gateClient struct {
	server, tokenFile string
	most              int64 // bytes of an answer; 0 is askMost
}

// ask sends body, if there is one, and reads the answer into to. A problem that the
// gate has is an error with its words.
func (c *gateClient) ask(ctx context.Context, e *env, method, path string, body, to any) error {
	token, err := secret(c.tokenFile, "IPWARDEN_SERVICE_TOKEN", e)
	if err != nil {
		return err
	}
	var text io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		text = bytes.NewReader(b)
	}
	client := &http.Client{
		Timeout: askPatience,
		// The token is for this server alone.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	base := strings.TrimSuffix(c.server, "/")
	if socket, ok := strings.CutPrefix(c.server, "unix:"); ok {
		base = "http://localhost"
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", strings.TrimPrefix(socket, "//"))
		}
		client.Transport = &http.Transport{DialContext: dial}
	} else if !strings.HasPrefix(base, "http://") && !strings.HasPrefix(base, "https://") {
		return usagef("--server %q is no URL; it is like http://127.0.0.1:8090 or unix:/run/ipwarden.sock", c.server)
	}
	q, err := http.NewRequestWithContext(ctx, method, base+path, text)
	if err != nil {
		return usagef("--server: %w", err)
	}
	if body != nil {
		q.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		q.Header.Set("Authorization", "Bearer "+token)
	}
	r, err := client.Do(q)
	if err != nil {
		return fmt.Errorf("the gate at %s: %w", c.server, errors.Unwrap(err))
	}
	defer r.Body.Close()
	most := c.most
	if most == 0 {
		most = askMost
	}
	answer, err := io.ReadAll(io.LimitReader(r.Body, most))
	if err != nil {
		return fmt.Errorf("the gate at %s: %w", c.server, err)
	}
	if r.StatusCode != http.StatusOK {
		var problem struct{ Title, Detail string }
		if json.Unmarshal(answer, &problem) == nil && problem.Detail != "" {
			return fmt.Errorf("the gate at %s: %s: %s", c.server, printable(problem.Title), printable(problem.Detail))
		}
		if r.StatusCode == http.StatusNotFound {
			return fmt.Errorf("the gate at %s answered %s: %w", c.server, r.Status, errNotFound)
		}
		return fmt.Errorf("the gate at %s answered %s", c.server, r.Status)
	}
	if err := json.Unmarshal(answer, to); err != nil {
		return fmt.Errorf("what is at %s did not answer as a gate does", c.server)
	}
	return nil
}
