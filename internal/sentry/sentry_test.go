package sentry

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// sink is a service that takes reports.
func sink(t *testing.T) (dsn string, reports chan string) {
	t.Helper()
	reports = make(chan string, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil || r.URL.Path != "/api/42/envelope/" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		reports <- string(b)
		fmt.Fprint(w, `{"id":"0123456789abcdef0123456789abcdef"}`)
	}))
	t.Cleanup(s.Close)
	return "http://publickey@" + s.Listener.Addr().String() + "/42", reports
}

func TestReports(t *testing.T) {
	dsn, reports := sink(t)
	r, err := New(Config{DSN: dsn, Environment: "test", Release: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	key := customer.NewKeyText(customer.Secret, customer.Live)
	var lines bytes.Buffer
	log := slog.New(r.Handler(slog.NewTextHandler(&lines, nil)))
	log.Info("this is not an error", "key", key)
	log.With("region", "eu").WithGroup("db").Error("the store does not answer 203.0.113.77",
		"error", fmt.Errorf("dial: %w", errors.New("postgres://ada:hunter22@203.0.113.77:5432: refused")), "sent", key, "password", "abc", "n", 7,
		slog.Group("of", "peer", "[2001:db8:1:2::7]:80"))
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	var report string
	select {
	case report = <-reports:
	case <-time.After(30 * time.Second):
		t.Fatal("no report came")
	}
	for _, want := range []string{`"message":"the store does not answer 203.0.113.0/24"`, `"level":"error"`, `"environment":"test"`, `"release":"v1"`, `"region":"eu"`, `"db.n":"7"`, `"db.of.peer":"[2001:db8:1::/48]:80"`, `"source":"sentry_test.go:`} {
		if !strings.Contains(report, want) {
			t.Errorf("%s is not in %s", want, report)
		}
	}
	for _, secret := range []string{key, "hunter22", "203.0.113.77", "1:2::7", `"abc"`, "not an error", `"server_name":"`, `"modules"`, `"user":{"i`} {
		if strings.Contains(report, secret) {
			t.Errorf("%s is in %s", secret, report)
		}
	}
	select {
	case more := <-reports:
		t.Errorf("another report: %s", more)
	default:
	}
	if !strings.Contains(lines.String(), "this is not an error") || !strings.Contains(lines.String(), "does not answer") {
		t.Errorf("the log lacks something: %s", &lines)
	}
	if sent, dropped := r.Counts(); sent != 1 || dropped != 0 {
		t.Errorf("%d sent, %d dropped", sent, dropped)
	}
}

// A storm of errors is a few reports.
func TestStorm(t *testing.T) {
	dsn, reports := sink(t)
	now := time.Now()
	r, err := New(Config{DSN: dsn, PerMinute: 3, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(r.Handler(slog.DiscardHandler))
	for range 50 {
		log.Error("again")
	}
	now = now.Add(time.Minute)
	log.Error("later")
	_ = r.Close()
	for range 4 {
		select {
		case <-reports:
		case <-time.After(30 * time.Second):
			t.Fatal("a report is missing")
		}
	}
	if sent, dropped := r.Counts(); sent != 4 || dropped != 47 || len(reports) != 0 {
		t.Errorf("%d sent, %d dropped, %d more came", sent, dropped, len(reports))
	}
}

// A service that takes a connection and never answers makes nobody wait.
func TestNobodyWaits(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	r, err := New(Config{DSN: "http://publickey@" + ln.Addr().String() + "/42", PerMinute: 5000})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(r.Handler(slog.DiscardHandler))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 1500 {
			log.Error("again", "error", errors.New("x"))
		}
	}()
	select {
	case <-done:
	case <-time.After(5 * time.Minute):
		t.Fatal("logging waits for the service")
	}
	_ = r.Close()
}

func TestDSN(t *testing.T) {
	for _, dsn := range []string{"", "nonsense", "https://sentry.example.com/42", "ftp://key@example.com/1", "https://verysecret@example.com"} {
		if _, err := New(Config{DSN: dsn}); err == nil || strings.Contains(err.Error(), "verysecret") {
			t.Errorf("%q: %v", dsn, err)
		}
	}
	var none *Reporter
	if h := none.Handler(slog.DiscardHandler); h != slog.DiscardHandler || none.Close() != nil {
		t.Error("the nil Reporter does something")
	}
}

// A secret that the bound of a text cuts in two is not told by half.
func TestCut(t *testing.T) {
	const url = "postgres://ada:hunter22hunter22@db.example.com/x"
	for _, n := range []int{0, maxText - 30, maxText - 20, maxText - 5, maxSeen - 30, maxSeen - 20, maxSeen - 5, 3 * maxSeen} {
		got := clean(strings.Repeat("x", max(n-1, 0)) + " " + url + strings.Repeat(" y", 2*maxSeen))
		if strings.Contains(got, "hunter") || len(got) > maxText+10 {
			t.Errorf("behind %d bytes: %d bytes, ending with %q", n, len(got), got[max(0, len(got)-60):])
		}
	}
	if got := clean(strings.Repeat("x", 3*maxSeen)); got != "…" {
		t.Errorf("one long word is %q", got)
	}
}

// A service that sends reports elsewhere does not get its way.
func TestRedirect(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s came elsewhere", r.URL) }))
	defer elsewhere.Close()
	asked := make(chan struct{}, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", elsewhere.URL)
		w.WriteHeader(http.StatusTemporaryRedirect)
		asked <- struct{}{}
	}))
	defer s.Close()
	r, err := New(Config{DSN: "http://publickey@" + s.Listener.Addr().String() + "/42"})
	if err != nil {
		t.Fatal(err)
	}
	slog.New(r.Handler(slog.DiscardHandler)).Error("x")
	select {
	case <-asked:
	case <-time.After(time.Minute):
		t.Error("nobody was asked")
	}
	_ = r.Close()
}
