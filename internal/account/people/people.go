package people

import (
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/mail"
	"github.com/ipwarden/ipwarden/limit"
)

// Config of [People].
type Config struct {
	// Accounts makes accounts and keys. Required.
	Accounts *account.Service
	// Store is the one of Accounts. Required.
	Store account.Store
	// Secret seals the secrets of second factors: account.Service.Secret. All nodes
	// have the same. At least 32 bytes. Required.
	Secret []byte
	// Send puts a letter into the outbox: mail.Outbox.Send. Required.
	Send func(ctx context.Context, to string, l mail.Letter) error
	// URL is where people reach the pages: https://ip.example. Links in letters begin
	// with it. Required.
	URL string
	// Name is what the installation is called, in letters and authenticator apps.
	// Default: ipwarden.
	Name string
	// Plan is what who signs up is on. Default: account.DefaultPlan.
	Plan string
	// SignUpClosed refuses who wants to sign up.
	SignUpClosed bool
	// MailKeys puts the first key into a letter, in clear. Default: only a link is
	// mailed, and the key is shown after it.
	MailKeys bool
	// Refused says of the domain of an e-mail address whether nobody may sign up with
	// it, such as one of disposable addresses. Default: none is.
	Refused func(domain string) bool
	// Hashes is how many passwords are checked at once, 19 MiB each. Default: as many
	// as there are processors, at least 2.
	Hashes int
	// Log takes what went wrong. Default: slog.Default().
	Log *slog.Logger
	// Now is time.Now when it is nil.
	Now func() time.Time
}

// People is safe for concurrent use, also by several processes on one store.
type People struct {
	c      Config
	hash   *hasher
	seal   cipher.AEAD
	tries  *limit.Memory
	keys   limit.Hasher
	wrong  *limit.Rate
	factor *limit.Rate
}

// New returns People. The error names every mistake in c.
func New(c Config) (*People, error) {
	var errs []error
	if c.Accounts == nil || c.Store == nil || c.Send == nil {
		errs = append(errs, errors.New("something is missing: Accounts, Store and Send are required"))
	}
	if len(c.Secret) < 32 {
		errs = append(errs, errors.New("the Secret has less than 32 bytes"))
	}
	if u, err := url.Parse(c.URL); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		errs = append(errs, fmt.Errorf("the URL %q is not where people reach pages; one is https://ip.example", c.URL))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("people: %w", err)
	}
	c.URL = strings.TrimRight(c.URL, "/")
	if c.Name == "" {
		c.Name = "ipwarden"
	}
	if c.Plan == "" {
		c.Plan = account.DefaultPlan
	}
	if c.Refused == nil {
		c.Refused = func(string) bool { return false }
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	p := &People{
		c: c, hash: newHasher(c.Hashes), keys: limit.NewHasher([16]byte(c.Secret[:16])),
		wrong:  &limit.Rate{Name: "password", Limit: 10, Window: time.Hour},
		factor: &limit.Rate{Name: "factor", Limit: 10, Window: time.Hour},
	}
	var err error
	if p.seal, err = sealer(c.Secret); err != nil {
		return nil, err
	}
	if p.tries, err = limit.NewMemory(limit.MemoryConfig{Entries: 1 << 16, Now: c.Now}); err != nil {
		return nil, err
	}
	return p, nil
}

// moment is now, as precise as a store keeps it.
func (p *People) moment() time.Time { return p.c.Now().UTC().Truncate(time.Microsecond) }

// SignUpOpen reports whether people may sign up here.
func (p *People) SignUpOpen() bool { return !p.c.SignUpClosed }

// URL is where people reach the pages.
func (p *People) URL() string { return p.c.URL }

// Name is what the installation is called.
func (p *People) Name() string { return p.c.Name }

// write sends a letter, and says whether it was taken.
func (p *People) write(ctx context.Context, to string, l mail.Letter) error {
	if err := p.c.Send(ctx, to, l); err != nil {
		p.c.Log.Error("a mail cannot be written", "kind", l.Kind, "error", err)
		return &Error{Code: Busy, Message: "No mail can be sent at this moment. Try again in some minutes.", After: time.Minute}
	}
	return nil
}

// tell sends a letter about what has been done: that it cannot be sent does not undo it.
func (p *People) tell(ctx context.Context, to string, l mail.Letter) {
	_ = p.write(context.WithoutCancel(ctx), to, l) // it was logged
}
