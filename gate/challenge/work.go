package challenge

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"html"
	"math/bits"
	"net/url"
	"strconv"
	"time"
)

// ProofOfWork makes the browser look for a number: the SHA-256 of the ticket, a
// dot and the number must begin with so many zero bits. It costs a person a
// second and a flood its machines. It tells nobody from a machine.
type ProofOfWork struct {
	// Bits is how many zero bits a score of 0 wants, 8 to 24: each doubles the
	// work. Default 15, some 33,000 hashes.
	Bits int
	// PerBit is for how many points of the score a bit more is wanted. Default 40;
	// negative: never.
	PerBit int
	// Raise is how many bits more everybody has to find, as of now; at most 24 in all.
	// It must not block. Default: none.
	Raise func() int
}

var _ Kind = ProofOfWork{}

//go:embed work.js
var workScript string

// Name is "proof_of_work".
func (ProofOfWork) Name() string { return "proof_of_work" }

// For returns how many bits a score wants.
func (p ProofOfWork) For(score uint8) int {
	n, per := p.Bits, p.PerBit
	if n == 0 {
		n = 15
	}
	if per == 0 {
		per = 40
	}
	if per > 0 {
		n += int(score) / per
	}
	if p.Raise != nil {
		n += p.Raise()
	}
	return min(max(n, 8), 24)
}

// Widget has a bar and a script, which also works where the browser gives no
// WebCrypto, over plain HTTP.
func (p ProofOfWork) Widget(t *Ticket, w *Texts) Widget {
	return Widget{
		HTML: `<input type="hidden" name="n"><div id="work" data-bits="` + strconv.Itoa(p.For(t.Score)) + `" data-done="` + html.EscapeString(w.Done) +
			`" data-cookies="` + html.EscapeString(w.Cookies) + `"><progress aria-labelledby="state"></progress><p id="state" role="status">` +
			html.EscapeString(w.Working) + `</p></div>`,
		Script: workScript, Automatic: true,
	}
}

// Verify hashes once.
func (p ProofOfWork) Verify(_ context.Context, t *Ticket, form url.Values, _ time.Time) Result {
	n := form.Get("n")
	if n == "" || len(n) > 20 {
		return Unsolved
	}
	for i := range len(n) {
		if n[i] < '0' || n[i] > '9' {
			return Unsolved
		}
	}
	if zeroBits(sha256.Sum256([]byte(t.Text+"."+n))) < p.For(t.Score) {
		return Unsolved
	}
	return Solved
}

// zeroBits counts the zero bits that a hash begins with.
func zeroBits(sum [sha256.Size]byte) (n int) {
	for _, b := range sum {
		if b != 0 {
			return n + bits.LeadingZeros8(b)
		}
		n += 8
	}
	return n
}
