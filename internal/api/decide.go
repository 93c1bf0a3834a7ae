package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/policy"
)

const (
	exampleDecide  = `POST /v1/decide with {"ip":"8.8.8.8","method":"GET","host":"example.org","path":"/login"}`
	exampleOutcome = `POST /v1/outcome with {"decision":"01ARYZ6S41TSV4RRFFQ69G5FAV","event":"login_failed"}`
	// maxQuestion bounds the body of a question to the gate, bytes.
	maxQuestion = 64 << 10
)

// question is the body of POST /v1/decide: a request as an application saw it.
type question struct {
	IP      string                 `json:"ip"`
	Method  string                 `json:"method"`
	Scheme  string                 `json:"scheme"`
	Host    string                 `json:"host"`
	Path    string                 `json:"path"` // with or without a query
	Headers map[string]fieldValues `json:"headers"`
	Account map[string]string      `json:"account"`
	DryRun  bool                   `json:"dry_run"` // nothing is charged
	Lease   string                 `json:"lease"`   // name of the question: it may be repeated, and its answer used again
}

// fieldValues are the lines of one header: a string, or an array of them.
type fieldValues []string

// UnmarshalJSON reads either.
func (v *fieldValues) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*v = fieldValues{""}
		return json.Unmarshal(b, &(*v)[0])
	}
	return json.Unmarshal(b, (*[]string)(v))
}

// decide answers POST /v1/decide.
func (x *exchange) decide(routes *gateRoutes) *problem {
	g := routes.Gate
	x.route = routeDecide
	var q question
	if p := x.readQuestion(&q, exampleDecide); p != nil {
		return p
	}
	addr, err := ipwarden.ParseAddr(q.IP)
	if err != nil {
		p := badAddress(q.IP, err)
		p.example = exampleDecide
		return p
	}
	if q.Path == "" {
		q.Path = "/"
	}
	a := x.gateMemory()
	a.request = ipwarden.Request{
		Peer: addr, Header: headerOf(q.Headers), Method: strings.ToUpper(q.Method), Scheme: q.Scheme, Host: hostOf(q.Host), Account: q.Account,
	}
	if a.request.Method == "" {
		a.request.Method = http.MethodGet
	}
	a.request.Path, a.request.Query, _ = strings.Cut(q.Path, "?")
	if q.Lease != "" && !q.DryRun {
		return x.decideLeased(routes, &q, a)
	}
	if p := x.admitOne(); p != nil {
		return p
	}
	if q.DryRun {
		g.Peek(x.ctx, &a.request, &a.decision)
	} else {
		g.Decide(x.ctx, &a.request, &a.decision)
		g.Elaborate(&a.decision)
	}
	x.out = append(a.decision.AppendJSON(x.out[:0]), '\n')
	x.answerGate(http.StatusOK)
	return nil
}

// admitOne charges the account that asks for one decision, which admit did not know of.
func (x *exchange) admitOne() *problem {
	if x.keyed == nil || !x.keyed.asked {
		return nil
	}
	x.answered(1)
	return x.admitMore(1)
}

// headerOf is the header of a question. Names are folded into the canonical form.
func headerOf(h map[string]fieldValues) http.Header {
	out := make(http.Header, len(h))
	for name, v := range h {
		name = textproto.CanonicalMIMEHeaderKey(name)
		out[name] = append(out[name], v...)
	}
	return out
}

