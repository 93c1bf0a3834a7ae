package mail

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	netmail "net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Config of an [Outbox].
type Config struct {
	// Dir is where the letters are, of mode 0700; it is made. Required.
	Dir string
	// Server takes the mail. The zero Server is none: then everything stays in Dir.
	Server Server
	// From is who writes. Required with a Server.
	From Sender
	// Existing makes nothing: where there is no directory, the error is ErrNoOutbox.
	Existing bool
	// Most is how many letters may wait. Default 10,000.
	Most int
	// Log takes what went wrong. Default: slog.Default().
	Log *slog.Logger
	// Now is time.Now when it is nil.
	Now func() time.Time
}

// A Sender is who writes letters.
type Sender struct{ Name, Address string }

// ParseSender reads "Name <address>", or an address.
func ParseSender(text string) (Sender, error) {
	a, err := netmail.ParseAddress(text)
	if err != nil || len(a.Address) > 254 {
		return Sender{}, fmt.Errorf("%.100q is no sender of mail; one is \"ipwarden <no-reply@example.com>\"", text)
	}
	return Sender{a.Name, a.Address}, nil
}

func (s Sender) domain() string {
	if i := strings.LastIndexByte(s.Address, '@'); i >= 0 && i+1 < len(s.Address) {
		return s.Address[i+1:]
	}
	return "localhost"
}

// ErrFull: more letters wait than may.
var ErrFull = errors.New("mail: too many letters wait to be sent")

// ErrNoOutbox: there is none, because no letter was written yet.
var ErrNoOutbox = errors.New("mail: there is no outbox: no letter was written yet")

// ErrNotFound: there is no such letter.
var ErrNotFound = errors.New("mail: there is no such letter")

// How long letters are kept.
const (
	// TriedFor is how long it is tried to deliver one.
	TriedFor = 48 * time.Hour
	// KeptFor is how long one is kept that is not sent: without a server, or when it
	// failed. Then nothing in it opens anything any more.
	KeptFor = 14 * 24 * time.Hour
)

const (
	defaultMost = 10000
	maxFile     = 1 << 20
	suffix      = ".json"
)

// A Mail is a letter in the outbox.
type Mail struct {
	ID       string    `json:"id"` // sorts by age, but for those of Letter.Once
	Kind     string    `json:"kind"`
	To       string    `json:"to"`
	Subject  string    `json:"subject"`
	Text     string    `json:"text"`
	HTML     string    `json:"html"`
	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires,omitzero"`
	Attempts int       `json:"attempts,omitempty"`
	Next     time.Time `json:"next,omitzero"`     // not before
	Failed   time.Time `json:"failed,omitzero"`   // given up
	Problem  string    `json:"problem,omitempty"` // what the server said last
}

// State says in a word where a letter is.
func (m *Mail) State() string {
	switch {
	case !m.Failed.IsZero():
		return "failed"
	case m.Attempts > 0:
		return "retrying"
	}
	return "waiting"
}

// An Outbox keeps letters until they are delivered. It is safe for concurrent use, and
// several processes may put letters into one directory; one of them delivers.
type Outbox struct {
	c    Config
	wake chan struct{}

	mu      sync.Mutex
	waiting int // letters in Dir, as far as known; guarded by mu

	delivery delivery
}

// Open makes the directory, and returns its Outbox.
func Open(c Config) (*Outbox, error) {
	if c.Dir == "" {
		return nil, errors.New("mail: Config.Dir is missing")
	}
	if c.Server.Host != "" && c.From.Address == "" {
		return nil, errors.New("mail: with a server there must be a sender: say who writes, such as \"ipwarden <no-reply@example.com>\"")
	}
	if c.Most <= 0 {
		c.Most = defaultMost
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.From.Address == "" {
		c.From = Sender{"ipwarden", "ipwarden@localhost"}
	}
	if c.Existing {
		if _, err := os.Stat(c.Dir); errors.Is(err, fs.ErrNotExist) {
			return nil, ErrNoOutbox
		}
	} else if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("the outbox: %w", err)
	}
	b := &Outbox{c: c, wake: make(chan struct{}, 1)}
	ids, err := b.ids()
	if err != nil {
		return nil, err
	}
	b.waiting = len(ids)
	return b, nil
}

// Dir is where the letters are.
func (b *Outbox) Dir() string { return b.c.Dir }

// Sends reports whether there is a server that takes the mail.
func (b *Outbox) Sends() bool { return b.c.Server.Host != "" }

