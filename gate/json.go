package gate

import (
	"strconv"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/policy"
	"github.com/ipwarden/ipwarden/risk"
)

// AppendJSON appends the decision as one JSON object, for the application that
// asked: what to do, what the client should be told, and why.
func (d *Decision) AppendJSON(dst []byte) []byte {
	dst = append(d.ID.AppendTo(append(dst, `{"decision":"`...)), `","verdict":"`...)
	dst = append(append(dst, d.Verdict.String()...), `","reason":"`...)
	dst = append(append(dst, d.Reason.String()...), '"')
	if by := d.By(); by != "" {
		dst = ipwarden.AppendString(append(dst, `,"by":`...), by)
	}
	if d.Tier != nil {
		dst = ipwarden.AppendString(append(dst, `,"tier":`...), d.Tier.Name)
	}
	if c := d.input.Crawler; c != policy.NotCrawler {
		dst = ipwarden.AppendString(append(dst, `,"crawler":{"name":`...), d.input.CrawlerName)
		dst = append(append(append(dst, `,"state":"`...), c.String()...), `"}`...)
	}
	if b := d.Ban; b != nil {
		dst = b.Network.AppendTo(append(dst, `,"ban":{"network":"`...))
		dst = append(b.Until.UTC().AppendFormat(append(dst, `","until":"`...), time.RFC3339), '"')
		if b.OverLimit {
			dst = ipwarden.AppendString(append(dst, `,"limit":`...), b.Reason)
		}
		dst = append(dst, '}')
	}
	dst = strconv.AppendBool(append(dst, `,"passes":`...), d.Passes())
	if s := d.Status(); s != 0 {
		dst = strconv.AppendInt(append(dst, `,"status":`...), int64(s), 10)
	}
	if s := d.RetrySeconds(); s > 0 {
		dst = strconv.AppendInt(append(dst, `,"retry_after":`...), int64(s), 10)
	}
	if d.Location != "" {
		dst = ipwarden.AppendString(append(dst, `,"location":`...), d.Location)
	}
	if len(d.Tags) > 0 {
		dst = appendStrings(append(dst, `,"tags":`...), d.Tags)
	}
	dst = append(dst, `,"client":{"ip":"`...)
	dst = append(appendAddr(dst, d.Client.Addr), `","status":"`...)
	dst = append(append(dst, d.Client.Status.String()...), `"}`...)
	dst = appendKnown(dst, d.Record)
	dst = d.appendRisk(dst)
	dst = appendLimits(dst, d.Limits)
	if d.AwaitsOutcome() {
		dst = append(dst, `,"awaits_outcome":true`...)
	}
	if d.Degraded {
		dst = append(dst, `,"degraded":true`...)
	}
	if d.Incomplete {
		dst = append(dst, `,"pending":true`...)
	}
	for i, r := range d.Shadow {
		if i == 0 {
			dst = append(dst, `,"shadow":[`...)
		} else {
			dst = append(dst, ',')
		}
		dst = ipwarden.AppendString(dst, r.Name)
		if i == len(d.Shadow)-1 {
			dst = append(dst, ']')
		}
	}
	return append(dst, '}')
}

// appendKnown appends what policies read most of a Record.
func appendKnown(dst []byte, r ipwarden.Record) []byte {
	if c := r.CountryCode(); c != "" {
		dst = ipwarden.AppendString(append(dst, `,"country":`...), c)
	}
	if as := r.ASNumber(); as != 0 {
		dst = strconv.AppendUint(append(dst, `,"asn":`...), uint64(as), 10)
	}
	if t := r.Traits(); t != 0 {
		dst = appendStrings(append(dst, `,"traits":`...), t.Names())
	}
	return dst
}

func (d *Decision) appendRisk(dst []byte) []byte {
	return appendRisk(dst, d.Score, d.Shared, d.risk.Contributions())
}

func appendRisk(dst []byte, score uint8, shared bool, all []risk.Contribution) []byte {
	dst = strconv.AppendUint(append(dst, `,"risk":{"score":`...), uint64(score), 10)
	dst = strconv.AppendBool(append(dst, `,"shared":`...), shared)
	for i := range all {
		if i == 0 {
			dst = append(dst, `,"contributions":[`...)
		} else {
			dst = append(dst, ',')
		}
		dst = appendContribution(dst, &all[i])
		if i == len(all)-1 {
			dst = append(dst, ']')
		}
	}
	return append(dst, '}')
}

