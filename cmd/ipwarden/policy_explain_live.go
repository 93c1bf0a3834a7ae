package main

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/policy"
	"github.com/ipwarden/ipwarden/policy/compile"
)

// liveDecision is what POST /v1/decide answers, as far as it is shown.
type liveDecision struct {
	Verdict    string `json:"verdict"`
	Reason     string `json:"reason"`
	By         string `json:"by"`
	RetryAfter int    `json:"retry_after"`
	Degraded   bool   `json:"degraded"`
	Limits     []struct {
		Name      string `json:"name"`
		Limit     uint32 `json:"limit"`
		Remaining uint32 `json:"remaining"`
		Reset     int    `json:"reset"`
		Allowed   bool   `json:"allowed"`
		Source    string `json:"source"`
	} `json:"limits"`
	Crawler *struct {
		Name  string `json:"name"`
		State string `json:"state"`
	} `json:"crawler"`
	Ban *struct {
		Network netip.Prefix `json:"network"`
		Until   time.Time    `json:"until"`
		Limit   string       `json:"limit"`
	} `json:"ban"`
}

// ask asks a running gate about the request. It is a dry run: nothing is charged.
func (c *policyExplainCmd) ask(ctx context.Context, e *env, in *policy.Input) (*liveDecision, error) {
	headers := map[string][]string{}
	for name, lines := range in.Request.Header.(http.Header) {
		headers[name] = lines
	}
	question := map[string]any{
		"ip": in.Client.String(), "method": in.Request.Method, "scheme": in.Request.Scheme, "host": in.Request.Host,
		"path": c.Path, "headers": headers, "account": in.Request.Account, "dry_run": true,
	}
	var live liveDecision
	g := gateClient{server: c.Server, tokenFile: c.ServiceTokenFile}
	if err := g.ask(ctx, e, http.MethodPost, "/v1/decide", question, &live); err != nil {
		return nil, err
	}
	if live.Verdict == "" {
		return nil, fmt.Errorf("what is at %s did not answer as a gate does", c.Server)
	}
	return &live, nil
}

// live tells what a running gate says, and the state of its limits.
func (w *explainWriter) live(server string, d *liveDecision) {
	because := strings.ReplaceAll(d.Reason, "_", " ")
	if d.By != "" {
		because += fmt.Sprintf(" %q", printable(d.By))
	}
	if d.Degraded {
		because += "; something that it wanted to know was away"
	}
	w.line("now", "%s says %s%s%s, by %s", server, w.green, printable(d.Verdict), w.reset, because)
	if c := d.Crawler; c != nil {
		w.line("", "crawler %s: %s there", printable(c.Name), printable(c.State))
	}
	if d.Ban != nil {
		w.line("", "%s is banned until %s%s", d.Ban.Network, d.Ban.Until.UTC().Format(time.RFC3339), said(", over the limit %q", d.Ban.Limit))
	}
	for i := range d.Limits {
		l := &d.Limits[i]
		says := fmt.Sprintf("%d of %d left", l.Remaining, l.Limit)
		if !l.Allowed {
			says = "used up: " + says
		}
		if l.Remaining < l.Limit {
			says += fmt.Sprintf(", all of it in %s", time.Duration(l.Reset)*time.Second)
		}
		if l.Source == "local" {
			says += ", by its own counts alone"
		}
		w.line("", "limit %s: %s", printable(l.Name), says)
	}
	if d.RetryAfter > 0 && d.Reason != policy.ByLimit.String() { // else it is what would be otherwise
		w.line("", "again in %s", time.Duration(d.RetryAfter)*time.Second)
	}
}

// as takes over what the gate knows of the client and a file does not: the ban that
// runs against it, and how far its claim to be a crawler was checked. What the
// command line says of the latter stands.
func (c *policyExplainCmd) as(d *liveDecision, in *policy.Input) {
	if b := d.Ban; b != nil {
		if action, ok := ipwarden.VerdictNamed(d.Verdict); ok && d.Reason == policy.ByBan.String() {
			in.Ban = &policy.Ban{Network: b.Network, Action: action, Until: b.Until, Reason: d.By, OverLimit: b.Limit != ""}
		}
	}
	if d.Crawler == nil || c.Crawler != "auto" {
		return
	}
	for _, s := range []policy.Crawler{policy.Verified, policy.Pending, policy.Failed, policy.Unanswered} {
		if s.String() == d.Crawler.State {
			in.Crawler, in.CrawlerName = s, d.Crawler.Name
		}
	}
}

// otherwiseThere tells what would give another verdict than the gate's.
func (w *explainWriter) otherwiseThere(p *compile.Policy, in *policy.Input, x *compile.Explanation, d *liveDecision) {
	var over []string
	for i := range d.Limits {
		if !d.Limits[i].Allowed {
			over = append(over, d.Limits[i].Name)
		}
	}
	switch here := x.Decision.Verdict; {
	case d.Reason == policy.ByLimit.String() && here.Passes():
		w.line("otherwise", "again in %s: %s, %s", time.Duration(d.RetryAfter)*time.Second, here, compile.Because(&x.Decision))
		for _, f := range p.Past(in, over) {
			w.line("", "with %s: %s, %s", printable(f.Change), f.Verdict, f.Because)
		}
	case d.Verdict != here.String():
		w.line("otherwise", "the gate there decides by another policy, other data or a fail mode: this file says %s", here)
	default:
		w.otherwise(x.Flips)
	}
}
