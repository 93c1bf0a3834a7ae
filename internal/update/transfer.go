package update

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden/feed"
)

type readCloser = io.ReadCloser

// arrival is one file that was fetched or taken.
type arrival struct {
	temp     string // "" when the copy is current
	path     string // where it belongs, when the catalogue's path has a * for a date
	packed   bool   // gzip
	size     int64
	meta     Meta
	attempts int
}

// maxRedirects is how often a publisher may send us on.
const maxRedirects = 5

// withBounds copies the client with what must hold for any: bounded redirects,
// and never from https down to http.
func withBounds(c *http.Client) *http.Client {
	bounded := http.Client{}
	if c != nil {
		bounded = *c
	} else {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.DialContext = (&net.Dialer{Timeout: 15 * time.Second}).DialContext
		t.TLSHandshakeTimeout = 15 * time.Second
		t.ResponseHeaderTimeout = time.Minute
		t.MaxResponseHeaderBytes = 64 << 10
		bounded.Transport = t
	}
	bounded.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return fmt.Errorf("stopped after %d redirects", maxRedirects)
		}
		if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
			return fmt.Errorf("refused to follow a redirect from https to %s", req.URL.Scheme)
		}
		return nil
	}
	return &bounded
}

// errFinal marks what another attempt would not change.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

func final(err error) error { return finalError{err} }

// retryError asks for another attempt, not before after.
type retryError struct {
	error
	after time.Duration
}

// fetch asks for one file, several times if need be.
func (u *Updater) fetch(ctx context.Context, it *item, i int, old *copyOf) (a arrival, err error) {
	for n := 1; ; n++ {
		a, err = u.attempt(ctx, it, i, old)
		a.attempts = n
		var stop finalError
		if answered := err == nil || errors.As(err, &stop) || errors.As(err, new(retryError)); answered {
			u.reached.Store(true)
		}
		if err == nil || errors.As(err, &stop) || n == maxAttempts || ctx.Err() != nil || u.offline() {
			if err != nil && n == maxAttempts {
				u.lost.Add(1)
			}
			return a, err
		}
		wait := pause(n+1, u.cfg.Random())
		var retry retryError
		if errors.As(err, &retry) && retry.after > 0 {
			if retry.after > maxRetryAfter {
				return a, fmt.Errorf("%w; it asks to come back in %v", err, retry.after.Round(time.Second))
			}
			wait = max(wait, retry.after)
		}
		if cause := u.cfg.Sleep(ctx, wait); cause != nil {
			return a, cause
		}
	}
}

// offline reports whether several feeds could not be had and none has answered
// yet: there is no network, and a hundred more need not find that out slowly.
func (u *Updater) offline() bool { return !u.reached.Load() && int(u.lost.Load()) >= u.cfg.Parallel }

// attempt asks once.
func (u *Updater) attempt(ctx context.Context, it *item, i int, old *copyOf) (arrival, error) {
	url := it.spec.Files[i].URL
	ctx, cancel := context.WithTimeoutCause(ctx, u.cfg.Timeout, fmt.Errorf("took longer than %v", u.cfg.Timeout))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return arrival{}, final(err)
	}
	req.Header.Set("User-Agent", u.cfg.UserAgent)
	conditional := old.meta != nil && old.meta.URL == url && !u.cfg.Force
	if conditional {
		if old.meta.ETag != "" {
			req.Header.Set("If-None-Match", old.meta.ETag)
		}
		if old.meta.LastModified != "" {
			req.Header.Set("If-Modified-Since", old.meta.LastModified)
		}
	}
	resp, err := u.cfg.Client.Do(req)
	if err != nil {
		return arrival{}, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotModified && conditional:
		return arrival{meta: *old.meta}, nil
	case resp.StatusCode != http.StatusOK:
		err := fmt.Errorf("%s answered %s", url, resp.Status)
		if !transient(resp.StatusCode) {
			return arrival{}, final(err)
		}
		after, _ := retryAfter(resp.Header, u.cfg.Now())
		return arrival{}, retryError{err, after}
	case resp.ContentLength > it.spec.MaxSize:
		return arrival{}, final(fmt.Errorf("%s is %d bytes, more than the %d the catalogue allows", url, resp.ContentLength, it.spec.MaxSize))
	}
	body := &watched{r: resp.Body, stall: u.cfg.Stall, total: resp.ContentLength, report: func(done, total int64) {
		u.cfg.Progress(Progress{Feed: it.spec.Name, Done: done, Total: total})
	}}
	// A transfer that stands still is ended by closing it under the reader.
	body.timer = time.AfterFunc(u.cfg.Stall, func() {
		body.stalled.Store(true)
		cancel()
	})
	defer body.timer.Stop()
	now := u.cfg.Now().UTC()
	a, err := u.store(body, it, i, old)
	if err != nil {
		return a, err
	}
	a.meta.URL, a.meta.ETag, a.meta.LastModified = url, resp.Header.Get("ETag"), resp.Header.Get("Last-Modified")
	a.meta.Fetched, a.meta.Checked, a.meta.Date = now, now, now.Truncate(24*time.Hour)
	if t, err := http.ParseTime(a.meta.LastModified); err == nil && t.Before(now) {
		a.meta.Date = t.UTC()
	}
	return a, nil
}

