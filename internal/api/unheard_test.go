package api

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// A limit of outcomes that nobody tells is said once; where somebody tells, it is not.
func TestUnheardOutcomes(t *testing.T) {
	for _, tells := range []bool{false, true} {
		a := gated(t, 1000)
		var said bytes.Buffer
		a.cfg.Log = slog.New(slog.NewTextHandler(&said, nil))
		for i := range 30 {
			r := askGate(a, "@", "GET", "/gate/nginx", "", fmt.Sprint("X-Real-Ip: 9.9.9.", i), "X-Original-Uri: /login", "X-Original-Method: POST")
			if r.StatusCode != 200 || r.Header.Get("X-Ipwarden-Awaits") != "true" {
				t.Fatalf("%d %v", r.StatusCode, r.Header)
			}
			if tells && i == 0 {
				askGate(a, "@", "POST", "/v1/outcome", `{"decision":"`+r.Header.Get("X-Ipwarden-Decision")+`","status":200}`)
			}
		}
		want := map[bool]int{true: 0, false: 1}[tells]
		if n := strings.Count(said.String(), "nobody tells"); n != want {
			t.Errorf("somebody tells: %v; the log says it %d times: %s", tells, n, &said)
		}
	}
	r := askGate(gated(t, 1000), "@", "GET", "/gate/nginx", "", "X-Real-Ip: 9.9.9.9", "X-Original-Uri: /", "X-Original-Method: POST")
	if r.Header.Get("X-Ipwarden-Awaits") != "" {
		t.Errorf("nothing waits: %v", r.Header)
	}
}
