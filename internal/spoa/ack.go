package spoa

import (
	"strings"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/door"
)

// The bytes of an action (section 3.4).
const (
	actionSetVar     = 1
	setVarArguments  = 3
	scopeTransaction = 2
)

// own is the prefix that variables for the application do without.
const own = "X-Ipwarden-"

// An ack is an ACK frame that is being written (section 3.2.7). What does not
// fit into the size agreed is left out, the body first, and counted.
type ack struct {
	b       []byte
	at      int
	limit   int // of len(b)
	dropped int
}

// appendAck appends the answer to the frame f, at most maxFrame bytes without
// its length.
func appendAck(b []byte, f *frame, x *exchange, maxFrame int) (_ []byte, dropped int) {
	b, at := beginFrame(b, frameAck, f.stream, f.id)
	w := ack{b: b, at: at, limit: at + lengthSize + maxFrame}
	if x.asked {
		if x.strip {
			w.number("strip", 1)
		}
		w.answer(&x.answer)
	}
	return endFrame(w.b, at), w.dropped
}

func (w *ack) answer(a *door.Answer) {
	verdict, passes := a.Verdict, a.Passes()
	if verdict == ipwarden.NoVerdict { // it must not look like an agent that is away
		verdict = ipwarden.Block
	}
	w.text("verdict", verdict.String())
	if !passes {
		w.number("status", uint64(a.Refusal()))
	}
	if a.Awaits {
		w.number("awaits", 1)
	}
	if a.RetryAfter > 0 {
		w.number("retry_after", uint64(a.RetryAfter))
	}
	if a.Location != "" && !passes {
		w.text("location", a.Location)
	}
	for i := range a.Upstream {
		w.field(&a.Upstream[i])
	}
	for i := range a.Reply {
		w.field(&a.Reply[i])
	}
	if len(a.Body) > 0 && !passes {
		from, dropped := len(w.b), w.dropped
		w.text("type", a.Type)
		w.text("body", alias(a.Body))
		if w.dropped > dropped { // neither says anything without the other
			w.b, w.dropped = w.b[:from], dropped+1
		}
	}
}

// field sets the variable of a field line: X-Ipwarden-Country is "country", and
// X-Forwarded-For "x_forwarded_for". The verdict is set already.
func (w *ack) field(f *door.Field) {
	name, _ := strings.CutPrefix(f.Name, own)
	if name == "Verdict" {
		return
	}
	from := len(w.b)
	w.begin(len(name))
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'A' && c <= 'Z':
			c |= 0x20
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
		default: // what a variable's name may not have
			c = '_'
		}
		w.b = append(w.b, c)
	}
	w.b = append(w.b, typeString)
	w.b = appendString(w.b, f.Value)
	w.end(from)
}

func (w *ack) text(name, value string) {
	from := len(w.b)
	w.begin(len(name))
	w.b = append(w.b, name...)
	w.b = append(w.b, typeString)
	w.b = appendString(w.b, value)
	w.end(from)
}

func (w *ack) number(name string, value uint64) {
	from := len(w.b)
	w.begin(len(name))
	w.b = append(w.b, name...)
	w.b = append(w.b, typeUint32)
	w.b = appendVarint(w.b, value)
	w.end(from)
}

func (w *ack) begin(name int) {
	w.b = append(w.b, actionSetVar, setVarArguments, scopeTransaction)
	w.b = appendVarint(w.b, uint64(name))
}

// end takes back what goes beyond the limit.
func (w *ack) end(from int) {
	if len(w.b) > w.limit {
		w.b = w.b[:from]
		w.dropped++
	}
}