// hostOf is a Host field without its port and the dot of the root, in lower case.
// What stands behind a colon is the port, whatever it is, as proxies and applications
// have it: no client makes its host another one by it.
func hostOf(field string) string {
	host := field
	if strings.HasPrefix(field, "[") {
		if i := strings.IndexByte(field, ']'); i >= 0 {
			host = field[:i+1]
		}
	} else if i := strings.IndexByte(field, ':'); i >= 0 {
		host = field[:i]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// answerGate ends an answer that belongs to nobody but who asked.
func (x *exchange) answerGate(status int) {
	x.status, x.done = status, true
	x.line("Cache-Control", "no-store")
	x.line("Content-Type", mediaTypes[formatJSON])
}

// readQuestion reads the body of a POST as one JSON object without unknown or
// repeated members.
func (x *exchange) readQuestion(to any, example string) *problem {
	if x.method != http.MethodPost {
		return wrongMethod(x.method, "POST", example)
	}
	body, err := x.body.readAll(maxQuestion)
	if errors.Is(err, errTooLarge) {
		return &problem{
			status: http.StatusRequestEntityTooLarge, slug: "too-large", title: "Too much at once",
			detail: "A question to the gate may have " + strconv.Itoa(maxQuestion>>10) + " KiB; leave out headers that the policy does not read.", example: example,
		}
	}
	if err != nil {
		x.closing = true
		return malformed()
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	err = dec.Decode(to)
	if err == nil {
		if _, more := dec.Token(); more != io.EOF {
			err = errors.New("there is more behind the object")
		}
	}
	if err == nil {
		if name := repeatedMember(body); name != "" {
			err = errors.New(quoted(name) + " is there twice")
		}
	}
	if err != nil {
		return &problem{
			status: http.StatusBadRequest, slug: "bad-body", title: "The body cannot be read",
			detail: "The body is not the JSON object that is expected: " + unreadable(err) + ".", example: example,
		}
	}
	return nil
}

// unreadable says what is wrong with a body in the words of JSON, not of Go.
func unreadable(err error) string {
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it ends too early"
	case errors.As(err, &wrong) && wrong.Field != "":
		return quoted(wrong.Field) + " cannot be of type " + wrong.Value
	case errors.As(err, &wrong):
		return "it is of type " + wrong.Value
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}

// report is the body of POST /v1/outcome.
type report struct {
	Decision string `json:"decision"`
	Event    string `json:"event"`
	Status   int    `json:"status"`
}

// outcome answers POST /v1/outcome.
func (x *exchange) outcome(g *gate.Gate) *problem {
	x.route = routeOutcome
	var r report
	if p := x.readQuestion(&r, exampleOutcome); p != nil {
		return p
	}
	id, ok := gate.ParseID(r.Decision)
	switch {
	case !ok:
		return badDecision(r.Decision)
	case r.Event == "" && r.Status == 0, len(r.Event) > 64, r.Status < 0 || r.Status > 999:
		return &problem{
			status: http.StatusBadRequest, slug: "bad-outcome", title: "What became of it?",
			detail: "An outcome has an event of at most 64 characters, such as login_failed, or the status of the answer, such as 401.", example: exampleOutcome,
		}
	}
	counted, err := g.Outcome(x.ctx, id, policy.Outcome{Event: r.Event, Status: r.Status})
	if errors.Is(err, gate.ErrUnknownDecision) {
		return noOutcome(r.Decision, g.Shares())
	}
	if errors.Is(err, gate.ErrAttemptsAway) {
		return attemptsAway(r.Decision)
	}
	if err != nil {
		x.api.cfg.Log.Error("an outcome could not be counted", "error", err)
		return internalError()
	}
	x.out = strconv.AppendBool(append(x.out[:0], `{"counted":`...), counted)
	x.out = append(x.out, '}', '\n')
	x.answerGate(http.StatusOK)
	return nil
}

// decision answers GET /v1/decisions/{id}.
func (x *exchange) decision(g *gate.Gate, text string) *problem {
	x.route = routeDecision
	if p := x.reading(exampleDecision); p != nil || x.status != 0 {
		return p
	}
	id, ok := gate.ParseID(text)
	if !ok {
		return badDecision(text)
	}
	s, err := g.Recall(id)
	if err != nil {
		return unknownDecision(text)
	}
	x.out = append(s.AppendJSON(x.out[:0]), '\n')
	x.answerGate(http.StatusOK)
	return nil
}

const exampleDecision = "GET /v1/decisions/01ARYZ6S41TSV4RRFFQ69G5FAV"

func badDecision(text string) *problem {
	return &problem{
		status: http.StatusBadRequest, slug: "bad-decision", title: "Not a decision's ID",
		detail: quoted(text) + " is not the ID of a decision: 26 digits and letters, as X-Ipwarden-Decision has it.", example: exampleDecision,
	}
}

// noOutcome is for a decision that waits for no outcome here.
func noOutcome(text string, shares bool) *problem {
	p := unknownDecision(text)
	p.example = exampleOutcome
	if shares {
		p.detail = "Neither this server nor one that shares a store with it remembers the decision " + quoted(text) +
			": none made it, or it is longer ago than outcomes are awaited (--outcome-window)."
	} else {
		p.detail = "This server does not remember the decision " + quoted(text) + ". Nodes without a shared store (--redis) " +
			"take the outcomes of their own decisions alone: tell the one that decided. It may also be too many decisions ago."
	}
	return p
}

func attemptsAway(text string) *problem {
	return &problem{
		status: http.StatusServiceUnavailable, slug: "store-away", title: "The shared store is away",
		detail: "Another node made the decision " + quoted(text) + ", and the store that nodes share does not answer. Tell it again in a moment, or to the node that decided.", example: exampleOutcome,
	}
}

func unknownDecision(text string) *problem {
	return &problem{
		status: http.StatusNotFound, slug: "unknown-decision", title: "No such decision",
		detail: "This server does not remember the decision " + quoted(text) + ": it made none with that ID, or many since, or another node made it.", example: exampleDecide,
	}
}
