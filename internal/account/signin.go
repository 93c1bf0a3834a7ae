package account

import (
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// A Digest is the SHA-256 of something that opens a door. What opens it is random and
// long, so nobody finds it from its digest; it is nowhere.
type Digest [32]byte

// SignInTx is the part of a [Tx] that people sign in with. Package people has the rules.
// What is looked for and is not there is an [ErrNotFound].
type SignInTx interface {
	Credential(customer.AccountID) (Credential, error)
	PutCredential(*Credential) error // new or changed

	TOTP(customer.AccountID) (TOTP, error)
	PutTOTP(*TOTP) error // new or changed
	DeleteTOTP(customer.AccountID) error

	RecoveryCodes(customer.AccountID) ([]RecoveryCode, error)
	PutRecoveryCode(*RecoveryCode) error // new or changed
	DeleteRecoveryCodes(customer.AccountID) error

	Session(Digest) (Session, error)
	Sessions(customer.AccountID) ([]Session, error) // the newest first
	PutSession(*Session) error                      // new or changed
	DeleteSession(Digest) error

	Device(Digest) (Device, error)
	Devices(customer.AccountID) ([]Device, error) // the newest first
	PutDevice(*Device) error                      // new or changed
	DeleteDevice(Digest) error

	MailToken(Digest) (MailToken, error)
	MailTokens(a customer.AccountID, purpose string) ([]MailToken, error) // the newest first
	PutMailToken(*MailToken) error                                        // new or changed
	DeleteMailTokens(a customer.AccountID, purpose string) error          // of "" all

	SignUp(Digest) (SignUp, error)
	SignUps(emailKey string) ([]SignUp, error) // the newest first
	CountSignUps() (int64, error)
	PutSignUp(*SignUp) error
	DeleteSignUps(emailKey string) error

	// ForgetSignIns removes what expired before at: sessions, devices, tokens, sign-ups;
	// and what was counted late of accounts that are deleted.
	ForgetSignIns(at time.Time) error
}

// A Credential is the password of an account.
type Credential struct {
	Account  customer.AccountID
	Password string // argon2id with its parameters, as RFC 9106's reference writes it
	Changed  time.Time
}

// A TOTP is the second factor of an account (RFC 6238).
type TOTP struct {
	Account   customer.AccountID
	Secret    []byte // sealed
	Created   time.Time
	Confirmed time.Time // zero: not yet in force
	LastStep  int64     // of the last code that was taken: each counts once
}

// A RecoveryCode stands for the second factor, once.
type RecoveryCode struct {
	Account customer.AccountID
	Hash    Digest
	Created time.Time
	Used    time.Time
}

// A Session is somebody who is signed in.
type Session struct {
	Hash    Digest
	ID      int64
	Account customer.AccountID
	Created time.Time
	Seen    time.Time
	Expires time.Time
	Factor  time.Time // when a second factor was shown
	Address string
	Agent   string
}

// A Device is one that needs no second factor.
type Device struct {
	Hash    Digest
	ID      int64
	Account customer.AccountID
	Name    string
	Created time.Time
	Seen    time.Time
	Expires time.Time
}

// A MailToken is what a letter has, or a ticket between two steps.
type MailToken struct {
	Hash    Digest
	Account customer.AccountID
	Purpose string
	Email   string // where it was sent
	Created time.Time
	Expires time.Time
	Used    time.Time
}

// What a [MailToken] is for.
const (
	PurposeReset  = "reset"  // sets a password
	PurposeChange = "change" // confirms a new address
	PurposeFactor = "factor" // between the password and the second factor: in no letter
)

// A SignUp waits for its confirmation. There is no account yet.
type SignUp struct {
	Hash    Digest
	Email   string // as given
	Created time.Time
	Expires time.Time
}

// Actions of the log that people take.
const (
	ActionConfirm      = "account.confirm"
	ActionSignIn       = "sign-in"
	ActionSignInFailed = "sign-in.failed" // the password was right, the second factor not
	ActionSignOut      = "sign-out"
	ActionSessionEnd   = "session.end"
	ActionDeviceForget = "device.forget"
	ActionDeviceNew    = "device.new"
	ActionPassword     = "password.change"
	ActionMailAsked    = "mail.asked"
	ActionMail         = "mail.change"
	ActionTOTP         = "totp.on"
	ActionTOTPEnd      = "totp.off"
	ActionRecovery     = "recovery.new"
	ActionExport       = "account.export"
)
