package api

import (
	"net/http"

	"github.com/ipwarden/ipwarden/internal/api/dialect"
	"github.com/ipwarden/ipwarden/internal/authz"
	"github.com/ipwarden/ipwarden/internal/customer"
)

// Admit says whether a credential may have an answer in another vendor's format.
func (x *exchange) Admit(cred dialect.Credential, f dialect.Facts) *dialect.Refusal {
	a := x.api.cfg.Accounts
	if a == nil {
		return nil
	}
	var r *authz.Refusal
	if f.More {
		x.keyed.several = true
		r = a.More(&x.keyed.call, f.Items)
	} else {
		x.identify()
		k := x.keyed
		k.asked, k.count = true, f.Items
		c := &k.call
		c.Key, c.Path, c.Origin, c.Referer = cred.Key, f.Prefix, f.Origin, f.Referer
		c.Endpoint, c.Scope, c.Items = customer.EndpointDialect, authz.Lookup, f.Items
		r = a.Check(c)
	}
	if r == nil {
		if _, some := x.keyed.call.Fields(); some {
			// A vendor's answer cannot be cut to fields of ours.
			r = a.LacksField(&x.keyed.call, "answers in other vendors' formats")
		}
	}
	if r == nil {
		return nil
	}
	x.sighted(r)
	out := &dialect.Refusal{Code: dialectCodes[r.Code], Plan: r.Plan, Used: r.Used, Limit: r.Max, Reset: r.Reset, Region: r.Region, Upgrade: r.Upgrade, Told: true}
	if r.Key != 0 {
		out.KeyID = r.Key.String()
	}
	return out
}

// dialectCodes are the codes that vendors know.
var dialectCodes = [authz.NumCodes]dialect.Code{
	authz.NoKey: dialect.NoKey, authz.NotKey: dialect.UnknownKey, authz.Mistyped: dialect.UnknownKey, authz.UnknownKey: dialect.UnknownKey,
	authz.Revoked: dialect.DisabledKey, authz.Expired: dialect.DisabledKey, authz.Suspended: dialect.DisabledKey,
	authz.WrongAddress: dialect.WrongAddress, authz.WrongOrigin: dialect.WrongOrigin,
	authz.WrongEndpoint: dialect.NotInPlan, authz.WrongScope: dialect.NotInPlan, authz.TooMany: dialect.NotInPlan, authz.NoField: dialect.NotInPlan,
	authz.OverQuota: dialect.OverQuota, authz.TooFast: dialect.TooFast, authz.Shielded: dialect.WrongAddress,
}

// countDialect says how many look-ups an answer has: one, or those of a bulk.
func (x *exchange) countDialect(c *dialect.Call) {
	if x.keyed == nil || !x.keyed.asked {
		return
	}
	if x.keyed.count = 1; x.keyed.several || x.method == http.MethodPost {
		x.keyed.count = c.Looked
	}
}

// Quota says how much of the quota was used and is left, for a dialect.
func (x *exchange) Quota() (used, left int64, ok bool) {
	if x.keyed == nil || !x.keyed.asked {
		return 0, 0, false
	}
	used, of, _ := x.keyed.call.Left()
	return used, max(0, of-used), of > 0
}

var _ dialect.Admitter = (*exchange)(nil)
