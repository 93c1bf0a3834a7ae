package api

import (
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Admin returns the handler of the admin listener: /metrics in Prometheus's
// form, /debug/pprof/, and the two health pages. It tells whoever reaches it
// what the process does, so it belongs on loopback.
func (a *API) Admin() http.Handler { return AdminOf(a.metrics.registry, a.Handler(), a.cfg.Operator) }

// AdminOf is Admin for other servers: health answers /healthz and /readyz, and
// operator, which may be nil, what is below /shield.
func AdminOf(registry prometheus.Gatherer, health, operator http.Handler) http.Handler {
	mux := http.NewServeMux()
	if operator != nil {
		mux.Handle("/shield", operator)
		mux.Handle("/shield/", operator)
	}
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.Handle("GET /healthz", health)
	mux.Handle("GET /readyz", health)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		p := notFound(r.URL.Path)
		p.detail = "The admin listener has /metrics, /shield, /debug/pprof/, /healthz and /readyz."
		p.example = "GET /metrics"
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(p.status)
		_, _ = w.Write(p.append(nil, r.URL.Path)) // the client went away: nobody to tell
	})
	return mux
}

// Registry is where other parts of the program register their metrics.
func (a *API) Registry() prometheus.Registerer { return a.metrics.registry }
