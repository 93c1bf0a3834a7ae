package authz

import (
	"math"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage"
	"github.com/ipwarden/ipwarden/limit"
)

// An account is what the keys of one share. It stays while they change.
type account struct {
	plan     atomic.Pointer[plan] // nil until it is known
	status   atomic.Uint32        // a customer.Status
	burst    limit.Cell
	standing *usage.Standing
	id       customer.AccountID
	named    string // the plan's name, and since when it has it, for who changes things
	from     time.Time
}

// A plan is a customer.Plan in the form that is checked with. It does not change.
type plan struct {
	customer.Plan
	title  string
	rate   limit.Rate // Limit 0 is no bound
	fields ipwarden.Fields
	some   bool   // fields are not all
	policy string // what RateLimit-Policy says of it
}

func newPlan(p customer.Plan) *plan {
	c := &plan{Plan: p, title: p.Title}
	if c.title == "" {
		c.title = p.Name
	}
	if p.PerSecond > 0 {
		c.rate = limit.Rate{Name: nameSecond, Limit: clamp(int64(p.PerSecond)), Window: time.Second, Burst: clamp(int64(p.Burst))}
	}
	if p.Fields != nil {
		c.some = true
		for _, name := range p.Fields {
			// A name that this version does not know gives nothing.
			if f, err := ipwarden.ParseFields(name); err == nil {
				for each := range f.All() {
					c.fields = c.fields.With(each)
				}
			}
		}
	}
	var b []byte
	day, month := int64(24*3600), int64(30*24*3600)
	if p.PerDay > 0 {
		b = appendPolicy(b, nameDay, p.PerDay, day)
	}
	if p.PerMonth > 0 {
		if p.Window == customer.Calendar {
			month = 0 // months differ
		}
		b = appendPolicy(b, nameMonth, p.PerMonth, month)
	}
	if c.rate.Limit > 0 {
		b = appendPolicy(b, nameSecond, int64(c.rate.Limit), 1)
		if c.rate.Burst > 0 && c.rate.Burst != c.rate.Limit {
			b = strconv.AppendUint(append(b, ";ipwarden-burst="...), uint64(c.rate.Burst), 10)
		}
	}
	c.policy = string(b)
	return c
}

func (p *plan) terms(since time.Time) usage.Terms {
	return usage.Terms{PerDay: p.PerDay, PerMonth: p.PerMonth, Window: p.Window, Epoch: since}
}

// The names of a plan's limits, in RateLimit and in refusals.
const (
	nameDay    = "day"
	nameMonth  = "month"
	nameSecond = "second"
)

func clamp(n int64) uint32 { return uint32(min(max(n, 0), math.MaxUint32)) }
