package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden/dataset"
	"github.com/ipwarden/ipwarden/internal/kafka"
	"github.com/ipwarden/ipwarden/internal/update"
	"github.com/ipwarden/ipwarden/internal/worker"
)

// ends are what a worker reads and writes.
type ends struct {
	input   worker.Input
	outputs map[string]worker.Output
	dead    worker.Output
}

// openEnds opens them. A server that is away is no mistake: it is tried again.
func openEnds(f *worker.File, log *slog.Logger) (e *ends, err error) {
	e = &ends{outputs: map[string]worker.Output{}}
	defer func() {
		if err != nil {
			e.close(slog.New(slog.DiscardHandler))
		}
	}()
	if f.ExactlyOnce {
		return e, e.openSession(f, log)
	}
	for i := range f.Outputs {
		o := &f.Outputs[i]
		if e.outputs[o.Name], err = o.OpenOutput(); err != nil {
			delete(e.outputs, o.Name)
			return e, fmt.Errorf("outputs.%s: %w", o.Name, err)
		}
	}
	if e.dead, err = f.Dead.OpenOutput(); err != nil {
		e.dead = nil
		return e, fmt.Errorf("dead_letters: %w", err)
	}
	if e.input, err = f.Input.OpenInput(); err != nil {
		e.input = nil
		return e, fmt.Errorf("input: %w", err)
	}
	return e, nil
}

// openSession opens them for transactions of Kafka.
func (e *ends) openSession(f *worker.File, log *slog.Logger) error {
	c, err := kafka.EventsOf(f.Input.Values)
	if err != nil {
		return err
	}
	most := int(f.Dead.Int("max_bytes"))
	for i := range f.Outputs {
		most = max(most, int(f.Outputs[i].Int("max_bytes")))
	}
	s, err := kafka.NewSession(c, most, func(err error) { log.Warn("a transaction is made again", "error", err) })
	if err != nil {
		return fmt.Errorf("input: %w", err)
	}
	e.input = s
	for i := range f.Outputs {
		o := &f.Outputs[i]
		e.outputs[o.Name] = s.Output(o.Text("topic"), int(o.Int("max_bytes")))
	}
	e.dead = s.Output(f.Dead.Text("topic"), int(f.Dead.Int("max_bytes")))
	return nil
}

func (e *ends) close(log *slog.Logger) {
	var errs []error
	if e.input != nil {
		errs = append(errs, e.input.Close())
	}
	for _, o := range e.outputs {
		errs = append(errs, o.Close())
	}
	if e.dead != nil {
		errs = append(errs, e.dead.Close())
	}
	if err := errors.Join(errs...); err != nil {
		log.Warn("closing", "error", err)
	}
}

// workerAnswers are what a worker answers from: as serve, what the files hold now.
type workerAnswers struct {
	loader *loader   // nil: what is there stays
	at     time.Time // the time of the answers; zero: now
	log    *slog.Logger
	live   atomic.Pointer[data]
}

func newWorkerAnswers(flags *dataFlags, e *env, log *slog.Logger) (*workerAnswers, error) {
	a := &workerAnswers{loader: &loader{flags: flags, env: e}, log: log}
	first, err := a.loader.load()
	if err != nil {
		return nil, err
	}
	a.live.Store(first)
	return a, nil
}

func (a *workerAnswers) present() worker.Answers {
	d := a.live.Load()
	return worker.Answers{Source: d, Date: d.Date(), At: a.at}
}

// history answers as of a time, from what the data directory keeps, with the overlays
// of now on top.
func (a *workerAnswers) history(flags *dataFlags, e *env, log *slog.Logger) (func(time.Time) (worker.Answers, bool), error) {
	dir, err := flags.dir(e)
	if err != nil {
		return nil, err
	}
	h := update.NewHistory(update.HistoryConfig{
		DataDir: dir, Present: func() *dataset.Dataset { return a.live.Load().Dataset }, Now: e.now, Log: log,
	})
	var of, under *data // the last that was made: events of one time come together
	return func(t time.Time) (worker.Answers, bool) {
		ds, covered := h.At(t)
		present := a.live.Load()
		if ds == present.Dataset {
			return worker.Answers{Source: present, Date: present.Date()}, covered
		}
		if of == nil || of.Dataset != ds || under != present {
			made, err := newData(ds, nil, e.now)
			if entries, wrong := a.loader.entries(); wrong == nil {
				made, err = newData(ds, entries, e.now)
			}
			if err != nil {
				log.Error("no overlay can be laid over an older dataset; it answers alone", "error", err)
				made = &data{Dataset: ds}
			}
			of, under = made, present
		}
		return worker.Answers{Source: of, Date: of.Date()}, covered
	}, nil
}

// watching takes what the files hold when they have changed, until ctx ends.
func (a *workerAnswers) watching(ctx context.Context) (wait func()) {
	if a.loader == nil {
		return func() {}
	}
	done, seen := make(chan struct{}), a.loader.fingerprint()
	pending := seen
	go func() {
		defer close(done)
		t := time.NewTicker(pollInterval)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
			now := a.loader.fingerprint()
			settled := now == pending // an editor may be half way through
			if pending = now; now == seen || !settled {
				continue
			}
			seen = now
			next, err := a.loader.load()
			if err == nil {
				err = next.Dataset.Verify()
			}
			if err != nil {
				a.log.Error("reload refused; what was in use stays", "error", err)
				continue
			}
			a.live.Store(next)
			a.log.Info("reloaded", "date", day(next.Date()))
		}
	}()
	return func() { <-done }
}
