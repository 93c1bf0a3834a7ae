package mail_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	netmail "net/mail"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"github.com/ipwarden/ipwarden/internal/mail"
)

// sink is an SMTP server that keeps what it is told, and refuses when it is asked to.
type sink struct {
	mu     sync.Mutex
	mails  []string
	refuse error // what RCPT answers; nil takes
}

func (s *sink) NewSession(*gosmtp.Conn) (gosmtp.Session, error) { return session{s}, nil }

func (s *sink) answer(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = err
}

func (s *sink) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.mails...)
}

type session struct{ s *sink }

func (session) Mail(string, *gosmtp.MailOptions) error { return nil }
func (x session) Rcpt(string, *gosmtp.RcptOptions) error {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	return x.s.refuse
}

func (x session) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	x.s.mails = append(x.s.mails, string(b))
	return err
}
func (session) Reset()        {}
func (session) Logout() error { return nil }

// smtp starts a sink, and returns where it is.
func smtp(t *testing.T) (*sink, mail.Server) {
	t.Helper()
	s := &sink{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := gosmtp.NewServer(s)
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close(); <-done })
	to, err := mail.ParseServer("smtp://" + l.Addr().String() + "?tls=off")
	if err != nil {
		t.Fatal(err)
	}
	return s, to
}

var letter = mail.Letter{
	Kind: "confirm", Subject: "Confirm your address", Before: []string{"Somebody <b>you</b>, we hope."},
	Facts: []mail.Fact{{Name: "Address", Value: "192.0.2.1"}}, Link: mail.Link{Label: "Confirm", URL: "https://ip.example/confirm?token=abc&x=1"},
	After: []string{"It holds for a day."},
}

type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func box(t *testing.T, c mail.Config) (*mail.Outbox, *strings.Builder) {
	t.Helper()
	var log strings.Builder
	c.Log = slog.New(slog.NewTextHandler(&log, nil))
	if c.Dir == "" {
		c.Dir = filepath.Join(t.TempDir(), "outbox")
	}
	c.From = mail.Sender{Name: "Example", Address: "no-reply@example.com"}
	b, err := mail.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return b, &log
}

func waiting(t *testing.T, b *mail.Outbox) []*mail.Mail {
	t.Helper()
	all, err := b.List(0)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestDelivered(t *testing.T) {
	s, server := smtp(t)
	b, _ := box(t, mail.Config{Server: server})
	if err := b.Send(t.Context(), "ada@example.com", letter); err != nil {
		t.Fatal(err)
	}
	b.Deliver(t.Context())
	got := s.all()
	if len(got) != 1 || len(waiting(t, b)) != 0 {
		t.Fatalf("%d arrived and %d wait; want 1 and 0", len(got), len(waiting(t, b)))
	}
	m, err := netmail.ReadMessage(strings.NewReader(got[0]))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"From": `"Example" <no-reply@example.com>`, "To": "<ada@example.com>", "Subject": letter.Subject, "Auto-Submitted": "auto-generated",
	} {
		if m.Header.Get(name) != want {
			t.Errorf("%s: %q; want %q", name, m.Header.Get(name), want)
		}
	}
	for _, want := range []string{"multipart/alternative", "text/plain", "text/html", "&lt;b&gt;you&lt;/b&gt;", "Somebody <b>you</b>"} {
		if !strings.Contains(got[0], want) {
			t.Errorf("the message has no %s:\n%s", want, got[0])
		}
	}
}

func TestOutboxWithoutServer(t *testing.T) {
	b, log := box(t, mail.Config{})
	if err := b.Send(t.Context(), "ada@example.com", letter); err != nil {
		t.Fatal(err)
	}
	b.Deliver(t.Context())
	all := waiting(t, b)
	if len(all) != 1 || all[0].State() != "waiting" || !strings.Contains(all[0].Text, letter.Link.URL) {
		t.Fatalf("the outbox has %+v", all)
	}
	info, err := os.Stat(filepath.Join(b.Dir(), all[0].ID+".json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	if dir, err := os.Stat(b.Dir()); err != nil || dir.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %v, %v; want 0700", dir.Mode(), err)
	}
	if !strings.Contains(log.String(), all[0].ID) || strings.Contains(log.String(), "ada@") || strings.Contains(log.String(), "token") {
		t.Errorf("the log is to have the path, and nobody's address or link: %s", log)
	}
}

