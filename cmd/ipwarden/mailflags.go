package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"

	"github.com/ipwarden/ipwarden/internal/mail"
)

// mailFlags say how letters are sent.
type mailFlags struct {
	SMTP             string `name:"smtp" env:"IPWARDEN_SMTP" placeholder:"URL" help:"The server that takes mail, such as smtp://user@mail.example.com:587 or smtps://mail.example.com; default none: mail stays in the outbox of the data directory, for 'ipwarden mail list'."`
	SMTPPasswordFile string `name:"smtp-password-file" env:"IPWARDEN_SMTP_PASSWORD_FILE" placeholder:"FILE" help:"The password for that; or in $IPWARDEN_SMTP_PASSWORD."`
	MailFrom         string `env:"IPWARDEN_MAIL_FROM" placeholder:"ADDRESS" help:"Who writes, such as 'Example <no-reply@example.com>'; default no-reply at the host of --public-url."`
}

// open opens the outbox of a data directory. public is where people reach the server,
// as the operator says it; "" is not known. site is what it is called.
func (f *mailFlags) open(dir, public, site string, e *env, log *slog.Logger) (*mail.Outbox, error) {
	c := mail.Config{Dir: filepath.Join(dir, "outbox"), Log: log, Now: e.now}
	var errs []error
	if f.SMTP != "" {
		var err error
		if c.Server, err = mail.ParseServer(f.SMTP); err != nil {
			errs = append(errs, fmt.Errorf("--smtp: %w", err))
		}
		if public == "" {
			errs = append(errs, errors.New("--smtp needs --public-url, such as https://ip.example: links in letters lead there"))
		}
		password, err := secret(f.SMTPPasswordFile, "IPWARDEN_SMTP_PASSWORD", e)
		if err != nil {
			errs = append(errs, fmt.Errorf("--smtp-password-file: %w", err))
		}
		if password != "" {
			c.Server.Password = password
		}
		if c.Server.Password != "" && c.Server.User == "" {
			errs = append(errs, errors.New("--smtp has no user, and there is a password; one is smtp://user@mail.example.com:587"))
		}
	} else if f.SMTPPasswordFile != "" {
		errs = append(errs, errors.New("--smtp-password-file is for a server: say --smtp smtp://user@mail.example.com:587"))
	}
	host := "localhost"
	if u, err := url.Parse(public); err == nil && u.Hostname() != "" {
		host = u.Hostname()
	}
	c.From = mail.Sender{Name: site, Address: "no-reply@" + host}
	if f.MailFrom != "" {
		var err error
		if c.From, err = mail.ParseSender(f.MailFrom); err != nil {
			errs = append(errs, fmt.Errorf("--mail-from: %w", err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, usageError{err}
	}
	return mail.Open(c)
}
