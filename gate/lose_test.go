package gate_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/policy"
)

// A client that goes away before the handler has answered keeps its place for as long
// as an attempt of which nothing is known: 3 log-ins, however many were begun.
func TestClientsThatGoAwayKeepTheirPlaces(t *testing.T) {
	now := newClock()
	g := newGate(t, policy.Config{Limits: []policy.Limit{failures("login", 3)}}, now.use)
	reached := 0
	h := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached++
		r.Context().Value(goes{}).(context.CancelFunc)()
		w.WriteHeader(http.StatusBadGateway) // as a proxy says whose request was cancelled
	}))
	try := func() int {
		ctx, cancel := context.WithCancel(t.Context())
		r := httptest.NewRequestWithContext(context.WithValue(ctx, goes{}, cancel), http.MethodPost, "/login", nil)
		r.RemoteAddr = "81.2.69.142:1"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	for range 10 {
		try()
	}
	if reached != 3 {
		t.Errorf("%d log-ins were begun, want 3", reached)
	}
	now.pass(time.Minute)
	if code := try(); code != http.StatusBadGateway {
		t.Errorf("when their time is up: %d, want it let in", code)
	}
}

type goes struct{}
