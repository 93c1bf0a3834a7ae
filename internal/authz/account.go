package authz

import (
	"math"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage"
	"github.com/ipwarden/ipwarden/limit"
)

// What the keys of an account share stands at the Desk of its usage.Standing: the burst,
// a customer.Status, and the number of its plan in plans. It stays while keys change.

// plans are all that ever were, by number: 0 is none. A number stays with a name.
type plans struct {
	list   atomic.Pointer[[]*plan] // a new one with each change; nil in it is one that is not known yet
	number map[string]uint32       // guarded by Authorizer.mu
}

func (p *plans) at(n uint32) *plan { return (*p.list.Load())[n] }

// of is the number of a name. Authorizer.mu is held.
func (p *plans) of(name string) uint32 {
	n, ok := p.number[name]
	if !ok {
		list := append(slices.Clone(*p.list.Load()), nil)
		n = uint32(len(list) - 1)
		p.list.Store(&list)
		p.number[name] = n
	}
	return n
}

// set puts a plan in its place. Authorizer.mu is held.
func (p *plans) set(n uint32, to *plan) {
	list := slices.Clone(*p.list.Load())
	list[n] = to
	p.list.Store(&list)
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
	window := ";ipwarden-window=" + p.Window.String()
	if p.PerDay > 0 {
		b = append(appendPolicy(b, nameDay, p.PerDay, day), window...)
	}
	if p.PerMonth > 0 {
		if p.Window == customer.Calendar {
			month = 0 // months differ
		}
		b = append(appendPolicy(b, nameMonth, p.PerMonth, month), window...)
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
