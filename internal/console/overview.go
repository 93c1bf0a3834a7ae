package console

import (
	"net/http"
	"slices"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage"
)

type overviewPage struct {
	Plan      account.PlanView
	Uses      []use
	Region    string
	Chart     *chart
	Keys      int
	Suspended bool
	Weak      bool // there is no second factor
}

// use is how much of a bound of the plan is used.
type use struct {
	Label      string
	Used, Of   int64
	Left       int64
	Percent    int64
	Resets     string
	Near, Full bool
}

func (k *Console) uses(v *visit, p *customer.Plan) ([]use, usage.Quota) {
	q := k.c.Quota(v.account())
	one := func(label string, u usage.Use, limit int64) use {
		x := use{Label: label, Used: u.Used, Of: limit, Left: max(0, limit-u.Used), Percent: percent(u.Used, limit)}
		switch {
		case limit == 0:
		case p.Window == customer.Rolling:
			x.Resets = "hour by hour"
		default:
			x.Resets = "at " + u.Reset.Format("15:04 UTC on 2 January")
		}
		x.Near, x.Full = x.Percent >= 90, limit > 0 && x.Left == 0
		return x
	}
	words := [2]string{"Today", "This month"}
	if p.Window == customer.Rolling {
		words = [2]string{"The last 24 hours", "The last 30 days"}
	}
	return []use{one(words[0], q.Day, p.PerDay), one(words[1], q.Month, p.PerMonth)}, q
}

func (k *Console) overview(v *visit) error {
	ctx := v.r.Context()
	p, err := k.c.Accounts.Plan(ctx, v.session.Account.Plan)
	if err != nil {
		return err
	}
	all, err := k.c.Accounts.Keys(ctx, v.account())
	if err != nil {
		return err
	}
	f, err := k.c.People.Factors(ctx, v.session)
	if err != nil {
		return err
	}
	s, err := k.sum(v, &question{span: spans()[2]})
	if err != nil {
		return err
	}
	body := &overviewPage{Plan: account.ViewPlan(&p), Chart: s.chart(), Suspended: v.session.Account.Status == customer.Suspended, Weak: !f.TOTP}
	uses, q := k.uses(v, &p)
	body.Uses, body.Region = uses, q.Region
	for i := range all {
		if !account.Ended(&all[i], k.c.Now()) {
			body.Keys++
		}
	}
	v.show(http.StatusOK, "overview", &page{Title: "Overview", Here: "overview", Body: body})
	return nil
}

type limitsPage struct {
	Plan   account.PlanView
	Uses   []use
	Alerts []alertBox
	Since  time.Time
}

type alertBox struct {
	Percent int
	On      bool
}

func (k *Console) limits(v *visit) error {
	ctx := v.r.Context()
	p, err := k.c.Accounts.Plan(ctx, v.session.Account.Plan)
	if err != nil {
		return err
	}
	wants, err := k.c.Accounts.Alerts(ctx, v.account())
	if err != nil {
		return err
	}
	body := &limitsPage{Plan: account.ViewPlan(&p), Since: v.session.Account.PlanFrom}
	body.Uses, _ = k.uses(v, &p)
	for _, t := range account.Thresholds() {
		body.Alerts = append(body.Alerts, alertBox{t, slices.Contains(wants, t)})
	}
	v.show(http.StatusOK, "limits", &page{Title: "Limits", Here: "limits", Body: body})
	return nil
}

func (k *Console) limitsSend(v *visit) error {
	var wants []int
	for _, t := range account.Thresholds() {
		if slices.Contains(v.r.PostForm["alert"], group(int64(t))) {
			wants = append(wants, t)
		}
	}
	if err := k.c.Accounts.SetAlerts(v.changes(), v.actor(), v.account(), wants); err != nil {
		return err
	}
	return v.redirect("/limits?done=alerts")
}
