package postgres

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ipwarden/ipwarden/internal/proxytest"
	"github.com/ipwarden/ipwarden/internal/worker"
	"github.com/ipwarden/ipwarden/internal/worker/workertest"
)

func TestEvents(t *testing.T) {
	p := proxytest.NewPostgres(t)
	n := 0
	table := ""
	made := func(t *testing.T) *Events {
		n++
		table = "events_" + string(rune('a'+n))
		o, err := NewEvents(EventsConfig{URL: p.URL("postgres"), Table: table, Make: true})
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	written := func(t *testing.T) []string {
		text := strings.TrimSpace(p.SQL(t, "postgres", "SELECT '{\"n\":\"' || (event->>'n') || '\",\"ip\":\"' || (event->>'ip') || '\"}' FROM "+table+" ORDER BY id COLLATE \"C\""))
		all := strings.Split(text, "\n")
		slices.Sort(all)
		return all
	}
	workertest.TestOutput(t, func(t *testing.T) workertest.Sink {
		return workertest.Sink{Output: made(t), Written: written, Once: true}
	})
	t.Run("refused", func(t *testing.T) {
		o := made(t)
		defer o.Close()
		var events []worker.Event
		deep := `{"n":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`
		for i, v := range []string{`{"n":"1","ip":"a"}`, `{"n":"\u0000"}`, `{"n":"2","ip":"a"}`, `{`, deep, `{"n":"3","ip":"a"}`} {
			events = append(events, worker.Event{ID: strconv.Itoa(i), Value: []byte(v)})
		}
		refused, err := o.Write(t.Context(), events)
		if err != nil || len(refused) != 3 || refused[0].Index != 1 || refused[1].Index != 3 || refused[2].Index != 4 {
			t.Errorf("%+v, %v", refused, err)
		}
		if got := written(t); len(got) != 3 {
			t.Errorf("%q", got)
		}
	})
	t.Run("restarted", func(t *testing.T) {
		o := made(t)
		defer o.Close()
		if _, err := o.Write(t.Context(), []worker.Event{{ID: "a", Value: []byte(`{"n":"1","ip":"a"}`)}}); err != nil {
			t.Fatal(err)
		}
		p.Stop()
		both := []worker.Event{{ID: "a", Value: []byte(`{"n":"1","ip":"a"}`)}, {ID: "b", Value: []byte(`{"n":"2","ip":"a"}`)}}
		if _, err := o.Write(t.Context(), both); err == nil {
			t.Error("a server that is away takes events")
		}
		p.Start()
		proxytest.Eventually(t, "events are written again", func() bool {
			_, err := o.Write(t.Context(), both)
			return err == nil
		})
		if got := written(t); !slices.Equal(got, []string{`{"n":"1","ip":"a"}`, `{"n":"2","ip":"a"}`}) {
			t.Errorf("%q", got)
		}
	})
}

func TestEventsRefuses(t *testing.T) {
	for _, c := range []EventsConfig{{URL: "postgres://a", Table: "x; DROP TABLE y"}, {URL: "postgres://a:secret@[", Table: "x"}} {
		if _, err := NewEvents(c); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestNamesOfTables(t *testing.T) {
	for s, want := range map[string]bool{
		"events": true, "_e1": true, "audit.events": true, strings.Repeat("a", 63): true,
		"": false, "1e": false, "Events": false, "a.": false, ".a": false, "a.b.c": false,
		"a;b": false, "a b": false, "a\n": false, "é": false, strings.Repeat("a", 64): false,
	} {
		_, err := NewEvents(EventsConfig{URL: "postgres://a", Table: s})
		if s != "" && (err == nil) != want { // empty: the default
			t.Errorf("%q: %v", s, err)
		}
	}
}
