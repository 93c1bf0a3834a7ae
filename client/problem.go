package client

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A Problem is an answer that says what was wrong (RFC 9457).
type Problem struct {
	Type       string        `json:"type"` // a URI; Slug is its last part
	Title      string        `json:"title"`
	Status     int           `json:"status"`
	Detail     string        `json:"detail"`
	Example    string        `json:"example"` // a request that works
	RetryAfter time.Duration `json:"-"`       // 0: the server did not say
	Server     string        `json:"-"`       // the client's name for it
}

// Error says what was wrong in one line.
func (p *Problem) Error() string {
	s := fmt.Sprintf("%s: %s (HTTP %d)", p.Server, strings.TrimSuffix(p.Title, "."), p.Status)
	if p.Detail != "" {
		s += ": " + p.Detail
	}
	return s
}

// Slug is the last part of the type: "bad-address", "not-trusted", …
func (p *Problem) Slug() string { return p.Type[strings.LastIndexByte(p.Type, '/')+1:] }

const maxProblem = 16 << 10

// problemOf reads what the server, or something in front of it, says.
func problemOf(name string, res *http.Response) *Problem {
	p := &Problem{}
	text, _ := io.ReadAll(io.LimitReader(res.Body, maxProblem)) // the status says enough
	if json.Unmarshal(text, p) != nil || p.Title == "" {
		*p = Problem{Title: "the server answered " + strconv.Itoa(res.StatusCode) + " and not as ipwarden does"}
	}
	p.Status, p.Server = res.StatusCode, name
	if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && s >= 0 {
		p.RetryAfter = time.Duration(min(s, 1<<20)) * time.Second
	}
	return p
}
