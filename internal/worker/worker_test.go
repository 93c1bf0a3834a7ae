package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/enrich"
	"github.com/ipwarden/ipwarden/ipwardentest"
	"github.com/ipwarden/ipwarden/policy/compile"
)

// memory is an input and its commits.
type memory struct {
	values []string
	at     int

	mu        sync.Mutex // guards the rest: a commit is beside a Read
	committed []string
	serial    bool
	open      int // batches that were read and not committed
	most      int
}

func (m *memory) Serial() bool { return m.serial }

func (m *memory) Read(ctx context.Context, most Bound) (*Batch, error) {
	if m.at == len(m.values) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	b := &Batch{}
	for m.at < len(m.values) && len(b.Messages) < most.Messages {
		id := fmt.Sprintf("memory/%d", m.at)
		b.Messages = append(b.Messages, Message{ID: id, Position: id, Origin: "here", Value: []byte(m.values[m.at]), Time: time.Unix(1_700_000_000+int64(m.at)*86400, 0)})
		m.at++
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open++
	m.most = max(m.most, m.open)
	b.Commit = func(context.Context) error {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.open--
		for i := range b.Messages {
			m.committed = append(m.committed, b.Messages[i].ID)
		}
		return nil
	}
	return b, nil
}

func (m *memory) Close() error { return nil }

// list is an output.
type list struct {
	mu     sync.Mutex // guards the rest
	events []Event
	away   bool
	refuse string
}

func (l *list) Write(_ context.Context, events []Event) (no []Refusal, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away {
		return nil, errors.New("it is away")
	}
	for i, e := range events {
		if l.refuse != "" && strings.Contains(string(e.Value), l.refuse) {
			no = append(no, Refusal{i, "never"})
			continue
		}
		e.Value = slices.Clone(e.Value)
		l.events = append(l.events, e)
	}
	return no, nil
}

func (l *list) Close() error { return nil }

func (l *list) setAway(away bool) { l.mu.Lock(); l.away = away; l.mu.Unlock() }

func (l *list) ids() (all []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		all = append(all, e.ID)
	}
	return all
}

func sample() Answers { return Answers{Source: ipwardentest.Sample()} }

func run(t *testing.T, c Config) *Worker {
	t.Helper()
	w, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func numbered(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf(`{"n":%d,"ip":"8.8.8.8"}`, i))
	}
	return all
}

// An output that is away stops the reading, commits nothing, and has everything once it
// is back.
func TestBackPressure(t *testing.T) {
	for _, serial := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			in, out, dead := &memory{values: numbered(1000), serial: serial}, &list{away: true}, &list{}
			w := run(t, Config{Input: in, Outputs: map[string]Output{"out": out}, To: []string{"out"}, Dead: dead, Source: sample, Batch: Bound{Messages: 10}})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- w.Run(ctx) }()
			time.Sleep(10 * time.Minute) // of the bubble
			synctest.Wait()
			if most := map[bool]int{false: 6, true: 1}[serial]; in.open > most || len(in.committed) > 0 {
				t.Errorf("%d batches are open, of %d at most; %d events are committed", in.open, most, len(in.committed))
			}
			out.setAway(false)
			time.Sleep(time.Minute)
			synctest.Wait()
			if got := out.ids(); len(got) != 1000 || len(in.committed) != 1000 || !slices.Equal(got, in.committed) {
				t.Errorf("%d came out, %d are committed, of 1000", len(got), len(in.committed))
			}
			if serial && in.most != 1 {
				t.Errorf("%d batches were open at once", in.most)
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// What was read is written at the end, as long as Drain allows, and not committed when
// it was not.
func TestDrain(t *testing.T) {
	for _, back := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			in, out := &memory{values: numbered(5)}, &list{away: true}
			w := run(t, Config{Input: in, Outputs: map[string]Output{"out": out}, To: []string{"out"}, Dead: &list{}, Source: sample, Drain: 30 * time.Second})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- w.Run(ctx) }()
			time.Sleep(time.Second)
			cancel()
			time.Sleep(10 * time.Second)
			out.setAway(!back)
			begun := time.Now()
			err := <-done
			if took := time.Since(begun); (err == nil) != back || took > 25*time.Second {
				t.Errorf("back is %v: %v after %v", back, err, took)
			}
			if want := map[bool]int{true: 5}[back]; len(in.committed) != want {
				t.Errorf("%d are committed, want %d", len(in.committed), want)
			}
		})
	}
}