// Send writes a letter to somebody. When it returns nil the letter is on the disk, and
// will be delivered.
func (b *Outbox) Send(_ context.Context, to string, l Letter) error {
	text, html, err := l.render(line(b.c.From.Name))
	if err != nil {
		return fmt.Errorf("mail: letter %q: %w", l.Kind, err)
	}
	now := b.c.Now().UTC()
	id := now.Format("20060102T150405.000") + "-" + strings.ToLower(rand.Text()[:12])
	if l.Once != "" {
		if id = "once-" + l.Once; !validID(id) {
			return fmt.Errorf("mail: letter %q: %q is no name for it", l.Kind, l.Once)
		}
		if _, err := os.Stat(b.file(id)); err == nil {
			return nil // it is there
		}
	}
	m := &Mail{
		ID: id, Kind: l.Kind, To: to, Subject: line(l.Subject),
		Text: text, HTML: html, Created: now, Expires: l.Expires,
	}
	if _, err := netmail.ParseAddress("<" + to + ">"); err != nil || strings.ContainsAny(to, "\r\n<>") {
		return fmt.Errorf("mail: letter %q: it is to nobody that mail reaches", l.Kind)
	}
	b.mu.Lock()
	if b.waiting >= b.c.Most {
		b.mu.Unlock()
		return ErrFull
	}
	b.waiting++
	b.mu.Unlock()
	if err := b.put(m); err != nil {
		b.gone(1)
		return err
	}
	if !b.Sends() {
		b.c.Log.Info("a mail is in the outbox: no SMTP server is configured", "kind", m.Kind, "file", b.file(m.ID))
	}
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return nil
}

func (b *Outbox) gone(n int) {
	b.mu.Lock()
	b.waiting -= n
	b.mu.Unlock()
}

func (b *Outbox) file(id string) string { return filepath.Join(b.c.Dir, id+suffix) }

// put writes a letter whole or not at all, on the disk.
func (b *Outbox) put(m *Mail) (err error) {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	f, err := os.CreateTemp(b.c.Dir, ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), b.file(m.ID))
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("mail: %w", err)
	}
	return b.sync()
}

func (b *Outbox) sync() error {
	d, err := os.Open(b.c.Dir)
	if err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, fs.ErrInvalid) {
		return fmt.Errorf("mail: %w", err)
	}
	return nil
}

// ids are all letters, the oldest first.
func (b *Outbox) ids() (all []string, err error) {
	d, err := os.Open(b.c.Dir)
	if err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	for _, name := range names {
		if id, ok := strings.CutSuffix(name, suffix); ok && validID(id) {
			all = append(all, id)
		}
	}
	slices.Sort(all)
	return all, nil
}

// validID keeps names of files in the directory.
func validID(id string) bool {
	return id != "" && len(id) <= 64 && id[0] != '.' && strings.Trim(id, "0123456789abcdefghijklmnopqrstuvwxyzT.-") == ""
}

// Get returns a letter.
func (b *Outbox) Get(id string) (*Mail, error) {
	if !validID(id) {
		return nil, ErrNotFound
	}
	f, err := os.Open(b.file(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	return parse(id, text)
}

// parse reads what put wrote.
func parse(id string, text []byte) (*Mail, error) {
	m := new(Mail)
	if len(text) > maxFile {
		return nil, fmt.Errorf("mail: %s%s has more than 1 MiB: ipwarden did not write it", id, suffix)
	}
	if err := json.Unmarshal(text, m); err != nil || m.ID != id {
		return nil, fmt.Errorf("mail: %s%s is no letter: ipwarden did not write it, or not all of it", id, suffix)
	}
	return m, nil
}

// List returns at most limit letters, the newest first; 0 is all.
func (b *Outbox) List(limit int) (all []*Mail, err error) {
	ids, err := b.ids()
	if err != nil {
		return nil, err
	}
	keep := func() { // the newest of those that were read
		slices.SortFunc(all, func(a, b *Mail) int { return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.ID, a.ID)) })
		if limit > 0 && len(all) > limit {
			clear(all[limit:])
			all = all[:limit]
		}
	}
	for _, id := range ids {
		m, err := b.Get(id)
		if errors.Is(err, ErrNotFound) {
			continue // it was delivered meanwhile
		}
		if err != nil {
			return all, err
		}
		if all = append(all, m); limit > 0 && len(all)-limit >= 64 { // many thousands may wait
			keep()
		}
	}
	keep()
	return all, nil
}

// Remove deletes a letter.
func (b *Outbox) Remove(id string) error {
	if !validID(id) {
		return ErrNotFound
	}
	err := os.Remove(b.file(id))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ErrNotFound
	case err != nil:
		return fmt.Errorf("mail: %w", err)
	}
	b.gone(1)
	return nil
}
