package worker

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/enrich"
)

// keptOfLong is how much is kept of an event that is larger than it may be.
const keptOfLong = 1024

// A Letter is a dead letter: an event that has no answer, why, and where it was.
type Letter struct {
	ID       string    `json:"id"`
	Reason   string    `json:"reason"`
	Position string    `json:"position"`
	Origin   string    `json:"origin,omitempty"`
	Key      string    `json:"key,omitempty"`
	Time     time.Time `json:"time,omitzero"`
	Bytes    int       `json:"bytes"` // of the event
	// Value is the event; or Base64, when it is no UTF-8. Cut says that it is only the
	// beginning of it.
	Value  string `json:"value,omitempty"`
	Base64 []byte `json:"value_base64,omitempty"`
	Cut    bool   `json:"cut,omitempty"`
	// Output is the one that refused, and Detail what it said.
	Output string `json:"output,omitempty"`
	Detail string `json:"detail,omitempty"`
}

// letter is the dead letter of a message.
func letter(m *Message, reason enrich.Reason) Event {
	v, cut := m.Value, false
	if reason == enrich.TooLong {
		v, cut = beginning(v)
	}
	dst := ipwarden.AppendString([]byte(`{"id":`), m.ID)
	dst = ipwarden.AppendString(append(dst, `,"reason":`...), string(reason))
	dst = ipwarden.AppendString(append(dst, `,"position":`...), m.Position)
	if m.Origin != "" {
		dst = ipwarden.AppendString(append(dst, `,"origin":`...), m.Origin)
	}
	if m.Key != "" {
		dst = ipwarden.AppendString(append(dst, `,"key":`...), m.Key)
	}
	if !m.Time.IsZero() {
		dst = append(m.Time.UTC().AppendFormat(append(dst, `,"time":"`...), time.RFC3339Nano), '"')
	}
	dst = strconv.AppendInt(append(dst, `,"bytes":`...), int64(len(m.Value)), 10)
	dst = appendValue(dst, v)
	if cut {
		dst = append(dst, `,"cut":true`...)
	}
	return Event{ID: letterID(m.Position), Key: m.Key, Value: append(dst, '}'), Time: m.Time}
}

// beginning is what is kept of an event that is too large, and whether that is less.
func beginning(v []byte) ([]byte, bool) {
	if len(v) <= keptOfLong {
		return v, false
	}
	v = v[:keptOfLong]
	for n := 0; n < utf8.UTFMax && len(v) > 0 && !utf8.Valid(v); n++ {
		v = v[:len(v)-1] // it was cut in a character
	}
	return v, true
}

// shortened is a letter with the beginning of its event; ok is false when it is no
// shorter.
func shortened(letter []byte) (_ []byte, ok bool) {
	l, err := ReadLetter(letter)
	if err != nil {
		return nil, false
	}
	value, cut1 := beginning([]byte(l.Value))
	raw, cut2 := beginning(l.Base64)
	if !cut1 && !cut2 {
		return nil, false
	}
	l.Value, l.Base64, l.Cut = string(value), raw, true
	letter, err = json.Marshal(l)
	return letter, err == nil
}

// letterID is the id of a dead letter itself, by which its destination knows it again:
// that of the place, because an event which was put back and is wrong still has its id
// and is another letter; and never that of an event.
func letterID(of string) string { return "dead:" + of }

func appendValue(dst, v []byte) []byte {
	if utf8.Valid(v) {
		return ipwarden.AppendString(append(dst, `,"value":`...), string(v))
	}
	return append(base64.StdEncoding.AppendEncode(append(dst, `,"value_base64":"`...), v), '"')
}

// refusedLetter is the dead letter of an event that an output refuses: of what came
// out, because that is what was refused.
func refusedLetter(e *Event, output, why string) Event {
	dst := ipwarden.AppendString([]byte(`{"id":`), e.ID)
	dst = append(dst, `,"reason":"`+Refused+`","position":""`...)
	if e.Key != "" {
		dst = ipwarden.AppendString(append(dst, `,"key":`...), e.Key)
	}
	dst = ipwarden.AppendString(append(dst, `,"output":`...), output)
	dst = ipwarden.AppendString(append(dst, `,"detail":`...), clip(why))
	dst = strconv.AppendInt(append(dst, `,"bytes":`...), int64(len(e.Value)), 10)
	// Of several outputs each may refuse it.
	return Event{ID: letterID(output + "/" + e.ID), Key: e.Key, Value: append(appendValue(dst, e.Value), '}'), Time: e.Time}
}

func clip(s string) string {
	const most = 300
	if len(s) > most {
		s = s[:most]
	}
	return s
}

// ReadLetter reads a dead letter.
func ReadLetter(b []byte) (*Letter, error) {
	var l Letter
	if err := json.Unmarshal(b, &l); err != nil {
		return nil, fmt.Errorf("this is no dead letter: %w", err)
	}
	if l.ID == "" || l.Reason == "" {
		return nil, fmt.Errorf("this is no dead letter: it has no id, or no reason")
	}
	return &l, nil
}

// Event is what the letter is about, as it was; an error says why it is not to be had.
func (l *Letter) Event() (Event, error) {
	switch {
	case l.Cut:
		return Event{}, fmt.Errorf("%s: only its beginning was kept, because it was larger than an event may be", l.ID)
	case l.Reason == Refused:
		return Event{}, fmt.Errorf("%s: it was enriched already, and output %q refused it: %s", l.ID, l.Output, l.Detail)
	}
	e := Event{ID: l.ID, Key: l.Key, Origin: l.Origin, Time: l.Time, Value: []byte(l.Value)}
	if l.Base64 != nil {
		e.Value = l.Base64
	}
	return e, nil
}