// Every kind of what is no event has its reason, and stops nothing; what an output
// refuses is a dead letter too.
func TestDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		values := []string{
			`{}`, `{"ip":null}`, `{"ip":3}`, `{"ip":[]}`, `{"ip":""}`, `{"ip":"x"}`, `{"ip":"010.0.0.1"}`, `{"ip":"8.8.8.8"`, `[]`, "", "\xff{}",
			`{"ip":"8.8.8.8","x":"` + strings.Repeat("å", 600) + `"}`,
			`{"ip":"8.8.8.8:443"}`, `{"ip":"[2001:4860:4860::8888]:53"}`, `{"ip":"fe80::1%eth0"}`, `{"ip":"8.8.8.8","poison":1}`,
		}
		reasons := "missing null not_text not_text missing not_address not_address not_json not_json not_json not_json too_long refused"
		in, out, dead := &memory{values: values}, &list{refuse: "poison"}, &list{}
		w := run(t, Config{Input: in, Outputs: map[string]Output{"out": out}, To: []string{"out"}, Dead: dead, Source: sample, MaxBytes: 1100})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx) }()
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		var got []string
		slices.SortFunc(dead.events, func(a, b Event) int { return place(t, a) - place(t, b) })
		for _, e := range dead.events {
			i := place(t, e)
			l, err := ReadLetter(e.Value)
			if err != nil {
				t.Fatalf("%s: %v", e.Value, err)
			}
			got = append(got, l.Reason)
			back, err := l.Event()
			switch l.Reason {
			case "too_long":
				if err == nil || l.Bytes != len(values[i]) || !strings.HasPrefix(values[i], l.Value) || len(l.Value) < 1020 || len(l.Value) > 1024 {
					t.Errorf("%+v, %v", l, err)
				}
			case Refused:
				if err == nil || l.Output != "out" || l.Detail != "never" {
					t.Errorf("%+v, %v", l, err)
				}
			default:
				if err != nil || string(back.Value) != values[i] || back.Origin != "here" || back.ID != l.Position || e.ID == back.ID || l.Position != fmt.Sprintf("memory/%d", i) {
					t.Errorf("%s comes back as %+v, %v", e.Value, back, err)
				}
			}
		}
		if strings.Join(got, " ") != reasons {
			t.Errorf("the reasons are %q", got)
		}
		if len(out.events) != 3 || len(in.committed) != len(values) {
			t.Errorf("%d came out, %d are committed", len(out.events), len(in.committed))
		}
	})
}

// place is where an event was in the memory.
func place(t *testing.T, e Event) (i int) {
	t.Helper()
	if _, err := fmt.Sscanf(e.ID[strings.LastIndex(e.ID, "memory/"):], "memory/%d", &i); err != nil {
		t.Fatal(e.ID)
	}
	return i
}

// dated answers with the country that is its name.
type dated string

func (d dated) Lookup(_ context.Context, a netip.Addr) (ipwarden.Record, error) {
	return ipwarden.NewRecord(a, ipwarden.Full{Location: ipwarden.Location{CountryCode: string(d)}, Network: netip.PrefixFrom(a, 8)}), nil
}

