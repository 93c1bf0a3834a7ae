package cloudevents

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/proxytest"
	"github.com/ipwarden/ipwarden/internal/worker"
	"github.com/ipwarden/ipwarden/internal/worker/workertest"
)

// send posts until it is accepted, as a producer does, or the test is over.
func send(ctx context.Context, addr, id, value string) {
	for ctx.Err() == nil {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/", strings.NewReader(value))
		if err != nil {
			return
		}
		for k, v := range map[string]string{"Specversion": "1.0", "Id": id, "Source": "/test", "Type": "login"} {
			r.Header.Set("Ce-"+k, v)
		}
		resp, err := http.DefaultClient.Do(r)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusAccepted {
				return
			}
		}
		t := time.NewTimer(5 * time.Millisecond)
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

func TestInput(t *testing.T) {
	workertest.TestInput(t, func(t *testing.T) workertest.Source {
		addr := proxytest.FreeAddr(t)
		var n atomic.Int64
		return workertest.Source{
			Put: func(t *testing.T, values []string) {
				for _, v := range values {
					go send(t.Context(), addr, fmt.Sprint(n.Add(1)), v)
				}
			},
			Open: func(t *testing.T) worker.Input {
				for deadline := time.Now().Add(time.Minute); ; {
					in, err := Listen(Config{Listen: addr})
					if err == nil {
						return in
					}
					if time.Now().After(deadline) { // a connection may hold the address for a moment
						t.Fatal(err)
					}
				}
			},
			Unordered: true,
		}
	})
}

func TestParse(t *testing.T) {
	binary := http.Header{"Ce-Specversion": {"1.0"}, "Ce-Id": {"a%20b"}, "Ce-Source": {"/s"}, "Ce-Type": {"t"}, "Ce-Subject": {"ada"}, "Ce-Time": {"2026-11-21T10:00:00Z"}, "Content-Type": {"application/json"}}
	structured := http.Header{"Content-Type": {"application/cloudevents+json; charset=utf-8"}}
	batch := http.Header{"Content-Type": {"application/cloudevents-batch+json"}}
	for _, c := range []struct {
		header http.Header
		body   string
		want   []string // id, key, value of each
		wrong  string
	}{
		{binary, `{"ip":"8.8.8.8"}`, []string{"/s/a b", "ada", `{"ip":"8.8.8.8"}`}, ""},
		{structured, `{"specversion":"1.0","id":"1","source":"s","type":"t","data":{"ip":"8.8.8.8"}}`, []string{"s/1", "", `{"ip":"8.8.8.8"}`}, ""},
		{structured, `{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"e30="}`, []string{"s/1", "", `{}`}, ""},
		{batch, `[{"specversion":"1.0","id":"1","source":"s","type":"t","data":1},{"specversion":"1.0","id":"2","source":"s","type":"t","data":[]}]`, []string{"s/1", "", "1", "s/2", "", "[]"}, ""},
		{batch, `[]`, nil, ""},
		{structured, `{"specversion":"0.3","id":"1","source":"s","type":"t"}`, nil, "specversion"},
		{structured, `[]`, nil, "not JSON"},
		{batch, `[{"specversion":"1.0","id":"1","source":"s"}]`, nil, "event 1 of the batch"},
		{http.Header{}, `{}`, nil, "ce-specversion"},
		{http.Header{"Content-Type": {"application/cloudevents+avro"}}, `{}`, nil, "are read as"},
		{http.Header{"Content-Type": {";"}}, `{}`, nil, "cannot be read"},
		{structured, `{"specversion":"1.0","id":"` + strings.Repeat("x", 300) + `","source":"s","type":"t"}`, nil, "255"},
	} {
		got, err := parse(c.header, []byte(c.body))
		if c.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%s: %v, want an error with %q", c.body, err, c.wrong)
			}
			continue
		}
		var all []string
		for _, m := range got {
			all = append(all, m.ID, m.Key, string(m.Value))
		}
		if err != nil || !slices.Equal(all, c.want) {
			t.Errorf("%s: %q, %v", c.body, all, err)
		}
	}
}

func TestRefuses(t *testing.T) {
	in, err := Listen(Config{Listen: "127.0.0.1:0", Path: "/events", Token: "secret", MaxBody: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for _, c := range []struct {
		method, path, token, body string
		status                    int
	}{
		{"POST", "/", "Bearer secret", "{}", 404},
		{"GET", "/events", "Bearer secret", "", 405},
		{"POST", "/events", "", "{}", 401},
		{"POST", "/events", "Bearer secret2", "{}", 401},
		{"POST", "/events", "Bearer secret", strings.Repeat("x", 101), 413},
		{"POST", "/events", "Bearer secret", "{}", 400},
	} {
		r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
		r.Header.Set("Authorization", c.token)
		w := httptest.NewRecorder()
		in.ServeHTTP(w, r)
		if w.Code != c.status || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%+v: %d %s", c, w.Code, w.Body)
		}
	}
	for _, listen := range []string{"0.0.0.0:0", ":8090", "example.com:80", "nonsense"} {
		if in, err := Listen(Config{Listen: listen}); err == nil {
			in.Close()
			t.Errorf("it listens on %s without a token", listen)
		}
	}
}

// Dead letters that are put back have the ids that they had.
func TestBack(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	in, err := Listen(Config{Listen: addr, Token: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	events := []worker.Event{{ID: "/logins/eu/17", Key: "ada", Value: []byte("{\"ip\":\xff")}, {ID: "x", Value: []byte("{}")}}
	done := make(chan error, 1)
	go func() {
		b := NewBack(addr, "/", "secret")
		defer b.Close()
		refused, err := b.Write(t.Context(), events)
		if len(refused) > 0 {
			err = fmt.Errorf("refused: %+v", refused)
		}
		done <- err
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var got []string
	for len(got) < 2 {
		b, err := in.Read(ctx, worker.Bound{Messages: 10, Bytes: 1000})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range b.Messages {
			got = append(got, m.ID+" "+m.Key+" "+string(m.Value))
		}
		if err := b.Commit(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if want := []string{"/logins/eu/17 ada {\"ip\":\xff", "replay/x  {}"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("application/cloudevents-batch+json", []byte(`[{"specversion":"1.0","id":"1","source":"s","type":"t","data":1}]`))
	f.Add("application/cloudevents+json", []byte(`{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"e30="}`))
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		all, err := parse(http.Header{"Content-Type": {kind}}, body)
		for _, m := range all {
			if err == nil && (m.ID == "" || len(m.ID) > 256) {
				t.Fatalf("the id %q", m.ID)
			}
		}
	})
}
