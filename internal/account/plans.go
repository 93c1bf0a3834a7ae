package account

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// DefaultPlan is what an account begins with.
const DefaultPlan = "free"

// maxCount bounds every number of a plan, so that sums of them fit.
const maxCount = 1e15

// DefaultPlans are made when a store is used for the first time.
func DefaultPlans() []customer.Plan {
	return []customer.Plan{
		{Name: "free", Title: "Free", PerDay: 1_500, PerSecond: 10, Burst: 20, Bulk: 100},
		{Name: "standard", Title: "Standard", PerDay: 100_000, PerMonth: 2_000_000, PerSecond: 100, Burst: 200, Bulk: 1000},
		{Name: "unlimited", Title: "Unlimited"},
	}
}

// settingPlans says that the default plans were made: who removes one wants that.
const settingPlans = "default-plans"

// Init makes the default plans when the store is used for the first time.
func (s *Service) Init(ctx context.Context) error {
	done := false
	err := s.store.Read(ctx, func(tx Tx) error {
		v, err := tx.Setting(settingPlans)
		done = v != ""
		return err
	})
	if err != nil || done {
		return err
	}
	return s.store.Write(ctx, func(tx Tx) error {
		if v, err := tx.Setting(settingPlans); err != nil || v != "" {
			return err // another process was first
		}
		for _, p := range DefaultPlans() {
			if _, err := tx.Plan(p.Name); !errors.Is(err, ErrNotFound) {
				if err != nil {
					return err
				}
				continue
			}
			if err := tx.PutPlan(&p); err != nil {
				return err
			}
		}
		return tx.SetSetting(settingPlans, "made")
	})
}

// Plans lists the plans by name.
func (s *Service) Plans(ctx context.Context) (all []customer.Plan, err error) {
	err = s.store.Read(ctx, func(tx Tx) error {
		all, err = tx.Plans()
		return err
	})
	return all, err
}

// Plan returns a plan.
func (s *Service) Plan(ctx context.Context, name string) (p customer.Plan, err error) {
	err = s.store.Read(ctx, func(tx Tx) error {
		p, err = s.plan(tx, name)
		return err
	})
	return p, err
}

// plan returns a plan, or says which there are.
func (s *Service) plan(tx Tx, name string) (customer.Plan, error) {
	p, err := tx.Plan(name)
	if !errors.Is(err, ErrNotFound) {
		return p, err
	}
	all, err := tx.Plans()
	if err != nil {
		return p, err
	}
	if len(all) == 0 {
		return p, missingf("there is no plan %.60q, and no other; make one with 'ipwarden plan set free --per-day 1500'", name)
	}
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].Name
	}
	return p, missingf("there is no plan %.60q; there are %s", name, strings.Join(names, ", "))
}

// PutPlans makes plans, or changes those of the same names: all of them or none. The
// accounts that are on one are held by it from now on.
func (s *Service) PutPlans(ctx context.Context, actor string, plans []customer.Plan) error {
	var wrong Invalid
	for i := range plans {
		checkPlan(&plans[i], &wrong)
		if slices.ContainsFunc(plans[:i], func(p customer.Plan) bool { return p.Name == plans[i].Name }) {
			wrong.add(plans[i].Name, "there are two plans of this name")
		}
	}
	if err := wrong.err(); err != nil {
		return err
	}
	now := s.moment()
	return s.store.Write(ctx, func(tx Tx) error {
		for i := range plans {
			p := &plans[i]
			old, err := tx.Plan(p.Name)
			if err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
			if err == nil && samePlan(old, *p) {
				p.Revision = old.Revision
				continue
			}
			if err := tx.PutPlan(p); err != nil {
				return err
			}
			if err := tx.Log(&Entry{At: now, Actor: actor, Action: ActionPlanSet, Subject: p.Name, Detail: planText(p)}); err != nil {
				return err
			}
		}
		return nil
	})
}

func samePlan(a, b customer.Plan) bool {
	fields := slices.Equal(a.Fields, b.Fields)
	a.Revision, b.Revision, a.Fields, b.Fields = 0, 0, nil, nil
	return fields && planText(&a) == planText(&b)
}

func planText(p *customer.Plan) string {
	return fmt.Sprintf("title %q, per day %d, per month %d, per second %d, burst %d, fields %q, bulk %d, window %s, upgrade %q",
		p.Title, p.PerDay, p.PerMonth, p.PerSecond, p.Burst, p.Fields, p.Bulk, p.Window, p.Upgrade)
}

func checkPlan(p *customer.Plan, wrong *Invalid) {
	what := func(field string) string {
		if p.Name == "" {
			return field
		}
		return clip(p.Name) + ": " + field
	}
	if p.Name == "" || len(p.Name) > 40 || strings.Trim(p.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || p.Name[0] == '-' {
		wrong.add("name", "%.60q is no name of a plan: 1 to 40 small letters, digits and \"-\", such as team-2", p.Name)
	}
	if p.Title == "" {
		p.Title = p.Name
	}
	if m := checkText(p.Title, maxName); m != "" {
		wrong.add(what("title"), "%s", m)
	}
	for _, n := range []struct {
		field string
		n     int64
		most  int64
	}{
		{"per_day", p.PerDay, maxCount},
		{"per_month", p.PerMonth, maxCount},
		{"per_second", int64(p.PerSecond), 1e9},
		{"burst", int64(p.Burst), 1e9},
		{"bulk", int64(p.Bulk), 1e9},
	} {
		if n.n < 0 || n.n > n.most {
			wrong.add(what(n.field), "%d is not between 0, which is no bound, and %d", n.n, n.most)
		}
	}
	if p.Burst > 0 && p.PerSecond == 0 {
		wrong.add(what("burst"), "without per_second there is nothing that a burst could exceed")
	}
	if p.PerDay > 0 && p.PerMonth > 0 && p.PerMonth < p.PerDay {
		wrong.add(what("per_month"), "%d is less than the %d of a day", p.PerMonth, p.PerDay)
	}
	if p.Window > customer.Rolling {
		wrong.add(what("window"), "it is calendar or rolling")
	}
	p.Fields = distinct(p.Fields)
	if len(p.Fields) > 100 {
		wrong.add(what("fields"), "there are more than 100")
	}
	for _, f := range p.Fields {
		if f == "" || len(f) > 60 || strings.Trim(f, "abcdefghijklmnopqrstuvwxyz0123456789_.") != "" {
			wrong.add(what("fields"), "%.60q is no field; one is location.country_code", f)
		}
	}
	if p.Upgrade != "" {
		u, err := url.Parse(p.Upgrade)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || len(p.Upgrade) > 500 || checkText(p.Upgrade, 500) != "" {
			wrong.add(what("upgrade"), "%.60q is no URL; one is https://example.com/plans", p.Upgrade)
		}
	}
}

func clip(s string) string {
	if len(s) > 60 {
		return s[:60]
	}
	return s
}

// RemovePlan removes a plan that no account is on.
func (s *Service) RemovePlan(ctx context.Context, actor, name string) error {
	now := s.moment()
	return s.store.Write(ctx, func(tx Tx) error {
		if _, err := s.plan(tx, name); err != nil {
			return err
		}
		n, err := tx.AccountsOn(name)
		if err != nil {
			return err
		}
		if n > 0 {
			return conflictf("%d accounts are on the plan %s; put them on another first, such as 'ipwarden account plan ada@example.com %s'", n, name, DefaultPlan)
		}
		if err := tx.DeletePlan(name, now); err != nil {
			return err
		}
		return tx.Log(&Entry{At: now, Actor: actor, Action: ActionPlanEnd, Subject: name})
	})
}
