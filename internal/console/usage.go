package console

import (
	"cmp"
	"context"
	"encoding/csv"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage"
)

// A span is a time that is looked at: so many hours, days or months, up to now.
type span struct {
	Value, Label string
	unit         string // of usage.Groupings
	steps        int
}

func spans() []span {
	return []span{
		{"24h", "24 hours", "hour", 24},
		{"7d", "7 days", "day", 7},
		{"30d", "30 days", "day", 30},
		{"12m", "12 months", "month", 12},
	}
}

// starts are the beginnings of a span's steps, the last being the one that now lies in.
func (s *span) starts(now time.Time) []time.Time {
	now = now.UTC()
	all := make([]time.Time, s.steps)
	for i := range all {
		back := s.steps - 1 - i
		switch s.unit {
		case "hour":
			all[i] = now.Truncate(time.Hour).Add(-time.Duration(back) * time.Hour)
		case "day":
			all[i] = time.Date(now.Year(), now.Month(), now.Day()-back, 0, 0, 0, 0, time.UTC)
		default:
			all[i] = time.Date(now.Year(), now.Month()-time.Month(back), 1, 0, 0, 0, 0, time.UTC)
		}
	}
	return all
}

// What bars are divided by.
const (
	groupNone     = ""
	groupKey      = "key"
	groupEndpoint = "endpoint"
	groupRegion   = "region"
	groupOutcome  = "outcome"
)

type choice struct {
	Value, Label string
	On           bool
}

// A question is what the page asks of the sums.
type question struct {
	span span
	by   string
	key  customer.KeyID // 0 is all
}

func (v *visit) question() (*question, error) {
	q := &question{span: spans()[2]}
	get := v.r.URL.Query()
	if i := slices.IndexFunc(spans(), func(s span) bool { return s.Value == get.Get("span") }); i >= 0 {
		q.span = spans()[i]
	}
	switch by := get.Get("by"); by {
	case groupKey, groupEndpoint, groupRegion, groupOutcome:
		q.by = by
	}
	if text := get.Get("key"); text != "" {
		id, err := customer.ParseKeyID(text)
		if err != nil {
			return nil, errNotHere
		}
		q.key = id
	}
	return q, nil
}

// sums is the answer to a question.
type sums struct {
	q      *question
	starts []time.Time
	groups []*group1 // the largest first
	total  [customer.NumClasses]int64
	steps  [][customer.NumClasses]int64
}

// group1 is a part of the bars.
type group1 struct {
	name  string // as counted: a key's identifier, a region
	label string
	n     []int64 // by step: calls that were charged, or of an outcome
	total int64
}

// usageTime bounds how long the sums are read.
const usageTime = 10 * time.Second

func (k *Console) sum(v *visit, q *question) (*sums, error) {
	s := &sums{q: q, starts: q.span.starts(k.c.Now())}
	hours := make([]customer.Hour, len(s.starts))
	for i, t := range s.starts {
		hours[i] = customer.HourOf(t)
	}
	s.steps = make([][customer.NumClasses]int64, len(s.starts))
	groups := map[string]*group1{}
	ctx, cancel := context.WithTimeout(v.r.Context(), usageTime)
	defer cancel()
	select {
	case k.readers <- struct{}{}:
		defer func() { <-k.readers }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	err := k.c.Rows(ctx, usage.Query{Account: v.account(), Key: q.key, From: hours[0], To: customer.HourOf(k.c.Now())}, func(r usage.Row, n int64) bool {
		step, found := slices.BinarySearch(hours, r.Hour)
		if !found {
			step--
		}
		if step < 0 || r.Class >= customer.NumClasses {
			return true
		}
		s.total[r.Class] += n
		s.steps[step][r.Class] += n
		name := ""
		switch q.by {
		case groupKey:
			name = r.Key.String()
		case groupEndpoint:
			name = r.Endpoint.String()
		case groupRegion:
			name = r.Region
		case groupOutcome:
			name = r.Class.String()
		}
		if q.by != groupOutcome && r.Class != customer.Charged {
			return true
		}
		g := groups[name]
		if g == nil {
			if len(groups) > 4*account.MaxKeys {
				return true // they are in the totals
			}
			g = &group1{name: name, label: name, n: make([]int64, len(s.starts))}
			groups[name] = g
		}
		g.n[step] += n
		g.total += n
		return true
	})
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		s.groups = append(s.groups, g)
	}
	slices.SortFunc(s.groups, func(a, b *group1) int {
		return cmp.Or(cmp.Compare(b.total, a.total), cmp.Compare(a.name, b.name))
	})
	if q.by == groupKey {
		return s, k.nameKeys(v, s)
	}
	if q.by == groupNone {
		for _, g := range s.groups {
			g.label = "look-ups"
		}
	}
	return s, nil
}

// nameKeys says keys by their names, where they have one.
func (k *Console) nameKeys(v *visit, s *sums) error {
	all, err := k.c.Accounts.Keys(v.r.Context(), v.account())
	if err != nil {
		return err
	}
	for _, g := range s.groups {
		for i := range all {
			if all[i].ID.String() == g.name {
				g.label = keyLabel(&all[i])
				for j := range all { // two of one name are told apart
					if j != i && all[j].Name != "" && all[j].Name == all[i].Name {
						g.label = all[i].Name + " …" + all[i].Hint
					}
				}
			}
		}
	}
	return nil
}

