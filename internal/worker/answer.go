package worker

import (
	"context"
	"strconv"
	"time"
	"unsafe"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/enrich"
)

// workbench keeps the buffers of batches that are done.
type workbench struct{ free chan []byte }

// mostKept is the largest buffer that is kept for the next batch.
const mostKept = 16 << 20

func (b *workbench) get() []byte {
	select {
	case buf := <-b.free:
		return buf[:0]
	default:
		return nil
	}
}

func (b *workbench) put(f *flight) {
	for _, buf := range f.buffers {
		if cap(buf) > mostKept {
			continue
		}
		select {
		case b.free <- buf:
		default:
		}
	}
	f.buffers = nil
}

// answerer answers batches, one after the other.
type answerer struct {
	w       *Worker
	bench   workbench
	now     Answers // whose enricher now is
	current *enrich.Enricher
	kept    *ipwarden.Kept
	events  []enrich.Event
	at      []int // places of events in the batch
	results []enrich.Result
	whens   []func(ipwarden.Record, func(string) string) bool
	member  []byte
	sent    []bool // by output: it has the event
}

func newAnswerer(w *Worker) *answerer {
	return &answerer{w: w, bench: workbench{make(chan []byte, ahead+3)}, kept: new(ipwarden.Kept), sent: make([]bool, len(w.outputs))}
}

// answer fills what comes of a batch.
func (a *answerer) answer(ctx context.Context, f *flight) {
	c := &a.w.c
	answers := c.Source()
	now := answers.At
	if now.IsZero() {
		now = c.Now()
	}
	f.outputs = make([][]Event, len(a.w.outputs))
	f.shared = &a.bench
	a.whens = a.whens[:0]
	for i := range a.w.rules {
		a.whens = append(a.whens, a.w.rules[i].When.EventFunc(now))
	}
	if a.current == nil || a.now.Source != answers.Source {
		// Config has been checked: what can be wrong with an Enricher's is not.
		a.current, _ = enrich.New(enrich.Config{Source: answers.Source})
		a.now, a.kept = answers, new(ipwarden.Kept)
	}
	view := ipwarden.View{Fields: c.Fields, Now: now, Scores: c.Scores, Kept: a.kept}
	a.events, a.at = a.events[:0], a.at[:0]
	total := 0
	messages := f.batch.Messages
	for i := range messages {
		m := &messages[i]
		if m.Time.After(f.latest) {
			f.latest = m.Time
		}
		total += len(m.Value)
		ip, reason := a.address(m)
		if reason != "" {
			f.letter(m, reason)
			continue
		}
		if id := c.Paths.ID; len(id) > 0 {
			if text := id.Scalar(m.Value); text != "" && len(text) <= maxID {
				m.ID = text
			}
		}
		if key := c.Paths.Key; len(key) > 0 {
			if text := key.Scalar(m.Value); text != "" {
				m.Key = text
			}
		}
		if at := c.Paths.Time; len(at) > 0 {
			if t, ok := parseTime(at.Scalar(m.Value)); ok {
				m.Time = t
			}
		}
		a.events, a.at = append(a.events, enrich.Event{Address: ip}), append(a.at, i)
	}
	buf := a.bench.get()
	if need := total + len(messages)*512; cap(buf) < need {
		buf = make([]byte, 0, need) // mostly it holds all that comes out
	}
	flush := func(e *enrich.Enricher, from, to int, view *ipwarden.View, date string) {
		a.results = e.Batch(ctx, a.results[:0], a.events[from:to])
		for i := range a.results {
			m, r := &messages[a.at[from+i]], &a.results[i]
			if r.Reason != "" {
				f.letter(m, r.Reason)
				continue
			}
			buf = a.route(f, buf, m, r.Record, view, date)
		}
		clear(a.results) // they keep their dataset alive
	}
	if c.AsOf == nil {
		flush(a.current, 0, len(a.events), &view, day(answers.Date))
	} else {
		a.dates(now, messages, flush, &view, day(answers.Date))
	}
	clear(a.events)
	f.buffers = append(f.buffers, buf)
}

// dates answers events as of their time: those of one day after each other are
// answered together.
func (a *answerer) dates(now time.Time, messages []Message, flush func(*enrich.Enricher, int, int, *ipwarden.View, string), view *ipwarden.View, today string) {
	of := func(i int) Answers {
		t := messages[a.at[i]].Time
		if t.IsZero() {
			t = now
		}
		answers, covered := a.w.c.AsOf(t)
		if !covered {
			a.w.metrics.undated.Inc()
		}
		return answers
	}
	if len(a.events) == 0 {
		return
	}
	next := of(0)
	for from := 0; from < len(a.events); {
		answers, to := next, from+1
		for ; to < len(a.events); to++ {
			if next = of(to); next.Source != answers.Source {
				break
			}
		}
		if answers.Source == a.now.Source {
			flush(a.current, from, to, view, today)
		} else {
			v := *view
			v.Kept = nil
			if t := messages[a.at[from]].Time; !t.IsZero() && t.Before(now) {
				v.Now = t // of scores, which fade with time
			}
			e, _ := enrich.New(enrich.Config{Source: answers.Source})
			flush(e, from, to, &v, day(answers.Date))
		}
		from = to
	}
}

