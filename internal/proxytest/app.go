package proxytest

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// An App is an application behind a proxy. It answers each request with what it
// saw of it, [Seen] as JSON; a path under /status/, or a query status=, with that
// status.
type App struct {
	Addr string
	hits atomic.Int64
}

// Seen is what the application saw.
type Seen struct {
	Method, Path, Query, Host, Body string
	Header                          http.Header
}

// NewApp starts an application that ends with the test.
func NewApp(t *testing.T) *App {
	t.Helper()
	a := &App{}
	s := httptest.NewServer(a)
	t.Cleanup(s.Close)
	a.Addr = s.Listener.Addr().String()
	return a
}

// Hits counts the requests that came through.
func (a *App) Hits() int64 { return a.hits.Load() }

func (a *App) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.hits.Add(1)
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	status := http.StatusOK
	code, ok := strings.CutPrefix(r.URL.Path, "/status/")
	if !ok {
		code, ok = strings.CutPrefix(r.URL.RawQuery, "status=")
	}
	if ok && len(code) == 3 {
		status = int(code[0]-'0')*100 + int(code[1]-'0')*10 + int(code[2]-'0')
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(Seen{
		Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery,
		Host: r.Host, Body: string(body), Header: r.Header,
	})
}

// A Reply is what the client got.
type Reply struct {
	Status int
	Header http.Header
	Body   string
	Seen   *Seen // what the application saw; nil if it was not asked
	Took   time.Duration
}

// Get sends a request to the proxy at addr. Each of lines is "Name: value", and
// repeated ones are sent repeatedly; redirects are not followed.
func Get(t *testing.T, addr, target string, lines ...string) *Reply {
	t.Helper()
	return Send(t, addr, http.MethodGet, target, "", lines...)
}

// Send is [Get] with a method and a body.
func Send(t *testing.T, addr, method, target, body string, lines ...string) *Reply {
	t.Helper()
	r, err := Try(t, addr, method, target, body, lines...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Try is [Send] for requests that may fail.
func Try(t *testing.T, addr, method, target, body string, lines ...string) (*Reply, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		if strings.EqualFold(name, "Host") {
			req.Host = value
			continue
		}
		req.Header.Add(name, value)
	}
	tr := &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{Timeout: patience}).DialContext}
	defer tr.CloseIdleConnections()
	began := time.Now()
	res, err := (&http.Client{
		Transport: tr, Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}).Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	r := &Reply{Status: res.StatusCode, Header: res.Header, Body: string(text), Took: time.Since(began)}
	seen := &Seen{}
	if res.Header.Get("Content-Type") == "application/json" && json.Unmarshal(text, seen) == nil && seen.Method != "" {
		r.Seen = seen
	}
	return r, nil
}
