package main

import (
	"io"

	"github.com/goccy/go-yaml/ast"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/yamldoc"
)

// readPlans reads a file of plans:
//
//	plans:
//	  - name: team
//	    title: Team              # for people; the name when it is left out
//	    per_day: 10000          # look-ups; 0, or left out, is no bound
//	    per_month: 250000
//	    per_second: 50           # of all keys of an account, in one region
//	    burst: 100               # at once; per_second when it is left out
//	    bulk: 1000               # addresses a call
//	    fields: [location.country_code, asn.number]   # all when it is left out
//	    window: calendar         # or rolling
//	    upgrade: https://example.com/plans
//
// The error is yamldoc.Mistakes, every one of them. What the numbers may be is for package
// account to say.
func readPlans(r io.Reader, file string) ([]customer.Plan, error) {
	d, body := yamldoc.Parse(r, file, yamldoc.MaxFile)
	var plans []customer.Plan
	pairs, _ := d.Mapping(body, "a file of plans")
	for _, p := range pairs {
		if p.Key != "plans" {
			d.UnknownKey(p, "a file of plans", []string{"plans"})
			continue
		}
		for _, item := range d.Sequence(p.Value, "plans") {
			plans = append(plans, readPlan(d, item))
		}
	}
	if err := d.Err(); err != nil {
		return nil, err
	}
	return plans, nil
}

var planKeys = []string{"name", "title", "per_day", "per_month", "per_second", "burst", "bulk", "fields", "window", "upgrade"}

func readPlan(d *yamldoc.Document, item ast.Node) (plan customer.Plan) {
	const most = 1e15
	pairs, ok := d.Mapping(item, "a plan")
	if !ok {
		return plan
	}
	for _, p := range pairs {
		switch p.Key {
		case "name":
			plan.Name, _ = d.Text(p.Value, p.Key)
		case "title":
			plan.Title, _ = d.Text(p.Value, p.Key)
		case "upgrade":
			plan.Upgrade, _ = d.Text(p.Value, p.Key)
		case "per_day":
			plan.PerDay, _ = d.Integer(p.Value, p.Key, 0, most)
		case "per_month":
			plan.PerMonth, _ = d.Integer(p.Value, p.Key, 0, most)
		case "per_second":
			n, _ := d.Integer(p.Value, p.Key, 0, 1e9)
			plan.PerSecond = int(n)
		case "burst":
			n, _ := d.Integer(p.Value, p.Key, 0, 1e9)
			plan.Burst = int(n)
		case "bulk":
			n, _ := d.Integer(p.Value, p.Key, 0, 1e9)
			plan.Bulk = int(n)
		case "fields":
			for _, f := range d.Sequence(p.Value, p.Key) {
				if v, ok := d.Text(f, "a field"); ok {
					plan.Fields = append(plan.Fields, v)
				}
			}
		case "window":
			switch v, ok := d.Text(p.Value, p.Key); {
			case !ok:
			case v == "rolling":
				plan.Window = customer.Rolling
			case v != "calendar":
				d.At(p.Value.GetToken(), "window is calendar or rolling")
			}
		default:
			d.UnknownKey(p, "a plan", planKeys)
		}
	}
	if plan.Name == "" && len(pairs) > 0 {
		d.At(pairs[0].Token, "a plan needs a name, such as team")
	}
	return plan
}