// keyLabel is a key for people: its name, or the end of its text.
func keyLabel(k *customer.Key) string {
	if k.Name != "" {
		return k.Name
	}
	return "…" + k.Hint
}

// label is a step for people.
func (s *sums) label(i int) string {
	switch s.q.span.unit {
	case "hour":
		return s.starts[i].Format("15:04")
	case "day":
		return s.starts[i].Format("2 Jan")
	}
	return s.starts[i].Format("Jan 2006")
}

type usagePage struct {
	Spans, Bys, Keys []choice
	Chart            *chart
	Total            []classTotal
	Groups           []groupTotal
	By               string
	Steps            []stepRow
	CSV              string
	Region           string // where most of this month came from
	Unit             string
	Callers          []usage.Frequent
}

type classTotal struct {
	Label, Hint string
	N           int64
}

type groupTotal struct {
	Label, Link string
	N           int64
	Percent     int64
}

type stepRow struct {
	Label string
	N     [customer.NumClasses]int64
}

func (k *Console) usage(v *visit) error {
	q, err := v.question()
	if err != nil {
		return err
	}
	s, err := k.sum(v, q)
	if err != nil {
		return err
	}
	body := &usagePage{Chart: s.chart(), By: q.by, Region: k.c.Quota(v.account()).Region, Unit: q.span.unit, Callers: k.c.Callers(v.account())}
	for _, x := range spans() {
		body.Spans = append(body.Spans, choice{x.Value, x.Label, x.Value == q.span.Value})
	}
	for _, x := range []choice{{groupNone, "nothing", false}, {groupKey, "key", false}, {groupEndpoint, "endpoint", false}, {groupRegion, "region", false}, {groupOutcome, "outcome", false}} {
		x.On = x.Value == q.by
		body.Bys = append(body.Bys, x)
	}
	all, err := k.c.Accounts.Keys(v.r.Context(), v.account())
	if err != nil {
		return err
	}
	body.Keys = []choice{{"", "all keys", q.key == 0}}
	for i := range slices.Backward(all) {
		body.Keys = append(body.Keys, choice{all[i].ID.String(), keyLabel(&all[i]), all[i].ID == q.key})
	}
	for _, c := range []struct {
		class       customer.Class
		label, hint string
	}{
		{customer.Charged, "Look-ups", "count against the plan"},
		{customer.Tested, "With test keys", "cost nothing"},
		{customer.Rejected, "Refused", "401 and 403"},
		{customer.Limited, "Too many", "429"},
		{customer.Failed, "Failed", "other errors"},
	} {
		body.Total = append(body.Total, classTotal{c.label, c.hint, s.total[c.class]})
	}
	if q.by != groupNone {
		total := int64(0)
		for _, g := range s.groups {
			total += g.total
		}
		for _, g := range s.groups {
			row := groupTotal{Label: g.label, N: g.total, Percent: percent(g.total, total)}
			if q.by == groupKey {
				row.Link = Prefix + "/keys/" + g.name
			}
			body.Groups = append(body.Groups, row)
		}
	}
	for i := range slices.Backward(s.steps) {
		body.Steps = append(body.Steps, stepRow{s.label(i), s.steps[i]})
	}
	query := url.Values{"span": {q.span.Value}, "by": {q.by}}
	if q.key != 0 {
		query.Set("key", q.key.String())
	}
	body.CSV = Prefix + "/usage.csv?" + query.Encode()
	v.show(http.StatusOK, "usage", &page{Title: "Usage", Here: "usage", Body: body})
	return nil
}

// usageCSV is what the page shows, for a spreadsheet: as GET /v1/usage writes it.
func (k *Console) usageCSV(v *visit) error {
	q, err := v.question()
	if err != nil {
		return err
	}
	by := []string{q.span.unit}
	if q.by != groupNone && q.by != groupOutcome { // outcomes are columns
		by = append(by, q.by)
	}
	const lines = 100_000
	table, err := usage.NewTable(by, lines)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(v.r.Context(), usageTime)
	defer cancel()
	select {
	case k.readers <- struct{}{}:
		defer func() { <-k.readers }()
	case <-ctx.Done():
		return ctx.Err()
	}
	now := k.c.Now()
	if err := k.c.Rows(ctx, usage.Query{Account: v.account(), Key: q.key, From: customer.HourOf(q.span.starts(now)[0]), To: customer.HourOf(now)}, table.Add); err != nil {
		return err
	}
	all, err := table.Lines()
	if err != nil {
		return account.Invalid{{Field: "by", Message: err.Error()}}
	}
	v.w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	v.w.Header().Set("Content-Disposition", `attachment; filename="usage.csv"`)
	w := csv.NewWriter(v.w)
	head := by
	for c := range customer.NumClasses {
		head = append(head, c.String())
	}
	_ = w.Write(head) // the client went away: nobody to tell
	for _, l := range all {
		row := l.By
		for _, n := range l.Calls {
			row = append(row, strconv.FormatInt(n, 10))
		}
		_ = w.Write(row)
	}
	w.Flush()
	return nil
}
