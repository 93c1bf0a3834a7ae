package challenge

import (
	"context"
	"net/url"
	"time"
)

// A Kind is one way for a client to prove itself. Implementations must be safe
// for concurrent use.
type Kind interface {
	// Name is a word that forms and counters carry: "proof_of_work".
	Name() string
	// Widget is what the page shows for a ticket. It is put into a form that
	// brings back the ticket; what else the form has is the kind's.
	Widget(t *Ticket, w *Texts) Widget
	// Verify checks what the form brought. It must return when ctx ends. Whether
	// the ticket was spent before is not its business.
	Verify(ctx context.Context, t *Ticket, form url.Values, now time.Time) Result
}

// A Widget is a kind's part of the page. HTML and Script are the kind's own text,
// never a client's: they are written as they are.
type Widget struct {
	HTML   string // inside of the form
	Script string // runs after the page is there; "" for none
	// Sources are other sites, such as "https://challenges.cloudflare.com", whose
	// scripts and frames the page may load, and Load the scripts it does.
	Sources, Load []string
	// Automatic: the script sends the form by itself.
	Automatic bool
}

// A Result is what became of an attempt.
type Result uint8

const (
	Unsolved    Result = iota // wrong, missing, or too early
	Solved                    // it may have its clearance
	Unavailable               // nobody can tell: who checks it is away
	Busy                      // too much at once; not a reason to let anybody in
)

var resultNames = [...]string{"unsolved", "solved", "unavailable", "busy"}

// String returns the word: "unsolved", "solved", "unavailable", "busy".
func (r Result) String() string {
	if int(r) < len(resultNames) {
		return resultNames[r]
	}
	return ""
}
