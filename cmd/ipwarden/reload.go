package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// pollInterval is how often serve looks whether a file has changed. Looking is
// a few stats; a notification would miss changes on network file systems.
const pollInterval = time.Second

// watching runs watch until ctx ends; what it returns waits for that.
func (s *server) watching(ctx context.Context, seen string, hangup <-chan os.Signal) (wait func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticks := time.NewTicker(pollInterval)
		defer ticks.Stop()
		s.watch(ctx, seen, hangup, ticks.C)
	}()
	return func() { <-done }
}

// watch reloads on SIGHUP and when a file has changed, until ctx ends.
func (s *server) watch(ctx context.Context, seen string, hangup <-chan os.Signal, tick <-chan time.Time) {
	pending := seen     // what the last look saw
	var tried time.Time // the expiry that a reload was tried for
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			s.gate.reopen()
			seen = s.take(s.loader.fingerprint(), "SIGHUP")
		case <-tick:
			// An editor may be half way through: a change counts when two looks
			// saw the same. What was seen counts even when it is not right, so that
			// it is said once.
			now := s.loader.fingerprint()
			settled := now == pending
			pending = now
			if now != seen && settled {
				seen = s.take(now, "a file has changed")
				pending = seen
			} else if at := s.live.Load().expires; !at.IsZero() && at != tried && !s.loader.env.now().Before(at) {
				tried = at // look-ups leave the entry out anyway; one attempt says what is wrong
				s.reload("an entry of an overlay has expired")
			}
		}
	}
}

// take reloads what was seen, and returns what counts as seen from then on: a
// policy that names other files than before is watched with those.
func (s *server) take(seen, why string) string {
	before := s.loader.also
	s.reload(why)
	if !slices.Equal(before, s.loader.also) {
		return s.loader.fingerprint()
	}
	return seen
}

// reload puts what the files hold now in use, or says why it does not.
func (s *server) reload(why string) {
	done := "reloaded"
	if err := s.gate.reload(); err != nil {
		done = "reloaded, but for the policy"
		s.failed.policy.Add(1)
		s.log.Error("the policy was not reloaded; the one in use stays", "because", why, "error", err)
	}
	if err := s.beside.reload(); err != nil {
		done = "reloaded, but for the providers"
		s.failed.providers.Add(1)
		s.log.Error("the providers were not reloaded; those in use stay", "because", why, "error", err)
	}
	s.loader.also = s.named()
	next, err := s.loader.load()
	if err == nil {
		err = next.Dataset.Verify()
	}
	if err != nil {
		s.failed.data.Add(1)
		s.log.Error("reload refused; what was in use stays", "because", why, "error", err)
		return
	}
	s.use(next)
	if err := errors.Join(s.gate.follow(next), s.ask.follow(next)); err != nil {
		s.failed.proxies.Add(1)
		s.log.Error("the ranges of the proxies in front are not in this dataset; those in use stay", "error", err)
	}
	s.keys.found(s.ask)
	info := next.Info()
	s.log.Info(done, "because", why, "date", day(info.Date), "hash", info.Hash[:16], "size", info.Size)
}

// fingerprint changes when what load would read has changed: which files there
// are, their size and time.
func (l *loader) fingerprint() string {
	h := sha256.New()
	name, err := l.flags.datasetName(l.env)
	fmt.Fprintln(h, name, err)
	overlays, err := l.flags.overlayNames(l.env)
	fmt.Fprintln(h, err)
	for _, n := range slices.Concat([]string{name, l.policy}, overlays, l.also) {
		if n == "" {
			continue
		}
		info, err := os.Stat(n)
		if err != nil {
			fmt.Fprintln(h, n, err)
			continue
		}
		fmt.Fprintln(h, n, info.Size(), info.ModTime().UnixNano())
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