// maxID bounds the id that an event brings itself.
const maxID = 256

// address is where the event comes from.
func (a *answerer) address(m *Message) (string, enrich.Reason) {
	if len(m.Value) > a.w.c.MaxBytes {
		return "", enrich.TooLong
	}
	if !enrich.IsObject(m.Value) {
		return "", enrich.NotJSON
	}
	ip, reason := a.w.c.Paths.IP.Find(m.Value)
	if reason != "" || len(ip) == 0 {
		return "", reason
	}
	return unsafe.String(&ip[0], len(ip)), "" // for as long as the batch
}

func (f *flight) letter(m *Message, reason enrich.Reason) {
	f.dead = append(f.dead, letter(m, reason))
	f.reasons = append(f.reasons, string(reason))
}

// route writes an event behind buf, for those who get it.
func (a *answerer) route(f *flight, buf []byte, m *Message, r ipwarden.Record, view *ipwarden.View, date string) []byte {
	w := a.w
	held, instead := 0, false
	member := func(s string) string { return enrich.ParsePath(s).Scalar(m.Value) }
	a.member = ipwarden.AppendString(append(a.member[:0], `{"id":`...), m.ID)
	if date != "" {
		a.member = append(append(append(a.member, `,"dataset":"`...), date...), '"')
	}
	var rules [maxRules]int
	for i := range w.rules {
		if !a.whens[i](r, member) {
			continue
		}
		if held == 0 {
			a.member = append(a.member, `,"rules":[`...)
		} else {
			a.member = append(a.member, ',')
		}
		a.member = ipwarden.AppendString(a.member, w.rules[i].Name)
		rules[held] = i
		held++
		if w.rules[i].Instead {
			instead = true
			break
		}
	}
	if held > 0 {
		a.member = append(a.member, ']')
	}
	a.member = append(view.AppendMembers(a.member, r), '}')
	from := len(buf)
	buf, _ = enrich.AppendWith(buf, m.Value, w.c.Member, a.member)
	out := Event{ID: m.ID, Key: m.Key, Value: buf[from:len(buf):len(buf)], Time: m.Time}
	clear(a.sent)
	send := func(i int) {
		if !a.sent[i] { // two rules may name one output
			a.sent[i] = true
			f.outputs[i] = append(f.outputs[i], out)
		}
	}
	if !instead {
		for _, i := range w.to {
			send(i)
		}
	}
	for _, n := range rules[:held] {
		rule := &w.rules[n]
		if rule.Emit == "" {
			for _, i := range rule.to {
				send(i)
			}
			continue
		}
		made := Event{ID: m.ID + "/" + rule.Name, Key: m.Key, Time: m.Time, Type: rule.Emit}
		from := len(buf)
		buf = appendEmitted(buf, &made, rule.Name, out.Value)
		made.Value = buf[from:len(buf):len(buf)]
		for _, i := range rule.to {
			f.outputs[i] = append(f.outputs[i], made)
		}
	}
	return buf
}

// maxRules bounds the rules of a configuration.
const maxRules = 100

// appendEmitted writes the event that a rule makes: a CloudEvent whose data is the
// enriched event.
func appendEmitted(dst []byte, e *Event, rule string, data []byte) []byte {
	dst = ipwarden.AppendString(append(dst, `{"specversion":"1.0","id":`...), e.ID)
	dst = append(dst, `,"source":"ipwarden/worker","type":`...)
	dst = ipwarden.AppendString(dst, e.Type)
	if e.Key != "" {
		dst = ipwarden.AppendString(append(dst, `,"subject":`...), e.Key)
	}
	if !e.Time.IsZero() {
		dst = append(e.Time.UTC().AppendFormat(append(dst, `,"time":"`...), time.RFC3339Nano), '"')
	}
	dst = ipwarden.AppendString(append(dst, `,"rule":`...), rule)
	return append(append(append(dst, `,"datacontenttype":"application/json","data":`...), data...), '}')
}

func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.DateOnly)
}

// parseTime reads the forms in which events have times: RFC 3339, and seconds or
// milliseconds since 1970.
func parseTime(s string) (time.Time, bool) {
	if s == "" || len(s) > 40 {
		return time.Time{}, false
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, true
	}
	x, err := strconv.ParseFloat(s, 64)
	switch {
	case err != nil || !(x >= 0 && x < 1e14):
		return time.Time{}, false
	case x >= 1e11: // 1973 in milliseconds, and the year 5138 in seconds
		return time.UnixMilli(int64(x)).UTC(), true
	}
	return time.UnixMicro(int64(x * 1e6)).UTC(), true
}
