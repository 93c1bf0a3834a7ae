package people

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/mail"
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
type People struct{ c Config }

var errNotYet = errors.New("not built yet")

// New returns People. The error names every mistake in c.
func New(c Config) (*People, error) { return &People{c}, nil }

// SignUp sends a letter: a link that confirms the address, or, when it has an account,
// one that says so. Who asks is not told which. Nothing is made before the link is
// followed.
func (p *People) SignUp(ctx context.Context, v Visit, email string) error { return errNotYet }

// Confirm makes the account of a link from SignUp, with a password that its owner
// chooses now, and a first key.
func (p *People) Confirm(ctx context.Context, v Visit, token, password string) (Confirmed, error) {
	return Confirmed{}, errNotYet
}

// Peek returns the address that a link was sent to, without using it up: for the page
// that it leads to. The error is BadToken.
func (p *People) Peek(ctx context.Context, token string) (email string, err error) {
	return "", errNotYet
}

// SignIn checks a password. A wrong one, and an address without an account, are
// BadSignIn after the same work.
func (p *People) SignIn(ctx context.Context, v Visit, email, password string) (SignedIn, error) {
	return SignedIn{}, errNotYet
}

// SecondFactor checks a code of an authenticator app, or a recovery code, for a ticket
// of SignIn. Each counts once. remember makes the device one that needs no more codes.
func (p *People) SecondFactor(ctx context.Context, v Visit, ticket, code string, remember bool) (SignedIn, error) {
	return SignedIn{}, errNotYet
}

// Session returns who is signed in, by the text of a session. The error is NoSession.
func (p *People) Session(ctx context.Context, text string) (Session, error) {
	return Session{}, errNotYet
}

// Sessions lists the sessions of an account, the newest first.
func (p *People) Sessions(ctx context.Context, s Session) ([]Session, error) { return nil, errNotYet }

// EndSession ends a session of the same account; its own is signing out.
func (p *People) EndSession(ctx context.Context, v Visit, s Session, id SessionID) error {
	return errNotYet
}

// EndOthers ends all sessions of the account but this one, and forgets its devices.
func (p *People) EndOthers(ctx context.Context, v Visit, s Session) (ended int, err error) {
	return 0, errNotYet
}

// Devices lists the devices that are remembered.
func (p *People) Devices(ctx context.Context, s Session) ([]Device, error) { return nil, errNotYet }

// ForgetDevice forgets a device: it needs a second factor again.
func (p *People) ForgetDevice(ctx context.Context, v Visit, s Session, id DeviceID) error {
	return errNotYet
}

// Forgot sends a link that sets a new password, if there is an account, and otherwise
// a letter that says that there is none. Who asks is not told which.
func (p *People) Forgot(ctx context.Context, v Visit, email string) error { return errNotYet }

// Reset sets a new password by a link of Forgot, and ends all sessions. With a second
// factor, that is still wanted: then there is a Ticket.
func (p *People) Reset(ctx context.Context, v Visit, token, password string) (SignedIn, error) {
	return SignedIn{}, errNotYet
}

// ChangePassword sets a new password, and ends all other sessions.
func (p *People) ChangePassword(ctx context.Context, v Visit, s Session, old, password string) error {
	return errNotYet
}

// ChangeMail sends a link to the new address, which ConfirmMail takes, and tells the
// old one. The answer is the same when somebody else has the new address.
func (p *People) ChangeMail(ctx context.Context, v Visit, s Session, password, email string) error {
	return errNotYet
}

// ConfirmMail puts the new address in place of the old one. Both are told.
func (p *People) ConfirmMail(ctx context.Context, v Visit, token string) (customer.Account, error) {
	return customer.Account{}, errNotYet
}

// PendingMail returns the change of address that waits, or nil.
func (p *People) PendingMail(ctx context.Context, s Session) (*Pending, error) { return nil, errNotYet }

// Factors says how an account signs in.
func (p *People) Factors(ctx context.Context, s Session) (Factors, error) {
	return Factors{}, errNotYet
}

// BeginTOTP makes a secret for an authenticator app. It is in force after ConfirmTOTP.
func (p *People) BeginTOTP(ctx context.Context, v Visit, s Session, password string) (TOTPSetup, error) {
	return TOTPSetup{}, errNotYet
}

// ConfirmTOTP puts the second factor in force by a code of it, ends all other sessions,
// and returns recovery codes, which are shown once.
func (p *People) ConfirmTOTP(ctx context.Context, v Visit, s Session, code string) (recovery []string, err error) {
	return nil, errNotYet
}

// EndTOTP ends the second factor; code is of the app or a recovery code.
func (p *People) EndTOTP(ctx context.Context, v Visit, s Session, password, code string) error {
	return errNotYet
}

// NewRecoveryCodes replaces all recovery codes.
func (p *People) NewRecoveryCodes(ctx context.Context, v Visit, s Session, password string) ([]string, error) {
	return nil, errNotYet
}

// Delete ends the account for good. code is wanted where there is a second factor.
func (p *People) Delete(ctx context.Context, v Visit, s Session, password, code string) error {
	return errNotYet
}

// Export collects what is kept about the account.
func (p *People) Export(ctx context.Context, v Visit, s Session) (account.Export, error) {
	return account.Export{}, errNotYet
}

// Log lists at most limit entries of the account's log, the newest first, from before
// the entry called before, or from the newest when it is 0.
func (p *People) Log(ctx context.Context, s Session, before int64, limit int) ([]account.Entry, error) {
	return nil, errNotYet
}