// Events are answered as of their time: that in the event, or when the source took it;
// ids, keys and rules are of the event.
func TestAsOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := time.Date(2026, 11, 10, 0, 0, 0, 0, time.UTC)
		when, err := compile.NewEventFilter(`event.plan == "free" && ip.location.country_code == "SE"`)
		if err != nil {
			t.Fatal(err)
		}
		in := &memory{values: []string{
			`{"ip":"8.8.8.8","at":"2026-11-20T10:00:00Z","user":"ada","id":"a1","plan":"free"}`,
			`{"ip":"8.8.8.8","at":1762819200,"user":"bob","plan":"free"}`, // 11 November 2025
			`{"ip":"8.8.8.8","user":7,"plan":"paid"}`,
			`{"ip":"8.8.8.8","at":"2026-11-12T00:00:00+02:00","plan":"free"}`,
		}}
		out, flags := &list{}, &list{}
		w := run(t, Config{
			Input: in, Outputs: map[string]Output{"out": out, "flags": flags}, To: []string{"out"}, Dead: &list{},
			Source: func() Answers { return Answers{Source: dated("NO"), Date: old.AddDate(0, 0, 7)} },
			AsOf: func(at time.Time) (Answers, bool) {
				if at.Before(old.AddDate(0, 0, 7)) {
					return Answers{Source: dated("SE"), Date: old}, !at.Before(old)
				}
				return Answers{Source: dated("NO"), Date: old.AddDate(0, 0, 7)}, true
			},
			Rules: []Rule{{Name: "free", When: when, To: []string{"flags", "out"}, Emit: "flag_user"}},
			Paths: Paths{ID: enrich.Path{"id"}, Key: enrich.Path{"user"}, Time: enrich.Path{"at"}}, Fields: ipwarden.FieldsOf(ipwarden.FieldCountryCode),
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx) }()
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range out.events {
			var o struct {
				Ipwarden struct {
					Dataset  string
					Location struct {
						CountryCode string `json:"country_code"`
					}
				}
			}
			if err := json.Unmarshal(e.Value, &o); err != nil {
				t.Fatalf("%s: %v", e.Value, err)
			}
			if e.Type == "" {
				got = append(got, strings.TrimSpace(e.ID+" "+e.Key+" "+o.Ipwarden.Dataset+" "+o.Ipwarden.Location.CountryCode))
			}
		}
		want := []string{"a1 ada 2026-11-17 NO", "memory/1 bob 2026-11-10 SE", "memory/2 7 2026-11-10 SE", "memory/3  2026-11-10 SE"}
		if !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		if ids := flags.ids(); !slices.Equal(ids, []string{"memory/1/free", "memory/3/free"}) || flags.events[0].Type != "flag_user" {
			t.Errorf("flagged are %q", ids)
		}
		for _, e := range flags.events {
			if !json.Valid(e.Value) || !strings.Contains(string(e.Value), `"type":"flag_user"`) {
				t.Errorf("%s", e.Value)
			}
		}
	})
}

func TestNewSaysAll(t *testing.T) {
	_, err := New(Config{To: []string{"nowhere"}, Rules: []Rule{{Name: "r"}}})
	for _, want := range []string{"no Input", "no Dead", "no Source", `no output "nowhere"`, `rule "r" has no condition`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; it says nothing of %q", err, want)
		}
	}
}

func FuzzReadFile(f *testing.F) {
	kinds := []Kind{{
		Name: "k", Keys: []Key{{Name: "url", Shape: URL, Needed: true, Words: []string{"http"}, Example: "http://a"}, {Name: "n", Shape: Size, High: 100, Example: "1KiB"}, {Name: "l", Shape: List}},
		Input: func(Values) (Input, error) { return nil, nil }, Output: func(Values) (Output, error) { return nil, nil },
	}}
	f.Add("input: {k: {url: http://a, n: 1KiB}}\noutputs: {o: {k: {url: http://b, l: [a]}}}\ndead_letters: {k: {url: http://c}}\nrules: [{name: r, when: 'event.a == \"b\"', to: [o], emit: x}]\n")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := ReadFile(strings.NewReader(text), "worker.yaml", kinds)
		if err == nil && (file.Input.kind == nil || file.Dead.kind == nil || len(file.Outputs) == 0) {
			t.Fatalf("%q is taken", text)
		}
	})
}
