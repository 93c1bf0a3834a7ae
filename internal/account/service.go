package account

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// Config of a [Service].
type Config struct {
	// Store is where everything is. It is required, and closed by who made it.
	Store Store
	// Hash makes the keyed hash of a key's text. It is required to make keys and to
	// find one by its text.
	Hash func(text string) customer.Hash
	// Now is time.Now when it is nil.
	Now func() time.Time
}

// A Service makes, changes and ends accounts, keys and plans. It is safe for
// concurrent use, also by several processes on one store.
//
// actor says who wants it, for the log: see [Entry].
type Service struct {
	store   Store
	hash    func(string) customer.Hash
	now     func() time.Time
	maxKeys int // MaxKeys, but in tests
}

// New returns a Service. It asks nothing of the store.
func New(c Config) (*Service, error) {
	if c.Store == nil {
		return nil, errors.New("account: Config.Store is nil")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Service{store: c.Store, hash: c.Hash, now: c.Now, maxKeys: MaxKeys}, nil
}

// moment is now, as precise as a store keeps it.
func (s *Service) moment() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// Changes is [Store.Changes].
func (s *Service) Changes(ctx context.Context, since int64, f func(*Changes) error) (newest int64, err error) {
	return s.store.Changes(ctx, since, f)
}

// Log lists at most limit entries of the log, the newest first: of an account, or of
// all when it is 0; from before the entry called before, or from the newest when it
// is 0.
func (s *Service) Log(ctx context.Context, a customer.AccountID, before int64, limit int) (entries []Entry, err error) {
	err = s.store.Read(ctx, func(tx Tx) error {
		entries, err = tx.Entries(a, before, limit)
		return err
	})
	return entries, err
}

// deletionsKept is how long who follows changes may be away. After that it begins
// anew, which costs it no more than a start.
const deletionsKept = 30 * 24 * time.Hour

// Housekeep forgets what nobody will ask for any more. Once a day is often enough.
func (s *Service) Housekeep(ctx context.Context) error {
	return s.store.Write(ctx, func(tx Tx) error {
		now := s.moment()
		return errors.Join(tx.ForgetDeletions(now.Add(-deletionsKept)), tx.ForgetSignIns(now))
	})
}

// Invalid is what was wrong with what somebody wanted: all of it.
type Invalid []Mistake

// A Mistake is one thing that is wrong.
type Mistake struct {
	Field   string // as in JSON: "networks"
	Message string // what is wrong, and what works
}

func (e Invalid) Error() string {
	all := make([]string, len(e))
	for i, m := range e {
		all[i] = m.Field + ": " + m.Message
	}
	return strings.Join(all, "\n")
}

func (e *Invalid) add(field, format string, args ...any) {
	if len(*e) < 50 {
		*e = append(*e, Mistake{field, fmt.Sprintf(format, args...)})
	}
}

func (e Invalid) err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// A Conflict is a wish that what is there does not allow.
type Conflict struct{ Message string }

func (e *Conflict) Error() string { return e.Message }

func conflictf(format string, args ...any) error { return &Conflict{fmt.Sprintf(format, args...)} }

// missing says what was not found. It is an [ErrNotFound].
type missing string

func (e missing) Error() string   { return string(e) }
func (missing) Is(err error) bool { return err == ErrNotFound } //nolint:errorlint // that is what Is is for

func missingf(format string, args ...any) error { return missing(fmt.Sprintf(format, args...)) }
