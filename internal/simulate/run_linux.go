package simulate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Run simulates. The Report is as far as it came.
func Run(ctx context.Context, c Config) (*Report, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	w := &world{c: &c, ctx: ctx, dir: c.Dir}
	if w.dir == "" {
		dir, err := os.MkdirTemp("", "ipwarden-simulate-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		w.dir = dir
	}
	var err error
	if w.dir, err = filepath.Abs(w.dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		return nil, err
	}
	defer w.close()
	r := &Report{}
	if err := w.run(r); err != nil {
		return r, errors.Join(err, ctx.Err())
	}
	r.Exact = true
	return r, nil
}

// manyCalls is a limit that is never reached.
const manyCalls = 1_000_000_000_000

func (w *world) run(r *Report) error {
	if err := w.open(); err != nil {
		return err
	}
	var busy []*customer // of the traffic
	for _, name := range []string{"ada", "grace"} {
		p, err := w.customer(name, manyCalls, 2)
		if err != nil {
			return err
		}
		busy = append(busy, p)
	}
	begun := time.Now()
	if err := w.serve(); err != nil {
		return err
	}
	w.say("%d regions, up to %s apart; they answer after %s\n", len(w.regions), w.c.far().Round(time.Millisecond), time.Since(begun).Round(100*time.Millisecond))
	if w.c.Skew > 0 {
		w.say("the clock of %s is %s ahead, that of %s %s behind\n", w.regions[0].name, w.c.Skew, w.regions[len(w.regions)-1].name, w.c.Skew)
	}
	for _, p := range busy {
		for _, k := range p.keys {
			if err := w.known(k); err != nil {
				return err
			}
		}
	}
	t := w.traffic(busy)
	err := w.measure(r)
	if err == nil {
		err = w.breakAll(r)
	}
	w.say("memory     %d MiB of its own a server\n", w.memory()>>20)
	t.end()
	if err != nil {
		return err
	}
	settling := time.Now()
	if err := t.settle(r); err != nil {
		return err
	}
	if n := t.refused.Load(); n > 0 {
		return fmt.Errorf("simulate: %d calls within the quota were refused", n)
	}
	r.Kills = w.kills
	w.say("totals     exact in all %d regions and in the database %s after the last call: %d calls answered, %d without an answer (their server was killed), %d counted\n",
		len(w.regions), time.Since(settling).Round(100*time.Millisecond), r.Answered, r.Lost, r.Counted)
	if w.redis == nil {
		return nil
	}
	if r.Clients, err = w.callersAgree(r.Lost); err != nil {
		return err
	}
	w.say("clients    %d calls counted by client in Redis, as many as by key\n", r.Clients)
	return nil
}

// measure measures while nothing is broken.
func (w *world) measure(r *Report) (err error) {
	if w.c.Probes > 0 {
		p, err := w.customer("probe", manyCalls, 1)
		if err != nil {
			return err
		}
		if err := w.known(p.keys[0]); err != nil {
			return err
		}
		if r.Propagation, err = w.propagation(p); err != nil {
			return err
		}
		w.say("\na call is known in another region, besides the one-way delay, after  p50 %s  p99 %s  most %s  (%d)\n", ms(r.Propagation, 0.5), ms(r.Propagation, 0.99), ms(r.Propagation, 1), len(r.Propagation))
	}
	if w.c.Revocations > 0 {
		p, err := w.customer("revoked", manyCalls, w.c.Revocations)
		if err != nil {
			return err
		}
		if r.Revocation, err = w.revocation(p); err != nil {
			return err
		}
		w.say("a revoked key is refused in a region after                           p50 %s  p99 %s  most %s  (%d)\n", ms(r.Revocation, 0.5), ms(r.Revocation, 0.99), ms(r.Revocation, 1), len(r.Revocation))
	}
	if w.c.Quota > 0 {
		return w.spendAll(r, "with all regions in touch", "quota", 0)
	}
	return nil
}

func ms(sorted []time.Duration, p float64) time.Duration {
	return At(sorted, p).Round(time.Millisecond)
}

// spendAll spends a quota, and compares it with its bound.
func (w *world) spendAll(r *Report, when, name string, unnoticed time.Duration) error {
	p, err := w.customer(name, int64(w.c.Quota), 1)
	if err != nil {
		return err
	}
	if err := w.known(p.keys[0]); err != nil {
		return err
	}
	return w.spent(r, p, when, unnoticed, func() {})
}

// spent spends, calls then, and waits until everybody says the same.
func (w *world) spent(r *Report, p *customer, when string, unnoticed time.Duration, then func()) error {
	admitted, err := w.spend(p)
	then()
	if err != nil {
		return err
	}
	s := Spent{When: when, Quota: p.limit, Bound: w.c.Bound(int(p.limit), w.c.QuotaRate, len(w.regions), w.c.far()+unnoticed), Admitted: admitted}
	r.Admitted = append(r.Admitted, s)
	w.say("a quota of %d, %s: %d were admitted, %d too many; the bound is %d\n", s.Quota, when, s.Admitted, s.Over(), s.Bound)
	if _, err := w.agree(p, span{admitted, admitted}, nil); err != nil {
		return err
	}
	return nil
}

// breakAll breaks one part after the other, and mends it.
func (w *world) breakAll(r *Report) error {
	if len(w.c.Faults) > 0 {
		w.say("\n")
	}
	for _, f := range w.c.Faults {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		if err := w.breaks(r, f); err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
	}
	return nil
}

func (w *world) breaks(r *Report, fault string) error {
	middle := w.regions[len(w.regions)/2]
	last := w.regions[len(w.regions)-1]
	switch fault {
	case FaultPartition:
		if w.net == nil {
			w.say("%-10s left out: regions that are near are not cut off\n", fault)
			return nil
		}
		return w.partition(r, middle)
	case FaultServer:
		w.say("%-10s the server of %s is killed, with its stream\n", fault, middle.name)
		w.kill(middle.server)
		w.wait(w.c.Hold)
		return w.back(middle)
	case FaultAggregator:
		var i int
		if err := w.until("somebody has written sums", func() (yes bool) { i, yes = w.aggregator(); return yes }); err != nil {
			return err
		}
		w.say("%-10s the server that writes the sums, that of %s, is killed\n", fault, w.regions[i].name)
		w.kill(w.regions[i].server)
		w.wait(w.c.Hold)
		return w.back(w.regions[i])
	case FaultStream:
		w.say("%-10s the stream server of %s is killed\n", fault, last.name)
		w.kill(w.stream)
		w.wait(w.c.Hold)
		return w.ready(w.stream, func() bool { return w.listens(last.i, w.addr(last.i, portStream)) })
	case FaultPostgres:
		w.say("%-10s the database is killed\n", fault)
		w.kill(w.database.process)
		w.wait(w.c.Hold)
		return w.restartDatabase()
	case FaultRedis:
		if w.redis == nil {
			w.say("%-10s left out: redis-server is not installed (Debian: apt-get install redis-server)\n", fault)
			return nil
		}
		w.say("%-10s the Redis that counts by client is killed\n", fault)
		w.kill(w.redis.process)
		w.wait(w.c.Hold)
		return w.ready(w.redis.process, w.redis.listens(w))
	}
	return nil
}

// back starts a region's server again.
func (w *world) back(r *region) error {
	begun := time.Now()
	if err := w.ready(r.server, r.ready); err != nil {
		return err
	}
	w.say("%s answers again %s after it was started\n", strings.Repeat(" ", 10), time.Since(begun).Round(10*time.Millisecond))
	return nil
}

// partition cuts a region off, and lets all regions spend a quota meanwhile.
func (w *world) partition(r *Report, from *region) error {
	p := (*customer)(nil)
	if w.c.Quota > 0 {
		var err error
		if p, err = w.customer("parted", int64(w.c.Quota), 1); err != nil {
			return err
		}
		if err := w.known(p.keys[0]); err != nil {
			return err
		}
	}
	w.say("%-10s %s is cut off from all others\n", FaultPartition, from.name)
	cut := func(yes bool) {
		for i := range w.regions {
			if i != from.i {
				w.net.Cut(i, from.i, yes)
			}
		}
	}
	cut(true)
	if p == nil {
		w.wait(w.c.Hold)
		cut(false)
		return nil
	}
	const noticed = 2 * time.Second
	return w.spent(r, p, "with a region cut off", noticed, func() { cut(false) })
}
