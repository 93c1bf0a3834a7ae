package worker

import (
	"context"
	"errors"
	"sync"
	"time"
)

// flight is a batch on its way.
type flight struct {
	batch   *Batch
	outputs [][]Event // by output
	dead    []Event
	reasons []string   // of dead letters
	latest  time.Time  // of its events
	buffers [][]byte   // what outputs point into, to be used again
	done    func()     // no longer extended
	shared  *workbench // given back when it is done
}

// ahead is how many batches wait between two stages.
const ahead = 1

// Run works until ctx ends, and then until what was read is written, or Drain is over.
// It closes nothing. The error is nil when it was told to stop and all was written.
func (w *Worker) Run(ctx context.Context) error {
	// What was read is worked on for a while after ctx has ended.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	ended, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		select {
		case <-ctx.Done():
		case <-ended:
			return
		}
		drained := time.NewTimer(w.c.Drain)
		defer drained.Stop()
		select {
		case <-drained.C:
			cancel()
		case <-ended:
		}
	}()
	defer func() { close(ended); <-over }()
	read, answered := make(chan *flight, ahead), make(chan *flight, ahead)
	turn := make(chan struct{}, 1) // of a Serial input: the batch before is done
	serial := false
	if s, ok := w.c.Input.(Serial); ok {
		serial = s.Serial()
	}
	var stages sync.WaitGroup
	stages.Go(func() {
		defer close(read)
		w.read(ctx, func(f *flight) bool {
			select {
			case read <- f:
			case <-work.Done():
				return false
			}
			if serial {
				select {
				case <-turn:
				case <-work.Done():
					return false
				}
			}
			return true
		})
	})
	stages.Go(func() {
		defer close(answered)
		a := newAnswerer(w)
		for f := range read {
			a.answer(work, f)
			select {
			case answered <- f:
			case <-work.Done():
				return
			}
		}
	})
	if l, ok := w.c.Input.(Lagging); ok {
		stages.Go(func() { w.watchLag(ctx, l) })
	}
	var err error
	for f := range answered {
		if err == nil {
			err = w.finish(work, f)
		}
		f.done()
		if serial {
			turn <- struct{}{}
		}
	}
	cancel()
	stages.Wait()
	if err != nil {
		w.c.Log.Warn("stopped before everything was written; what was not is delivered again", "error", err)
	}
	return err
}

// read reads until ctx ends or give is false.
func (w *Worker) read(ctx context.Context, give func(*flight) bool) {
	pause := newBackoff()
	for ctx.Err() == nil {
		b, err := w.c.Input.Read(ctx, w.c.Batch)
		switch {
		case ctx.Err() != nil:
			if b == nil || len(b.Messages) == 0 {
				return
			}
		case err != nil:
			w.metrics.failures.WithLabelValues("input").Inc()
			w.c.Log.Error("events cannot be read; tried again", "error", err)
			pause.wait(ctx)
			continue
		case b == nil || len(b.Messages) == 0:
			continue
		}
		pause.reset()
		w.metrics.read.Add(float64(len(b.Messages)))
		if !give(&flight{batch: b, done: w.extend(b)}) {
			return
		}
	}
}

// extend keeps a batch from being delivered again, until the function it returns is
// called.
func (w *Worker) extend(b *Batch) (done func()) {
	if b.Extend == nil {
		return func() {}
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		t := time.NewTicker(extendEvery)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				b.Extend()
			case <-stop:
				return
			}
		}
	}()
	return func() { close(stop); <-ended }
}

// extendEvery is shorter than any source's patience.
const extendEvery = 5 * time.Second

// finish writes what came of a batch, and commits it.
func (w *Worker) finish(ctx context.Context, f *flight) error {
	var mu sync.Mutex // guards refused and errs
	var refused []Event
	var reasons []string
	var errs []error
	var writes sync.WaitGroup
	for i, events := range f.outputs {
		if len(events) == 0 {
			continue
		}
		writes.Go(func() {
			no, err := w.write(ctx, w.names[i], w.outputs[i], events)
			w.metrics.written[i].Add(float64(len(events) - len(no)))
			mu.Lock()
			defer mu.Unlock()
			for _, r := range no {
				refused = append(refused, refusedLetter(&events[r.Index], w.names[i], r.Reason))
				reasons = append(reasons, Refused)
			}
			if err != nil {
				errs = append(errs, err)
			}
		})
	}
	writes.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	dead := append(f.dead, refused...)
	if len(dead) > 0 {
		no, err := w.write(ctx, "dead_letters", w.c.Dead, dead)
		if err != nil {
			return err
		}
		if err := w.shorten(ctx, dead, no); err != nil {
			return err
		}
		for _, reason := range append(f.reasons, reasons...) {
			w.metrics.dead(reason)
		}
	}
	pause := newBackoff()
	for {
		err := f.batch.Commit(ctx)
		if err == nil {
			break
		}
		if errors.Is(err, ErrAgain) {
			w.metrics.again.Add(float64(len(f.batch.Messages)))
			w.c.Log.Info("a batch is delivered again", "events", len(f.batch.Messages))
			break
		}
		w.metrics.failures.WithLabelValues("commit").Inc()
		w.c.Log.Error("events cannot be committed; tried again", "error", err)
		if !pause.wait(ctx) {
			return err
		}
	}
	w.metrics.committed(len(f.batch.Messages), f.latest, w.c.Now())
	if f.shared != nil {
		f.shared.put(f)
	}
	return nil
}

// shorten writes letters that were refused with the beginning of their events alone:
// mostly they were too large.
func (w *Worker) shorten(ctx context.Context, dead []Event, refused []Refusal) error {
	var short []Event
	var reasons []string
	for _, r := range refused {
		e := dead[r.Index]
		if v, ok := shortened(e.Value); ok {
			e.Value = v
			short, reasons = append(short, e), append(reasons, r.Reason)
			continue
		}
		w.lost(&e, r.Reason)
	}
	if len(short) == 0 {
		return nil
	}
	no, err := w.write(ctx, "dead_letters", w.c.Dead, short)
	if err != nil {
		return err
	}
	for _, r := range no {
		w.lost(&short[r.Index], reasons[r.Index])
	}
	return nil
}

// lost tells of a letter that nobody takes. It must not stop the rest; the log is all
// there is.
func (w *Worker) lost(e *Event, reason string) {
	w.c.Log.Error("a dead letter was refused and is lost", "id", e.ID, "reason", reason)
}

// write writes until all is acknowledged.
func (w *Worker) write(ctx context.Context, name string, out Output, events []Event) ([]Refusal, error) {
	pause := newBackoff()
	for {
		no, err := out.Write(ctx, events)
		if err == nil {
			return no, nil
		}
		w.metrics.failures.WithLabelValues("output").Inc()
		if ctx.Err() == nil {
			w.c.Log.Error("events cannot be written; tried again", "output", name, "error", err)
		}
		if !pause.wait(ctx) {
			return nil, err
		}
	}
}

// watchLag asks the source how much waits.
func (w *Worker) watchLag(ctx context.Context, l Lagging) {
	t := time.NewTicker(5 * time.Second)
	defer t.Stop()
	for {
		ask, cancel := context.WithTimeout(ctx, 4*time.Second)
		n, err := l.Lag(ask)
		cancel()
		if err == nil {
			w.metrics.lag.Set(float64(n))
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}
