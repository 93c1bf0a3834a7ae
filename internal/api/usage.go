package api

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/authz"
	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage"
)

const (
	usagePath    = "/v1/usage"
	exampleUsage = "GET /v1/usage?by=day,key&from=2026-11"
	// usageLines bounds the answer: a year by hour and region is 8,784 lines a region.
	usageLines = 100_000
	// usageTime bounds how long the sums are read, and usageReaders how many read.
	usageTime    = 10 * time.Second
	usageReaders = 4
)

// usageGroups are what an account's own sums can be taken by.
var usageGroups = slices.DeleteFunc(slices.Clone(usage.Groupings), func(g string) bool { return g == "account" })

// usageQuestion is what a query asks for.
type usageQuestion struct {
	usage.Query
	by     []string
	format format
}

// usageSums answers GET /v1/usage: what the account of the key has used.
func (x *exchange) usageSums() *problem {
	q, p := x.usageQuestion()
	if p != nil {
		return p
	}
	f, p := x.choose(q.format, offerUsage)
	if p != nil {
		return p
	}
	q.Account = x.keyed.call.Account()
	table, err := usage.NewTable(q.by, usageLines)
	if err != nil {
		return badUsage("by: " + err.Error())
	}
	ctx, done := context.WithTimeout(x.ctx, usageTime)
	defer done()
	select {
	case x.api.usageReaders <- struct{}{}:
		defer func() { <-x.api.usageReaders }()
	case <-ctx.Done():
		return usageBusy()
	}
	if err := x.api.cfg.Usage(ctx, q.Query, table.Add); err != nil {
		x.api.cfg.Log.Error("usage cannot be read", "error", err)
		return usageBusy()
	}
	lines, err := table.Lines()
	if err != nil {
		return badUsage(err.Error())
	}
	x.cache = neverKept // it changes with every call
	if f == formatCSV {
		x.out = appendUsageCSV(x.out[:0], q.by, lines)
	} else {
		x.document(f, appendUsage(nil, q, lines))
	}
	x.ok(f)
	return nil
}

// usageQuestion reads the query.
func (x *exchange) usageQuestion() (*usageQuestion, *problem) {
	q := &usageQuestion{by: []string{"day"}}
	var from, to string
	for pair := range strings.SplitSeq(x.query, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, ok1 := unescape(name, true)
		value, ok2 := unescape(value, true)
		if !ok1 || !ok2 {
			return nil, badUsage("The query has a percent sign that two hexadecimal digits do not follow; the sign itself is %25.")
		}
		switch name {
		case "by":
			q.by = nil
			for b := range strings.SplitSeq(value, ",") {
				if !slices.Contains(usageGroups, b) || slices.Contains(q.by, b) {
					return nil, badUsage("by=" + quoted(value) + ": sums are taken by " + strings.Join(usageGroups, ", ") + ", each once.")
				}
				q.by = append(q.by, b)
			}
		case "from":
			from = value
		case "to":
			to = value
		case "key_id":
			id, err := customer.ParseKeyID(value)
			if err != nil {
				return nil, badUsage("key_id: " + err.Error() + ".")
			}
			q.Key = id
		case "format":
			f, ok := formatNamed(value)
			if !ok || f == formatText {
				return nil, badUsage("format=" + quoted(value) + " is none of json, yaml, csv.")
			}
			q.format = f
		default:
			return nil, badUsage(quoted(name) + " is not a parameter here; there are by, from, to, key_id, format.")
		}
	}
	var err error
	if q.From, q.To, err = usage.ParseHours(from, to, x.now); err != nil {
		return nil, badUsage(err.Error() + ".")
	}
	return q, nil
}

func badUsage(detail string) *problem { return badParameter(detail, exampleUsage) }

func usageBusy() *problem {
	return &problem{
		status: http.StatusServiceUnavailable, slug: "usage-unavailable", title: "Usage cannot be read now",
		detail: "The sums cannot be read now. They go on being counted.", example: exampleUsage,
	}
}

// appendUsage appends the sums as JSON.
func appendUsage(dst []byte, q *usageQuestion, lines []*usage.Line) []byte {
	dst = q.From.Time().AppendFormat(append(dst, `{"from":"`...), time.RFC3339)
	dst = (q.To + 1).Time().AppendFormat(append(dst, `","until":"`...), time.RFC3339)
	dst = append(dst, `","usage":[`...)
	for i, l := range lines {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '{')
		for j, b := range q.by {
			dst = ipwarden.AppendString(append(append(append(dst, '"'), b...), `":`...), l.By[j])
			dst = append(dst, ',')
		}
		for c, n := range l.Calls {
			if c > 0 {
				dst = append(dst, ',')
			}
			dst = append(append(append(dst, '"'), customer.Class(c).String()...), `":`...)
			dst = strconv.AppendInt(dst, n, 10)
		}
		dst = append(dst, '}')
	}
	return append(dst, "]}"...)
}

// appendUsageCSV appends the sums as CSV.
func appendUsageCSV(dst []byte, by []string, lines []*usage.Line) []byte {
	for _, b := range by {
		dst = append(append(dst, b...), ',')
	}
	for c := range customer.NumClasses {
		if c > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, c.String()...)
	}
	dst = append(dst, '\r', '\n')
	for _, l := range lines {
		for _, v := range l.By {
			dst = append(appendCSVText(dst, v), ',')
		}
		for c, n := range l.Calls {
			if c > 0 {
				dst = append(dst, ',')
			}
			dst = strconv.AppendInt(dst, n, 10)
		}
		dst = append(dst, '\r', '\n')
	}
	return dst
}

// ofUsage admits who may read the usage: a key with that scope. No call without one
// has it.
func (x *exchange) ofUsage() *problem {
	x.route = routeUsage
	if p := x.reading(exampleUsage); p != nil || x.status != 0 {
		return p
	}
	if p := x.admit(customer.EndpointLookup, authz.Usage, 0); p != nil {
		return p
	}
	return x.usageSums()
}