// A server that is away, or refuses for now, loses nothing: also not by a restart.
func TestRetried(t *testing.T) {
	s, server := smtp(t)
	dir := filepath.Join(t.TempDir(), "outbox")
	c := &clock{time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	b, _ := box(t, mail.Config{Dir: dir, Server: mail.Server{Host: "127.0.0.1", Port: 1, TLS: mail.Clear}, Now: c.now})
	if err := b.Send(t.Context(), "ada@example.com", letter); err != nil {
		t.Fatal(err)
	}
	if next := b.Deliver(t.Context()); !next.After(c.t) {
		t.Errorf("the server is away, and is asked again at once")
	}
	s.answer(&gosmtp.SMTPError{Code: 451, EnhancedCode: gosmtp.EnhancedCode{4, 3, 0}, Message: "try ada@example.com later"})
	b, log := box(t, mail.Config{Dir: dir, Server: server, Now: c.now}) // another process
	b.Deliver(t.Context())
	all := waiting(t, b)
	if len(all) != 1 || all[0].State() != "retrying" || all[0].Attempts != 1 || !all[0].Next.After(c.t) {
		t.Fatalf("after a refusal for now: %+v", all)
	}
	if strings.Contains(log.String(), "ada@") {
		t.Errorf("the log has an address: %s", log)
	}
	b.Deliver(t.Context())
	if m := waiting(t, b)[0]; m.Attempts != 1 {
		t.Errorf("tried %d times; it is not due", m.Attempts)
	}
	s.answer(nil)
	b, _ = box(t, mail.Config{Dir: dir, Server: server, Now: c.now})
	c.t = all[0].Next
	b.Deliver(t.Context())
	if len(s.all()) != 1 || len(waiting(t, b)) != 0 {
		t.Errorf("%d arrived and %d wait; want 1 and 0", len(s.all()), len(waiting(t, b)))
	}
}

func TestGivenUp(t *testing.T) {
	s, server := smtp(t)
	c := &clock{time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	b, _ := box(t, mail.Config{Server: server, Now: c.now})
	send := func() {
		t.Helper()
		if err := b.Send(t.Context(), "ada@example.com", letter); err != nil {
			t.Fatal(err)
		}
	}
	send()
	s.answer(&gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, 1, 1}, Message: "no such user"})
	b.Deliver(t.Context())
	if m := waiting(t, b)[0]; m.State() != "failed" || !strings.Contains(m.Problem, "no such user") {
		t.Errorf("after a refusal for good: %+v", m)
	}
	s.answer(nil)
	c.t = c.t.Add(time.Hour)
	b.Deliver(t.Context())
	if len(s.all()) != 0 {
		t.Error("what failed was sent after all")
	}
	old := letter
	old.Expires = c.t.Add(time.Minute)
	if err := b.Send(t.Context(), "ada@example.com", old); err != nil {
		t.Fatal(err)
	}
	c.t = old.Expires
	b.Deliver(t.Context())
	if len(s.all()) != 0 {
		t.Error("what is of no use any more was sent")
	}
	c.t = c.t.Add(mail.KeptFor + time.Hour)
	b.Deliver(t.Context())
	if all := waiting(t, b); len(all) != 0 {
		t.Errorf("%d are kept for ever", len(all))
	}
}

