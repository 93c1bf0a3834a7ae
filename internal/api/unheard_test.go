package api

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// A limit of outcomes that nobody tells is said once; where somebody tells, it is not,
// and not while the application may not have answered yet.
func TestUnheardOutcomes(t *testing.T) {
	for _, c := range []struct {
		tells bool
		every time.Duration
		want  int
	}{{false, 3 * time.Second, 1}, {true, 3 * time.Second, 0}, {false, time.Second, 0}} {
		a := gated(t, 1000)
		var said bytes.Buffer
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		a.cfg.Now = func() time.Time {
			now = now.Add(c.every)
			return now
		}
		a.cfg.Log = slog.New(slog.NewTextHandler(&said, nil))
		for i := range 30 {
			r := askGate(a, "@", "GET", "/gate/nginx", "", fmt.Sprint("X-Real-Ip: 9.9.9.", i), "X-Original-Uri: /login", "X-Original-Method: POST")
			if r.StatusCode != 200 || r.Header.Get("X-Ipwarden-Awaits") != "true" {
				t.Fatalf("%d %v", r.StatusCode, r.Header)
			}
			if c.tells && i == 0 {
				askGate(a, "@", "POST", "/v1/outcome", `{"decision":"`+r.Header.Get("X-Ipwarden-Decision")+`","status":200}`)
			}
		}
		if n := strings.Count(said.String(), "nobody tells"); n != c.want {
			t.Errorf("somebody tells: %v, one each %s; the log says it %d times: %s", c.tells, c.every, n, &said)
		}
	}
	r := askGate(gated(t, 1000), "@", "GET", "/gate/nginx", "", "X-Real-Ip: 9.9.9.9", "X-Original-Uri: /", "X-Original-Method: POST")
	if r.Header.Get("X-Ipwarden-Awaits") != "" {
		t.Errorf("nothing waits: %v", r.Header)
	}
}
