package api

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/ipwarden/ipwarden/internal/api/dialect"
)

// dialectTargets are the commonest question of each dialect.
var dialectTargets = map[string]string{
	"ipinfo":     "/8.8.8.8",
	"ipdata":     "/8.8.8.8?api-key=k",
	"ipasis":     "/v1/lookup?ip=8.8.8.8",
	"maxmind":    "/geoip/v2.1/city/8.8.8.8",
	"ip-api":     "/json/8.8.8.8",
	"ipregistry": "/8.8.8.8",
}

// BenchmarkDialect compares each dialect's answer with the native one, without
// the network.
func BenchmarkDialect(b *testing.B) {
	set, err := dialect.New(dialect.Config{Scores: sampleScores})
	if err != nil {
		b.Fatal(err)
	}
	d := newReadyData()
	a := newAPI(b, func(c *Config) { c.Data = func() Data { return d }; c.Now = nil; c.Dialects = set })
	targets := map[string]string{"native": "/v1/ip/8.8.8.8"}
	order := []string{"native"}
	for _, name := range dialect.Names() {
		order = append(order, name)
		targets[name] = "/compat/" + name + dialectTargets[name]
	}
	for _, name := range order {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RequestURI = targets[name]
			w := &sink{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				a.serveHTTP(w, r)
			}
		})
	}
}
