package cloudevents

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden/internal/worker"
)

// back posts events to the worker that listens, with the ids that they had.
type back struct {
	url, token string
	client     *http.Client
}

// NewBack returns what posts events to the listener of a configuration.
func NewBack(listen, path, token string) worker.Output {
	return &back{"http://" + listen + path, token, &http.Client{Timeout: 5 * time.Minute}}
}

// Write posts events, one after the other.
func (o *back) Write(ctx context.Context, events []worker.Event) (refused []worker.Refusal, err error) {
	for i := range events {
		e := &events[i]
		source, id := "replay", e.ID
		if n := strings.LastIndexByte(e.ID, '/'); n > 0 && n < len(e.ID)-1 {
			source, id = e.ID[:n], e.ID[n+1:] // which are the same id again
		}
		all := map[string]any{"specversion": "1.0", "id": id, "source": source, "type": "replay", "data_base64": e.Value}
		if e.Key != "" {
			all["subject"] = e.Key
		}
		if !e.Time.IsZero() {
			all["time"] = e.Time
		}
		body, err := json.Marshal(all)
		if err != nil {
			return nil, err
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, o.url, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		r.Header.Set("Content-Type", "application/cloudevents+json")
		if o.token != "" {
			r.Header.Set("Authorization", "Bearer "+o.token)
		}
		resp, err := o.client.Do(r)
		if err != nil {
			return nil, fmt.Errorf("cloudevents: the worker has to run for that: %w", err)
		}
		said, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
		resp.Body.Close()
		switch {
		case resp.StatusCode == http.StatusAccepted:
		case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode >= 500:
			return nil, errors.Join(fmt.Errorf("cloudevents: %s: %s", resp.Status, said), err)
		default:
			refused = append(refused, worker.Refusal{Index: i, Reason: resp.Status})
		}
	}
	return refused, nil
}

func (o *back) Close() error {
	o.client.CloseIdleConnections()
	return nil
}
