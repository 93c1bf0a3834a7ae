package provider

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"
)

// Kind says what sort of failure an [Error] is.
type Kind string

// The kinds of failure.
const (
	OverQuota Kind = "quota"     // the vendor will not answer before RetryAt
	Auth      Kind = "auth"      // the key is wrong, or not good for this
	NotFound  Kind = "not_found" // there is no such path: the base address is wrong
	Invalid   Kind = "invalid"   // the vendor calls the question wrong
	Server    Kind = "server"    // the vendor failed, or cannot be reached
	Junk      Kind = "junk"      // the answer is none of this vendor's
	TooLarge  Kind = "too_large" // the answer has more than MaxBytes
	Timeout   Kind = "timeout"   // the context ended first
)

// An Error is a look-up that was not answered. Its text holds no key and no
// address that was asked for.
type Error struct {
	Provider string
	Kind     Kind
	Status   int       // of the HTTP answer, 0 without one
	RetryAt  time.Time // of OverQuota and Auth: when the vendor is asked again
	Err      error     // the cause; for Timeout it is the context's
}

// Error says what failed in one line.
func (e *Error) Error() string {
	s := e.Provider + ": " + e.sentence()
	if e.Status != 0 {
		s += fmt.Sprintf(" (HTTP %d)", e.Status)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if !e.RetryAt.IsZero() {
		s += "; it is asked again at " + e.RetryAt.UTC().Format(time.RFC3339)
	}
	return s
}

func (e *Error) sentence() string {
	switch e.Kind {
	case OverQuota:
		return "the quota is used up"
	case Auth:
		return "the key was refused"
	case NotFound:
		return "there is no such path; check url and plan"
	case Invalid:
		return "the question was refused"
	case Junk:
		return "the answer cannot be read"
	case TooLarge:
		return "the answer is too large"
	case Timeout:
		return "no answer in time"
	}
	return "the provider failed"
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// maxMessage bounds what is repeated of a vendor's words, bytes.
const maxMessage = 200

// A said error is what the vendor said.
type said string

func (s said) Error() string { return string(s) }

// clean makes a vendor's message fit for a log: one short line without keys.
func (p *Provider) clean(message string) error {
	message = strings.Join(strings.FieldsFunc(p.redact(message), func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
	if message == "" {
		return nil
	}
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + "…"
	}
	return said(strings.ToValidUTF8(message, "�"))
}

// redact takes the key out of a text, however it was spelled.
func (p *Provider) redact(s string) string {
	if p.cfg.Key == "" {
		return s
	}
	for _, k := range []string{
		p.cfg.Key, url.QueryEscape(p.cfg.Key), url.PathEscape(p.cfg.Key),
		base64.StdEncoding.EncodeToString([]byte(p.cfg.Account + ":" + p.cfg.Key)), base64.StdEncoding.EncodeToString([]byte(p.cfg.Key + ":")),
	} {
		s = strings.ReplaceAll(s, k, "[key]")
	}
	return s
}

// failed makes an Error of what the transport says. Its own texts name the whole
// URL, so only the cause is kept.
func (p *Provider) failed(ctx context.Context, status int, err error) *Error {
	var large *tooLarge
	if errors.As(err, &large) {
		return &Error{Provider: p.cfg.Name, Kind: TooLarge, Status: status, Err: large}
	}
	if cause := ctx.Err(); cause != nil {
		return &Error{Provider: p.cfg.Name, Kind: Timeout, Status: status, Err: cause}
	}
	var timeout net.Error
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return &Error{Provider: p.cfg.Name, Kind: Timeout, Status: status, Err: context.DeadlineExceeded}
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return &Error{Provider: p.cfg.Name, Kind: Server, Status: status, Err: p.clean(err.Error())}
}
