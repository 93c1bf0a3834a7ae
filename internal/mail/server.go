package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// A Server is the SMTP server that takes the mail. The zero Server is none.
type Server struct {
	Host string
	Port int
	// TLS says how the connection is kept from others.
	TLS TLS
	// User and Password sign in, when there is a user.
	User, Password string
	// Config is for the certificates of tests. Default: the system's.
	Config *tls.Config
}

// TLS is how a connection is kept from others.
type TLS uint8

const (
	StartTLS TLS = iota // begins in clear, and goes on only when the server offers TLS
	FromStart
	Clear // nothing is kept from anybody on the way
)

// ParseServer reads a URL: smtp://host:587 is STARTTLS, which the server must offer,
// smtps://host:465 TLS from the start, and smtp://host:25?tls=off is in clear. A user is
// in front of the host; a password may be, and is better in a file.
func ParseServer(text string) (s Server, err error) {
	const examples = "such as smtp://user@mail.example.com:587 or smtps://mail.example.com"
	u, err := url.Parse(text)
	if err != nil {
		return s, fmt.Errorf("the SMTP server is no URL, %s", examples) // the error of url has the password
	}
	switch u.Scheme {
	case "smtp":
		s.Port = 587
	case "smtps":
		s.Port, s.TLS = 465, FromStart
	default:
		return s, fmt.Errorf("the SMTP server is a URL with smtp:// or smtps://, %s", examples)
	}
	s.Host = u.Hostname()
	if s.Host == "" || u.Path != "" && u.Path != "/" || u.Fragment != "" {
		return s, fmt.Errorf("%q is no SMTP server; one is a host and a port, %s", u.Redacted(), examples)
	}
	if p := u.Port(); p != "" {
		if s.Port, err = strconv.Atoi(p); err != nil || s.Port < 1 || s.Port > 65535 {
			return s, fmt.Errorf("%q: %s is no port", u.Redacted(), p)
		}
	}
	for name, values := range u.Query() {
		switch {
		case name == "tls" && s.TLS == StartTLS && values[len(values)-1] == "off":
			s.TLS = Clear
		case name == "tls" && s.TLS == StartTLS && values[len(values)-1] == "starttls":
		default:
			return s, fmt.Errorf("%q: there is ?tls=off, of smtp://, and nothing else", u.Redacted())
		}
	}
	s.User = u.User.Username()
	s.Password, _ = u.User.Password()
	if s.User != "" && s.TLS == Clear && !s.local() {
		return s, fmt.Errorf("%q would send a password in clear; leave ?tls=off out", u.Redacted())
	}
	return s, nil
}

// local reports whether the server is on this machine.
func (s *Server) local() bool {
	a, err := netip.ParseAddr(s.Host)
	return s.Host == "localhost" || err == nil && a.IsLoopback()
}

// String is the server without what opens it.
func (s Server) String() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// patience bounds each step of a conversation.
const patience = 30 * time.Second

// client returns what speaks to the server.
func (s *Server) client() (*gomail.Client, error) {
	options := []gomail.Option{gomail.WithPort(s.Port), gomail.WithTimeout(patience)}
	if s.Config != nil {
		options = append(options, gomail.WithTLSConfig(s.Config))
	}
	switch s.TLS {
	case StartTLS:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	case FromStart:
		options = append(options, gomail.WithSSL())
	case Clear:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	}
	if s.User != "" {
		auth := gomail.SMTPAuthAutoDiscover
		if s.TLS == Clear {
			auth = gomail.SMTPAuthPlainNoEnc // this machine: see ParseServer
		}
		options = append(options, gomail.WithSMTPAuth(auth), gomail.WithUsername(s.User), gomail.WithPassword(s.Password))
	}
	return gomail.NewClient(s.Host, options...)
}

// compose makes the message of a mail. The Message-ID is the mail's: who gets it twice
// can tell.
func compose(m *Mail, from Sender) (*gomail.Msg, error) {
	msg := gomail.NewMsg()
	if err := errors.Join(msg.FromFormat(from.Name, from.Address), msg.To(m.To)); err != nil {
		return nil, err
	}
	msg.Subject(m.Subject)
	msg.SetDateWithValue(m.Created)
	msg.SetMessageIDWithValue(m.ID + "@" + from.domain())
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: nobody's holiday answers it
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	return msg, nil
}

// connection is a conversation with the server.
type connection struct{ client *gomail.Client }

func (s *Server) dial(ctx context.Context) (*connection, error) {
	c, err := s.client()
	if err != nil {
		return nil, err
	}
	if err := c.DialWithContext(ctx); err != nil {
		return nil, err
	}
	return &connection{c}, nil
}

func (c *connection) close() { _ = c.client.Close() } // everything was accepted by then

// send hands one mail over. final says that the server will never take it.
func (c *connection) send(m *Mail, from Sender) (final bool, err error) {
	msg, err := compose(m, from)
	if err != nil {
		return true, err
	}
	err = c.client.Send(msg)
	var refused *gomail.SendError
	if errors.As(err, &refused) {
		return !refused.IsTemp() && refused.ErrorCode() >= 500, err
	}
	return false, err
}