func TestBounded(t *testing.T) {
	b, _ := box(t, mail.Config{Most: 2})
	for range 2 {
		if err := b.Send(t.Context(), "ada@example.com", letter); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Send(t.Context(), "ada@example.com", letter); !errors.Is(err, mail.ErrFull) {
		t.Errorf("a third of 2: %v, want ErrFull", err)
	}
	if err := b.Remove(waiting(t, b)[0].ID); err != nil {
		t.Fatal(err)
	}
	if err := b.Send(t.Context(), "ada@example.com", letter); err != nil {
		t.Errorf("after one is gone: %v", err)
	}
}

// Nobody's text becomes a header, or somebody else's mail.
func TestNothingInjected(t *testing.T) {
	s, server := smtp(t)
	b, _ := box(t, mail.Config{Server: server})
	for _, to := range []string{"ada@example.com\r\nBcc: eve@example.com", "ada@example.com>, <eve@example.com", "", "ada"} {
		if err := b.Send(t.Context(), to, letter); err == nil {
			t.Errorf("a letter to %q was taken", to)
		}
	}
	l := letter
	l.Subject = "Hello\r\nBcc: eve@example.com"
	if err := b.Send(t.Context(), "ada@example.com", l); err != nil {
		t.Fatal(err)
	}
	b.Deliver(t.Context())
	m, err := netmail.ReadMessage(strings.NewReader(s.all()[0]))
	if err != nil || m.Header.Get("Bcc") != "" || m.Header.Get("Subject") != "Hello Bcc: eve@example.com" {
		t.Errorf("the header is %v, %v", m.Header, err)
	}
	for _, id := range []string{"../x", "", ".new-1", "a/b", strings.Repeat("a", 65)} {
		if _, err := b.Get(id); !errors.Is(err, mail.ErrNotFound) {
			t.Errorf("Get(%q): %v, want ErrNotFound", id, err)
		}
		if err := b.Remove(id); !errors.Is(err, mail.ErrNotFound) {
			t.Errorf("Remove(%q): %v, want ErrNotFound", id, err)
		}
	}
}

// Run takes up what is sent while it runs, and ends.
func TestRun(t *testing.T) {
	s, server := smtp(t)
	b, _ := box(t, mail.Config{Server: server})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	done := make(chan struct{})
	go func() { defer close(done); b.Run(ctx) }()
	for range 3 {
		if err := b.Send(ctx, "ada@example.com", letter); err != nil {
			t.Fatal(err)
		}
	}
	for len(s.all()) < 3 {
		select {
		case <-ctx.Done():
			t.Fatalf("%d of 3 arrived", len(s.all()))
		case <-time.After(5 * time.Millisecond):
		}
	}
	cancel()
	<-done
}

func TestParseServer(t *testing.T) {
	for text, want := range map[string]mail.Server{
		"smtp://mail.example.com":              {Host: "mail.example.com", Port: 587},
		"smtps://u@mail.example.com":           {Host: "mail.example.com", Port: 465, TLS: mail.FromStart, User: "u"},
		"smtp://u:p@mail.example.com:25":       {Host: "mail.example.com", Port: 25, User: "u", Password: "p"},
		"smtp://127.0.0.1:1025?tls=off":        {Host: "127.0.0.1", Port: 1025, TLS: mail.Clear},
		"smtp://u:p@localhost:1025?tls=off":    {Host: "localhost", Port: 1025, TLS: mail.Clear, User: "u", Password: "p"},
		"smtp://u:p%40@[::1]:1025/?tls=off":    {Host: "::1", Port: 1025, TLS: mail.Clear, User: "u", Password: "p@"},
		"smtp://mail.example.com?tls=starttls": {Host: "mail.example.com", Port: 587},
	} {
		if got, err := mail.ParseServer(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "mail.example.com", "http://x", "smtp://", "smtp://x:0", "smtp://x:99999", "smtps://x?tls=off", "smtp://x?a=b", "smtp://u:secret@x?tls=off", "smtp://u:secret@x:y", "smtp://x/y"} {
		if s, err := mail.ParseServer(text); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %+v, %v; want an error without a secret", text, s, err)
		}
	}
	if s, err := mail.ParseSender("ipwarden <no-reply@example.com>"); err != nil || s != (mail.Sender{Name: "ipwarden", Address: "no-reply@example.com"}) {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := mail.ParseSender("nobody"); err == nil {
		t.Error("nobody is a sender")
	}
}

// A letter with a name is there once, however often it is written.
func TestOnce(t *testing.T) {
	b, err := mail.Open(mail.Config{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := b.Send(t.Context(), "ada@example.com", mail.Letter{Kind: "usage", Subject: "90 %", Once: "a1b2"}); err != nil {
			t.Fatal(err)
		}
	}
	all, err := b.List(0)
	if err != nil || len(all) != 1 || all[0].ID != "once-a1b2" {
		t.Errorf("%d letters, %v", len(all), err)
	}
	if err := b.Send(t.Context(), "ada@example.com", mail.Letter{Kind: "usage", Once: "../x"}); err == nil {
		t.Error("a name that is a path is taken")
	}
}

// Letters are listed by their age, also those whose names do not have it.
func TestListedByAge(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	b, _ := box(t, mail.Config{Now: func() time.Time { now = now.Add(time.Second); return now }})
	for i, once := range []string{"ffff", "", "0000", "", "7777"} {
		if err := b.Send(t.Context(), "ada@example.com", mail.Letter{Kind: "usage", Subject: strconv.Itoa(i), Once: once}); err != nil {
			t.Fatal(err)
		}
	}
	got := ""
	for _, m := range waiting(t, b) {
		got += m.Subject
	}
	if got != "43210" {
		t.Errorf("listed are %s, want 43210", got)
	}
	if some, err := b.List(2); err != nil || len(some) != 2 || some[0].Subject != "4" {
		t.Errorf("two of them: %d, %v", len(some), err)
	}
	for i := range 150 { // more than are kept in memory for the few that are asked for
		if err := b.Send(t.Context(), "ada@example.com", mail.Letter{Kind: "usage", Subject: strconv.Itoa(i), Once: strconv.Itoa(i * 7919 % 150)}); err != nil {
			t.Fatal(err)
		}
	}
	if some, err := b.List(3); err != nil || len(some) != 3 || some[0].Subject != "149" || some[1].Subject != "148" || some[2].Subject != "147" {
		t.Errorf("three of many: %d, %v", len(some), err)
	}
}