func appendContribution(dst []byte, c *risk.Contribution) []byte {
	dst = append(append(dst, `{"signal":"`...), c.Signal.String()...)
	dst = strconv.AppendInt(append(dst, `","points":`...), int64(c.Points), 10)
	if c.Feed != "" {
		dst = ipwarden.AppendString(append(dst, `,"feed":`...), c.Feed)
	}
	if !c.Date.IsZero() {
		dst = append(c.Date.AppendFormat(append(dst, `,"date":"`...), time.DateOnly), '"')
	}
	if c.Note != "" {
		dst = ipwarden.AppendString(append(dst, `,"note":`...), c.Note)
	}
	return append(dst, '}')
}

func appendLimits(dst []byte, all []LimitState) []byte {
	for i := range all {
		l := &all[i]
		if i == 0 {
			dst = append(dst, `,"limits":[`...)
		} else {
			dst = append(dst, ',')
		}
		dst = ipwarden.AppendString(append(dst, `{"name":`...), l.Name)
		dst = strconv.AppendUint(append(dst, `,"limit":`...), uint64(l.Limit), 10)
		dst = strconv.AppendUint(append(dst, `,"remaining":`...), uint64(l.Remaining), 10)
		dst = strconv.AppendInt(append(dst, `,"window":`...), int64(l.Window/time.Second), 10)
		dst = strconv.AppendInt(append(dst, `,"reset":`...), int64((l.Reset+time.Second-1)/time.Second), 10)
		dst = strconv.AppendBool(append(dst, `,"allowed":`...), l.Allowed)
		dst = append(append(dst, `,"source":"`...), l.Source.String()...)
		dst = append(dst, `"}`...)
		if i == len(all)-1 {
			dst = append(dst, ']')
		}
	}
	return dst
}

func appendStrings(dst []byte, list []string) []byte {
	dst = append(dst, '[')
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = ipwarden.AppendString(dst, s)
	}
	return append(dst, ']')
}

// AppendJSON appends what is remembered as one JSON object.
func (s *Recalled) AppendJSON(dst []byte) []byte {
	dst = append(s.ID.AppendTo(append(dst, `{"decision":"`...)), `","time":"`...)
	dst = append(s.Time.UTC().AppendFormat(dst, time.RFC3339Nano), `","verdict":"`...)
	dst = append(append(dst, s.Verdict.String()...), `","reason":"`...)
	dst = append(append(dst, s.Reason.String()...), '"')
	if s.By != "" {
		dst = ipwarden.AppendString(append(dst, `,"by":`...), s.By)
	}
	if s.Tier != "" {
		dst = ipwarden.AppendString(append(dst, `,"tier":`...), s.Tier)
	}
	if s.Status != 0 {
		dst = strconv.AppendInt(append(dst, `,"status":`...), int64(s.Status), 10)
	}
	if s.RetryAfter > 0 {
		dst = strconv.AppendInt(append(dst, `,"retry_after":`...), int64(s.RetryAfter/time.Second), 10)
	}
	dst = append(appendAddr(append(dst, `,"client":{"ip":"`...), s.Client), `","status":"`...)
	dst = append(append(dst, s.ClientStatus...), `"}`...)
	dst = appendKnown(dst, s.Record)
	dst = appendRisk(dst, s.Score, s.Shared, s.Contributions)
	dst = appendLimits(dst, s.Limits)
	if s.Awaited {
		dst = append(dst, `,"awaits_outcome":true`...)
	}
	dst = ipwarden.AppendString(append(dst, `,"request":{"method":`...), s.Method)
	dst = ipwarden.AppendString(append(dst, `,"host":`...), s.Host)
	dst = append(ipwarden.AppendString(append(dst, `,"path":`...), s.Path), '}')
	if s.Degraded {
		dst = append(dst, `,"degraded":true`...)
	}
	return append(dst, '}')
}
