package client

import (
	"context"
	"encoding/json"
	"net/http"
)

// A Question is a request as an application saw it.
type Question struct {
	IP      string            `json:"ip"`               // of the client. Required
	Method  string            `json:"method,omitempty"` // default GET
	Scheme  string            `json:"scheme,omitempty"`
	Host    string            `json:"host,omitempty"`
	Path    string            `json:"path,omitempty"` // with or without a query
	Headers http.Header       `json:"headers,omitempty"`
	Account map[string]string `json:"account,omitempty"` // what the policy calls account.*
	DryRun  bool              `json:"dry_run,omitempty"` // nothing is charged
	// Lease names the question: asked again under the same name it is answered the same
	// and charges nothing, and the answer has a Lease. At most 128 visible characters.
	Lease string `json:"lease,omitempty"`
}

// A Decision is what to do about a request, and why.
type Decision struct {
	ID         string   `json:"decision"`
	Verdict    string   `json:"verdict"` // allow, flag, throttle, challenge, step_up or block
	Reason     string   `json:"reason"`
	By         string   `json:"by"` // the rule, limit or entry
	Tier       string   `json:"tier"`
	Passes     bool     `json:"passes"`      // whether the request goes on
	Status     int      `json:"status"`      // what to answer when it does not
	RetryAfter int      `json:"retry_after"` // seconds
	Location   string   `json:"location"`    // where to redirect, "" for nowhere
	Tags       []string `json:"tags"`
	Country    string   `json:"country"`
	ASN        uint32   `json:"asn"`
	Traits     []string `json:"traits"`
	Risk       struct {
		Score         int  `json:"score"`
		Shared        bool `json:"shared"` // the address is one of many people's
		Contributions []struct {
			Signal string `json:"signal"`
			Points int    `json:"points"`
			Feed   string `json:"feed"`
			Date   string `json:"date"`
			Note   string `json:"note"`
		} `json:"contributions"`
	} `json:"risk"`
	Limits []struct {
		Name      string `json:"name"`
		Limit     uint32 `json:"limit"`
		Remaining uint32 `json:"remaining"`
		Window    int    `json:"window"` // seconds
		Reset     int    `json:"reset"`  // seconds
		Allowed   bool   `json:"allowed"`
		Source    string `json:"source"`
	} `json:"limits"`
	AwaitsOutcome bool     `json:"awaits_outcome"` // a limit holds a place until the outcome is told
	Degraded      bool     `json:"degraded"`       // a store or source failed, and the route's fail mode decided
	Pending       bool     `json:"pending"`        // a provider has not answered yet
	Shadow        []string `json:"shadow"`         // rules that would have decided otherwise
	Lease         *Lease   `json:"lease"`          // nil unless the question has a name
}

// A Lease says for what else a Decision holds: requests from Network that agree in all
// of Reads.
type Lease struct {
	Seconds int      `json:"seconds"` // 0: for its request alone
	Stale   int      `json:"stale"`   // after them, while it is asked anew
	Network string   `json:"network"`
	Reads   []string `json:"reads"` // such as method, header:user-agent, path^/api/
}

// Decide asks what to do about a request. The server answers trusted peers, its
// Unix socket, and who has its service token ([Config.Key]).
func (c *Client) Decide(ctx context.Context, q Question) (*Decision, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	d := &Decision{}
	if err := c.call(ctx, "/v1/decide", body, maxAnswer, d); err != nil {
		return nil, err
	}
	return d, nil
}

// An Outcome is what became of a request: an event such as login_failed, the
// status of its answer, or both.
type Outcome struct {
	Decision string `json:"decision"` // the ID. Required
	Event    string `json:"event,omitempty"`
	Status   int    `json:"status,omitempty"`
}

// Outcome tells what became of a request. It is counted once for each decision;
// counted says whether this was the time.
func (c *Client) Outcome(ctx context.Context, o Outcome) (counted bool, err error) {
	body, err := json.Marshal(o)
	if err != nil {
		return false, err
	}
	var answer struct {
		Counted bool `json:"counted"`
	}
	err = c.call(ctx, "/v1/outcome", body, maxAnswer, &answer)
	return answer.Counted, err
}
