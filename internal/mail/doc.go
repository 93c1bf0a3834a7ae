// Package mail writes letters and sends them. A [Letter] says one thing, as text and
// as HTML. An [Outbox] is where letters are until they are delivered: a file each, so
// that none is lost when the process dies; without an SMTP server they stay there, for
// the operator to read.
//
// The call most people want:
//
//	box, err := mail.Open(mail.Config{Dir: filepath.Join(dir, "outbox"), Server: server, From: from})
//	…
//	err = box.Send(ctx, "ada@example.com", mail.Letter{Kind: "reset", Subject: …})
//
// Send returns when the letter is on the disk. [Outbox.Run] delivers: at least once, a
// few times over two days, and never to somebody else than it was written to.
package mail
