package people

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/customer"
)

// A Visit is where a call comes from, as far as the server knows it itself.
type Visit struct {
	Address netip.Addr // of the client
	Agent   string     // the User-Agent field; it is cut where it is long
	// Device is the text of a remembered device, of its cookie; "" is none.
	Device string
}

// maxAgent bounds what is kept of a User-Agent.
const maxAgent = 200

func (v *Visit) address() string {
	if !v.Address.IsValid() {
		return ""
	}
	return v.Address.Unmap().WithZone("").String()
}

func (v *Visit) agent() string {
	s := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return -1
		}
		return r
	}, v.Agent)
	if len(s) > maxAgent {
		s = strings.ToValidUTF8(s[:maxAgent], "")
	}
	return s
}

// A Session is somebody who is signed in, with all factors.
type Session struct {
	ID      SessionID
	Account customer.Account // as it is now
	Created time.Time
	Seen    time.Time // as of some minutes ago
	Expires time.Time
	Factor  time.Time // when a second factor was shown; zero is never
	Address string    // where it began
	Agent   string
	hash    account.Digest
	// Renewed: Expires has moved just now. A cookie is to be given anew.
	Renewed bool
	// Current is set in lists, of the one that asks.
	Current bool
}

// SessionID names a session without opening it.
type SessionID uint64

// DeviceID names a remembered device without being one.
type DeviceID uint64

// String is 16 hexadecimal digits.
func (id SessionID) String() string { return fmt.Sprintf("%016x", uint64(id)) }

// String is 16 hexadecimal digits.
func (id DeviceID) String() string { return fmt.Sprintf("%016x", uint64(id)) }

// ParseID reads what the String of an identifier wrote.
func ParseID[T SessionID | DeviceID](s string) (T, error) {
	var n uint64
	if _, err := fmt.Sscanf(s, "%016x", &n); err != nil || len(s) != 16 || fmt.Sprintf("%016x", n) != s {
		return 0, fmt.Errorf("%.40q is no identifier; one has 16 hexadecimal digits", s)
	}
	return T(n), nil
}

// A Device was remembered: it needs no second factor.
type Device struct {
	ID      DeviceID
	Name    string // of its User-Agent
	Created time.Time
	Seen    time.Time
	Expires time.Time
}

// SignedIn is what a password opens.
type SignedIn struct {
	// Session is the text of a new session, for a cookie or as a bearer token. It is
	// "" while a second factor is wanted.
	Session string
	Expires time.Time // of the session, or of the ticket
	// Ticket is what SecondFactor takes with a code. "" when none is wanted.
	Ticket  string
	Account customer.Account // the zero Account with a ticket
	// Device is the text of a device that is remembered from now on, for a cookie; ""
	// is none.
	Device        string
	DeviceExpires time.Time
	// RecoveryLeft is how many recovery codes are left, when one was used; -1 otherwise.
	RecoveryLeft int
}

// Confirmed is what the confirmation of an address opens: an account, its first key,
// and a session.
type Confirmed struct {
	SignedIn
	Key     customer.Key
	KeyText string // shown once
}

// TOTPSetup is what an authenticator app is told. It is in force after ConfirmTOTP.
type TOTPSetup struct {
	Secret string // base 32, for who types it
	URI    string // otpauth://…, for a QR code
	QR     []byte // the URI as a PNG image
}

// Factors is how an account signs in.
type Factors struct {
	Password      bool
	PasswordSince time.Time
	TOTP          bool
	TOTPSince     time.Time
	RecoveryLeft  int
}

// Pending is a change of address that waits for its confirmation.
type Pending struct {
	Email   string
	Expires time.Time
}

// Times that things hold.
const (
	SessionLife  = 90 * 24 * time.Hour // whatever is done with it
	SessionIdle  = 14 * 24 * time.Hour // unless it is used
	DeviceLife   = 30 * 24 * time.Hour
	ConfirmLife  = 24 * time.Hour
	ResetLife    = time.Hour
	ChangeLife   = 24 * time.Hour
	TicketLife   = 10 * time.Minute
	RecoveryNumb = 10 // recovery codes at a time
)

// MinPassword and MaxPassword bound a password, in characters and in bytes.
const (
	MinPassword = 10
	MaxPassword = 256
)

// A Code says what went wrong, for programs.
type Code string

// What can go wrong. Each is one answer, whatever the reason behind it is.
const (
	NoSession   Code = "no-session"   // there is none, or it has ended
	BadSignIn   Code = "bad-sign-in"  // no such account, no password, the wrong one: nobody tells
	BadCode     Code = "bad-code"     // the second factor
	BadToken    Code = "bad-token"    // of a letter: used, expired, or never sent
	BadPassword Code = "bad-password" // of who is signed in
	TooMany     Code = "too-many"     // tries; Error.After says when again
	Busy        Code = "busy"         // too many passwords are checked at this moment
	Closed      Code = "closed"       // nobody may sign up here
	NotNow      Code = "not-now"      // the state of the account does not allow it: Message says why
)

// An Error is what went wrong. Mistakes in what was sent are an account.Invalid.
type Error struct {
	Code    Code
	Message string        // for people
	After   time.Duration // of TooMany and Busy
}

func (e *Error) Error() string { return e.Message }

// Is makes errors.Is(err, &Error{Code: c}) ask for the code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error) //nolint:errorlint // that is what Is is for
	return ok && t.Code == e.Code
}
