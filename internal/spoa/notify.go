package spoa

import (
	"errors"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/door"
)

// The messages that the agent knows; it acknowledges others without a word.
const (
	messageRequest = "ipwarden"
	messageOutcome = "ipwarden-outcome"
)

var errNumber = errors.New("a message whose number of arguments is missing")

// An exchange is one NOTIFY frame and what is answered. It is used again and
// again; its strings are parts of the frame.
type exchange struct {
	request ipwarden.Request
	lines   ipwarden.Lines
	answer  door.Answer

	asked    bool   // the frame has a message "ipwarden"
	strip    bool   // the request has field lines that must not go on
	reported bool   // the frame has a message "ipwarden-outcome"
	decision string // of the outcome
	status   int    // of the outcome
}

// parse reads a LIST-OF-MESSAGES (section 3.2). The error is a *breach.
func (x *exchange) parse(b []byte) error {
	x.reset()
	for len(b) > 0 {
		name, rest, err := bytesOf(b)
		if err != nil {
			return invalid(err)
		}
		if len(rest) == 0 {
			return invalid(errNumber)
		}
		n := int(rest[0])
		switch string(name) {
		case messageRequest:
			b, err = x.parseRequest(rest[1:], n)
			x.asked = true
		case messageOutcome:
			b, err = x.parseOutcome(rest[1:], n)
			x.reported = true
		default:
			b, err = skip(rest[1:], n)
		}
		if err != nil {
			return invalid(err)
		}
	}
	return nil
}

func (x *exchange) reset() {
	x.lines.Reset()
	x.answer.Reset()
	x.request = ipwarden.Request{Header: &x.lines}
	x.asked, x.strip, x.reported, x.decision, x.status = false, false, false, "", 0
}

// argument reads one name and value, which it puts into d.
func argument(b []byte, d *datum) (name, rest []byte, err error) {
	if name, b, err = bytesOf(b); err != nil {
		return nil, nil, err
	}
	rest, err = d.parse(b)
	return name, rest, err
}

func (x *exchange) parseRequest(b []byte, n int) (rest []byte, err error) {
	r := &x.request
	r.Scheme = "http"
	var d datum
	for range n {
		var name []byte
		if name, b, err = argument(b, &d); err != nil {
			return nil, err
		}
		switch string(name) {
		case "src":
			r.Peer = d.addr()
		case "method":
			r.Method = d.text()
		case "path":
			r.Path = d.text()
		case "query":
			r.Query = d.text()
		case "headers":
			if err := x.parseHeaders(d.raw); err != nil {
				return nil, err
			}
		case "ssl":
			if d.true() {
				r.Scheme = "https"
			}
		}
	}
	if host := x.lines.Values("Host"); len(host) > 0 {
		r.Host = door.Host(host[0])
	}
	return b, nil
}

// parseHeaders reads req.hdrs_bin (configuration manual, section 7.3.6): names
// and values, each with its length, until a pair of empty ones.
func (x *exchange) parseHeaders(b []byte) (err error) {
	x.lines.Reset()
	for len(b) > 0 {
		var name, value []byte
		if name, b, err = bytesOf(b); err != nil {
			return err
		}
		if value, b, err = bytesOf(b); err != nil {
			return err
		}
		if len(name) == 0 {
			return nil
		}
		x.lines.Add(alias(name), alias(value))
	}
	return nil
}

func (x *exchange) parseOutcome(b []byte, n int) (rest []byte, err error) {
	var d datum
	for range n {
		var name []byte
		if name, b, err = argument(b, &d); err != nil {
			return nil, err
		}
		switch string(name) {
		case "decision":
			x.decision = d.text()
		case "status":
			if v, ok := d.number(); ok && v >= 100 && v <= 999 {
				x.status = int(v)
			}
		}
	}
	return b, nil
}

// skip reads past n arguments.
func skip(b []byte, n int) (rest []byte, err error) {
	var d datum
	for range n {
		if _, b, err = argument(b, &d); err != nil {
			return nil, err
		}
	}
	return b, nil
}
