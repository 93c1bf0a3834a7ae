package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/enrich"
	"github.com/ipwarden/ipwarden/internal/worker"
	"github.com/ipwarden/ipwarden/internal/worker/workertest"
)

// sink is an application that takes events.
type sink struct {
	*httptest.Server
	mu     sync.Mutex // guards the rest
	seen   []string   // data of events, as they come
	ids    []string
	faults int // of so many requests one is answered with 503
	asked  int
}

func newSink(t *testing.T, secret string, most int) *sink {
	s := &sink{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mac := hmac.New(sha256.New, []byte(secret))
		fmt.Fprintf(mac, "%s.%s.%s", r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Timestamp"), body)
		if got, want := r.Header.Get("Webhook-Signature"), "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)); got != want {
			t.Errorf("the signature is %s, want %s", got, want)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.asked++; s.faults > 0 && s.asked%s.faults == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if most > 0 && len(body) > most {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		type event struct {
			ID   string          `json:"id"`
			Data json.RawMessage `json:"data"`
		}
		var all []event
		if strings.HasPrefix(r.Header.Get("Content-Type"), "application/cloudevents-batch") {
			err = json.Unmarshal(body, &all)
		} else {
			all = make([]event, 1)
			err = json.Unmarshal(body, &all[0])
		}
		if err != nil {
			t.Errorf("%s: %v", body, err)
		}
		for _, e := range all {
			s.seen, s.ids = append(s.seen, string(e.Data)), append(s.ids, e.ID)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func TestOutput(t *testing.T) {
	for _, batch := range []int{1, 7} {
		t.Run(fmt.Sprintf("batch=%d", batch), func(t *testing.T) {
			workertest.TestOutput(t, func(t *testing.T) workertest.Sink {
				s := newSink(t, "secret", 100_000)
				o, err := New(Config{URL: s.URL, Secret: "secret", Concurrency: 1, Batch: batch})
				if err != nil {
					t.Fatal(err)
				}
				return workertest.Sink{Output: o, TooLarge: 200_000, Written: func(*testing.T) []string {
					s.mu.Lock()
					defer s.mu.Unlock()
					return slices.Clone(s.seen)
				}}
			})
		})
	}
}

// An application that is busy now and then has every event, those of a key in order.
func TestBusy(t *testing.T) {
	s := newSink(t, "secret", 0)
	s.faults = 5
	o, err := New(Config{URL: s.URL, Secret: "whsec_" + base64.StdEncoding.EncodeToString([]byte("secret")), Concurrency: 4, Retries: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	var events []worker.Event
	for i := range 60 {
		events = append(events, worker.Event{ID: fmt.Sprintf("%d/%d", i%3, i), Key: fmt.Sprint(i % 3), Value: fmt.Appendf(nil, "%d", i), Time: time.Now()})
	}
	for {
		refused, err := o.Write(t.Context(), events)
		if err == nil && len(refused) == 0 {
			break
		}
		if len(refused) > 0 {
			t.Fatal(refused)
		}
	}
	first := map[string][]string{}
	seen := map[string]bool{}
	for _, id := range s.ids {
		if !seen[id] {
			first[id[:1]] = append(first[id[:1]], id)
		}
		seen[id] = true
	}
	if len(seen) != 60 {
		t.Errorf("%d came", len(seen))
	}
	for key, ids := range first {
		last := -1
		for _, id := range ids {
			var n int
			if _, err := fmt.Sscanf(id[2:], "%d", &n); err != nil || n < last {
				t.Fatalf("key %s: %q, %v", key, ids, err)
			}
			last = n
		}
	}
}

// A redirect is a refusal, and what is told of an URL has no secret in it.
func TestRedirectAndAway(t *testing.T) {
	there := httptest.NewServer(http.RedirectHandler("http://127.0.0.1:1/", http.StatusTemporaryRedirect))
	o, err := New(Config{URL: there.URL + "/?key=secret", Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	events := []worker.Event{{ID: "a", Value: []byte("{}")}}
	if refused, err := o.Write(t.Context(), events); err != nil || len(refused) != 1 || !strings.Contains(refused[0].Reason, "307") {
		t.Errorf("%+v, %v", refused, err)
	}
	there.Close()
	o.c.Retries = 1
	if _, err := o.Write(t.Context(), events); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("an application that is away: %v", err)
	}
	for _, c := range []Config{{}, {URL: "ftp://a"}, {URL: "http://a", Secret: "whsec_!"}} {
		if _, err := New(c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}

// A gate is told what became of a decision, which charges the limits of the account.
func TestOutcome(t *testing.T) {
	var told []string
	gate := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		told = append(told, r.Header.Get("Content-Type")+" "+string(body))
	}))
	defer gate.Close()
	o, err := New(Config{URL: gate.URL + "/v1/outcome", Decision: enrich.ParsePath("data.decision"), Concurrency: 1, Batch: 5})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	refused, err := o.Write(t.Context(), []worker.Event{
		{ID: "a", Type: "login_failed", Value: []byte(`{"data":{"decision":"01M7"}}`)},
		{ID: "b", Type: "login_failed", Value: []byte(`{"data":{}}`)},
		{ID: "c", Value: []byte(`{"decision":"01M7"}`)},
	})
	if err != nil || len(refused) != 2 || refused[0].Index != 1 || refused[1].Index != 2 {
		t.Errorf("%+v, %v", refused, err)
	}
	if want := []string{`application/json {"decision":"01M7","event":"login_failed"}`}; !slices.Equal(told, want) {
		t.Errorf("%q", told)
	}
}

// Of a batch that is refused, only what is wrong is: the rest comes, in its order. Where
// all would be refused alike, nobody asks again.
func TestOneOfABatch(t *testing.T) {
	for _, c := range []struct{ status, refused, most int }{{422, 2, 40}, {404, 100, 10}} {
		asked := 0
		var seen []string
		there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked++
			var all []struct {
				ID   string
				Data json.RawMessage
			}
			body, err := io.ReadAll(r.Body)
			if err = errors.Join(err, json.Unmarshal(body, &all)); err != nil {
				t.Error(err)
			}
			if c.status == 404 || strings.Contains(string(body), "bad") {
				w.WriteHeader(c.status)
				return
			}
			for _, e := range all {
				seen = append(seen, e.ID)
			}
		}))
		o, err := New(Config{URL: there.URL, Concurrency: 1, Batch: 50})
		if err != nil {
			t.Fatal(err)
		}
		var events []worker.Event
		var want []string
		for i := range 100 {
			e := worker.Event{ID: fmt.Sprint(i), Value: []byte(`{}`)}
			if i == 17 || i == 49 {
				e.Value = []byte(`{"a":"bad"}`)
			} else {
				want = append(want, e.ID)
			}
			events = append(events, e)
		}
		refused, err := o.Write(t.Context(), events)
		there.Close()
		if err != nil || len(refused) != c.refused || asked > c.most {
			t.Errorf("%d: %d refused (%v) in %d requests", c.status, len(refused), err, asked)
		}
		if c.status == 422 && (!slices.Equal(seen, want) || refused[0].Index != 17 || refused[1].Index != 49) {
			t.Errorf("%q came, %+v refused", seen, refused)
		}
	}
}
