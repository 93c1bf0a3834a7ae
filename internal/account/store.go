package account

import (
	"context"
	"errors"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// What a [Store] answers.
var (
	// ErrNotFound: there is none.
	ErrNotFound = errors.New("it does not exist")
	// ErrExists: another has this e-mail address, or this hash.
	ErrExists = errors.New("it exists already")
	// ErrUnavailable: the store is away, or did not answer in time. A change may have
	// been made or not.
	ErrUnavailable = errors.New("the accounts cannot be read or changed now")
	// ErrForgotten: what was deleted since that revision is no longer known. Who gets
	// it begins anew, with revision 0.
	ErrForgotten = errors.New("the changes since then are forgotten")
)

// A Store keeps accounts, keys and plans. Package accounttest has the suite of this
// contract.
//
// It is safe for concurrent use, also by several processes. Every method ends in
// time, with [ErrUnavailable] when the database does not answer.
type Store interface {
	// Read runs f on one state of everything.
	Read(ctx context.Context, f func(Tx) error) error
	// Write runs f, and keeps all that it did, durably, or nothing when it returns an
	// error. One f runs at a time, over all processes; so what it reads stays so until
	// it is done.
	Write(ctx context.Context, f func(Tx) error) error
	// Changes calls f with what changed after the revision since, of one state of the
	// store: plans first, then accounts, keys, and what was deleted; each as it is
	// now, in parts of bounded size. It returns the revision of that state, which is
	// the next since. From 0 it is everything there is. Nothing is left out: a change
	// that is committed later has a greater revision.
	Changes(ctx context.Context, since int64, f func(*Changes) error) (newest int64, err error)
	Close() error
}

// Changes is a part of what changed.
type Changes struct {
	Plans        []customer.Plan
	Accounts     []customer.Account
	Keys         []customer.Key
	DeletedKeys  []DeletedKey
	DeletedPlans []string
}

// A DeletedKey is not even remembered as revoked: its account was deleted.
type DeletedKey struct {
	ID   customer.KeyID
	Hash customer.Hash
}

// A Tx is what a [Store] can do in one transaction. It must not be kept. The methods
// that change something work in [Store.Write] only. Those that put stamp what they
// are given with a new revision.
type Tx interface {
	SignInTx

	Account(customer.AccountID) (customer.Account, error)
	AccountByEmail(key string) (customer.Account, error) // of EmailKey; deleted ones have none
	// Accounts lists at most limit accounts, the oldest first, from behind after; the
	// zero Cursor is the beginning.
	Accounts(after Cursor, limit int) ([]customer.Account, error)
	AccountsOn(plan string) (int64, error) // how many are on a plan, without deleted ones
	PutAccount(*customer.Account) error    // new or changed

	Key(customer.KeyID) (customer.Key, error)
	KeyByHash(customer.Hash) (customer.Key, error)
	Keys(customer.AccountID) ([]customer.Key, error) // the oldest first
	AnyKey() (bool, error)                           // whether there is one, of any account
	PutKey(*customer.Key) error
	DeleteKey(k customer.Key, at time.Time) error

	Plan(name string) (customer.Plan, error)
	Plans() ([]customer.Plan, error) // by name
	PutPlan(*customer.Plan) error
	DeletePlan(name string, at time.Time) error

	// Setting is "" when it was never set.
	Setting(name string) (string, error)
	SetSetting(name, value string) error // "" takes it away

	// Log adds an entry, and numbers it.
	Log(*Entry) error
	// Entries lists at most limit entries, the newest first, of an account, or of all
	// when it is 0, from before the entry called before, or from the newest when it is 0.
	Entries(a customer.AccountID, before int64, limit int) ([]Entry, error)

	// UsageDays is what an account has used, by day, key and class, the oldest first.
	UsageDays(customer.AccountID) ([]UsageDay, error)

	// Forget removes what an account has besides itself and its keys: how it signs in,
	// its sessions and devices, what it has used, and what the log says of people.
	Forget(customer.AccountID) error
	// ForgetDeletions forgets what was deleted before at.
	ForgetDeletions(at time.Time) error
}

// UsageDay is what a key has used on a day, in UTC, of one class.
type UsageDay struct {
	Day   time.Time
	Key   customer.KeyID
	Class customer.Class
	N     int64
}

// A Cursor is a place in the list of accounts.
type Cursor struct {
	Created time.Time
	ID      customer.AccountID
}

// An Entry of the log says who did what.
type Entry struct {
	ID      int64
	At      time.Time
	Account customer.AccountID // whose; 0 is nobody's
	Actor   string             // "operator root", or the identifier of the account, or of its key that did it
	Action  string             // a closed set: see the constants
	Subject string             // what it was done to: an identifier, the name of a plan
	Detail  string             // what changed, for people; no secret
	Address string             // where it came from, when it came over the network
}

// Actions of the log.
const (
	ActionAdd     = "account.add"
	ActionSuspend = "account.suspend"
	ActionResume  = "account.resume"
	ActionDelete  = "account.delete"
	ActionPlan    = "account.plan"
	ActionAlerts  = "account.alerts"
	ActionKeyNew  = "key.new"
	ActionRotate  = "key.rotate"
	ActionRevoke  = "key.revoke"
	ActionChange  = "key.change"
	ActionReset   = "key.reset"
	ActionPlanSet = "plan.set"
	ActionPlanEnd = "plan.remove"
)
