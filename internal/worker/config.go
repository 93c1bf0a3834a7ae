package worker

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/enrich"
	"github.com/ipwarden/ipwarden/policy/compile"
)

// Paths are where things stand in an event. IP alone is needed.
type Paths struct {
	IP   enrich.Path // the address; default "ip"
	ID   enrich.Path // what the producer calls the event; default: the source's id
	Key  enrich.Path // what is kept in order; default: the source's
	Time enrich.Path // when it happened; default: when the source took it
}

// A Rule sends events of which a condition holds to more outputs.
type Rule struct {
	Name string
	When *compile.Filter
	// To are outputs. Emit is the type of an event that is made for them; "" sends the
	// enriched event itself.
	To   []string
	Emit string
	// Instead sends the event nowhere else, and asks no rule after this.
	Instead bool
}

// A Config is what a Worker is made of. Input, Outputs, To, Dead and Source are needed.
type Config struct {
	Input   Input
	Outputs map[string]Output
	// To are the outputs of every event; it may be empty when rules have some.
	To    []string
	Rules []Rule
	// Dead takes dead letters.
	Dead Output

	// Source answers as of when it is asked; it may change between calls.
	Source func() Answers
	// AsOf answers as of the time of an event; nil: Source does. It is false when what
	// answers is not of that time.
	AsOf func(time.Time) (Answers, bool)

	Paths  Paths
	Fields ipwarden.Fields // what is added; default enrich.DefaultFields
	Member string          // what it is added as; default "ipwarden"
	Scores func(ipwarden.Record, time.Time) ipwarden.Scores

	MaxBytes int   // a larger event is a dead letter; default 1 MiB
	Batch    Bound // default 1,000 messages, 8 MiB
	// Drain is how long what was read may take to be written when Run is told to
	// stop; default 20s. What is not is delivered again.
	Drain time.Duration

	Log *slog.Logger
	Now func() time.Time
}

// Answers are a source and its date.
type Answers struct {
	Source ipwarden.Source
	Date   time.Time
	At     time.Time // the time of the answers, on which scores depend; zero: now
}

// A Worker is made by New.
type Worker struct {
	c       Config
	names   []string // of outputs, sorted
	outputs []Output
	to      []int
	rules   []rule
	metrics *Metrics
}

type rule struct {
	Rule
	to []int
}

// New checks c, and says all that is wrong with it.
func New(c Config) (*Worker, error) {
	var errs []error
	wrong := func(format string, a ...any) { errs = append(errs, fmt.Errorf("worker: "+format, a...)) }
	if c.Input == nil {
		wrong("no Input")
	}
	if c.Dead == nil {
		wrong("no Dead: what is no event must go somewhere")
	}
	if c.Source == nil {
		wrong("no Source")
	}
	if len(c.Paths.IP) == 0 {
		c.Paths.IP = enrich.Path{"ip"}
	}
	if c.Fields.Len() == 0 {
		c.Fields = enrich.DefaultFields()
	}
	if c.Member == "" {
		c.Member = "ipwarden"
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = 1 << 20
	}
	if c.Batch.Messages == 0 {
		c.Batch.Messages = 1000
	}
	if c.Batch.Bytes == 0 {
		c.Batch.Bytes = 8 << 20
	}
	if c.Drain == 0 {
		c.Drain = 20 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	w := &Worker{}
	for name := range c.Outputs {
		w.names = append(w.names, name)
	}
	slices.Sort(w.names)
	for _, name := range w.names {
		w.outputs = append(w.outputs, c.Outputs[name])
	}
	places := func(names []string) (at []int) {
		for _, name := range names {
			i, ok := slices.BinarySearch(w.names, name)
			if !ok {
				wrong("there is no output %q", name)
				continue
			}
			at = append(at, i)
		}
		return at
	}
	w.to = places(c.To)
	somewhere := len(c.To) > 0
	for _, r := range c.Rules {
		if r.When == nil {
			wrong("rule %q has no condition", r.Name)
		}
		somewhere = somewhere || len(r.To) > 0
		w.rules = append(w.rules, rule{r, places(r.To)})
	}
	if !somewhere {
		wrong("events go nowhere: neither To nor a rule names an output")
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	w.c = c
	w.metrics = newMetrics(w.names)
	return w, nil
}

// Metrics are those of the worker.
func (w *Worker) Metrics() *Metrics { return w.metrics }