// take reads one file from the folder that was named instead.
func (u *Updater) take(it *item, i int, old *copyOf) (arrival, error) {
	path := it.spec.Files[i].Path
	name, err := u.from.find(path)
	if err != nil {
		return arrival{}, err
	}
	f, err := os.Open(name)
	if err != nil {
		return arrival{}, err
	}
	defer f.Close()
	a, err := u.store(f, it, i, old)
	if err != nil {
		return a, err
	}
	if strings.Contains(path, "*") { // it keeps the name it has
		a.path = filepath.ToSlash(filepath.Join(filepath.Dir(filepath.FromSlash(path)), strings.TrimSuffix(filepath.Base(name), ".gz")))
	}
	sum := a.meta.SHA256
	date, meta, err := u.from.dateOf(path, name, sum)
	if err != nil {
		return a, err
	}
	if meta != nil { // it comes from another data directory: keep what that one knew
		a.meta = *meta
	}
	a.meta.Date = date
	if a.meta.Fetched.IsZero() {
		a.meta.Fetched = u.cfg.Now().UTC()
	}
	return a, nil
}

// store writes a body to a temporary file beside its place. When the bytes
// are those of the copy, nothing is left behind and temp is "".
func (u *Updater) store(body io.Reader, it *item, i int, old *copyOf) (a arrival, err error) {
	name := filepath.Join(u.dest(), filepath.FromSlash(it.spec.Files[i].Path))
	if !filepath.IsLocal(filepath.FromSlash(it.spec.Files[i].Path)) {
		return a, final(fmt.Errorf("path %q leaves the folder of feeds", it.spec.Files[i].Path))
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return a, final(err)
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*.part")
	if err != nil {
		return a, final(err)
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil || a.temp == "" {
			os.Remove(f.Name())
			a.temp = ""
		}
	}()
	h := sha256.New()
	head := &prefix{}
	a.size, err = io.Copy(io.MultiWriter(f, h, head), io.LimitReader(body, it.spec.MaxSize+1))
	switch {
	case err != nil:
		return a, err
	case a.size > it.spec.MaxSize:
		return a, final(fmt.Errorf("more than the %d bytes the catalogue allows came", it.spec.MaxSize))
	}
	a.meta.SHA256 = hex.EncodeToString(h.Sum(nil))
	if a.meta.SHA256 == old.sum {
		return a, nil
	}
	a.packed = head.n >= 2 && head.b[0] == 0x1f && head.b[1] == 0x8b
	a.temp = f.Name()
	return a, f.Sync()
}

// stillCurrent notes that the publisher stands by the copy.
func (u *Updater) stillCurrent(old *copyOf, a *arrival) {
	if u.cfg.Stage != "" || u.from != nil {
		return
	}
	m := *old.meta
	m.Checked = u.cfg.Now().UTC()
	if a.meta.ETag != "" {
		m.ETag = a.meta.ETag
	}
	if a.meta.LastModified != "" {
		m.LastModified = a.meta.LastModified
	}
	m.URL = a.meta.URL
	// What is lost when this fails is only that the next run asks again.
	_ = writeMeta(old.name, &m)
}

// prefix keeps the first bytes of what is written.
type prefix struct {
	b [2]byte
	n int
}

func (p *prefix) Write(b []byte) (int, error) {
	if p.n < len(p.b) {
		p.n += copy(p.b[p.n:], b)
	}
	return len(b), nil
}

// readTable checks a reference table by reading it.
func readTable(table feed.Tabler, p part) *tally {
	r, err := p.open()
	if err != nil {
		return &tally{failed: err}
	}
	defer r.Close()
	return &tally{failed: table(r, &feed.Tables{})}
}
