package authz

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage"
	"github.com/ipwarden/ipwarden/limit"
)

// flags are what a check of most keys needs to know of it.
type flags uint32

const (
	flagTest flags = 1 << iota
	flagPublishable
	flagRevoked   // what ends it is that it was taken back
	flagEnded     // that was at once: no clock is asked
	flagRestricts // detail has networks, origins or endpoints
	flagLimits    // detail has limits
	flagScope     // the first scope; those after it follow
)

// A Scope is what a call needs of a key.
type Scope uint8

const (
	Lookup Scope = iota
	Decide
	Usage
	Keys
)

var scopeNames = [...]string{customer.ScopeLookup, customer.ScopeDecide, customer.ScopeUsage, customer.ScopeKeys}

func (s Scope) String() string { return scopeNames[s] }

func (s Scope) flag() flags { return flagScope << s }

// A detail is what restricts a key. It does not change, but for the cells.
type detail struct {
	networks  []netip.Prefix
	origins   []origin
	endpoints []string
	limits    []keyLimit
	standing  *usage.Standing // of the key's own day and month; nil without
	policy    string          // of its own limits, for RateLimit-Policy
	names     [2]string       // of its limits of a day and a month
}

// A keyLimit is a bound of the key's own for a second, a minute or an hour.
type keyLimit struct {
	rate limit.Rate
	cell *limit.Cell // stays when the key is changed
}

// newFlags tells what newDetail does not.
func newFlags(k *customer.Key) (f flags) {
	if k.Mode == customer.Test {
		f |= flagTest
	}
	if k.Kind == customer.Publishable {
		f |= flagPublishable
	}
	if k.Scopes == nil {
		return f | Lookup.flag()
	}
	for i, name := range scopeNames {
		if slices.Contains(k.Scopes, name) {
			f |= Scope(i).flag()
		}
	}
	return f
}

// newDetail returns nil when nothing restricts the key. before is what it was.
func newDetail(k *customer.Key, before *detail) (d *detail, f flags) {
	if len(k.Networks) == 0 && len(k.Origins) == 0 && len(k.Endpoints) == 0 && len(k.Limits) == 0 && k.Kind == customer.Secret {
		return nil, 0
	}
	d = &detail{endpoints: slices.Clone(k.Endpoints)}
	for _, p := range k.Networks {
		d.networks = append(d.networks, p.Masked())
	}
	for _, o := range k.Origins {
		d.origins = append(d.origins, newOrigin(o))
	}
	if len(d.networks)+len(d.origins)+len(d.endpoints) > 0 || k.Kind == customer.Publishable {
		f |= flagRestricts
	}
	var policy []byte
	for _, l := range k.Limits {
		f |= flagLimits
		l.Name = ownName(l.Name)
		var window time.Duration
		switch l.Per {
		case customer.PerSecond:
			window = time.Second
		case customer.PerMinute:
			window = time.Minute
		case customer.PerHour:
			window = time.Hour
		case customer.PerDay:
			d.names[0] = l.Name
			policy = appendPolicy(policy, l.Name, l.N, 24*3600)
			continue
		default:
			d.names[1] = l.Name
			policy = appendPolicy(policy, l.Name, l.N, 0)
			continue
		}
		own := keyLimit{rate: limit.Rate{Name: l.Name, Limit: clamp(l.N), Window: window}}
		if before != nil {
			for _, b := range before.limits {
				if b.rate.Name == l.Name && b.rate.Window == window {
					own.cell = b.cell
				}
			}
		}
		if own.cell == nil {
			own.cell = new(limit.Cell)
		}
		d.limits = append(d.limits, own)
		policy = appendPolicy(policy, l.Name, l.N, int64(window/time.Second))
	}
	d.policy = string(policy)
	return d, f
}

// ownName is what a key's own limit is called in RateLimit, where the plan's are too: a
// name is there once.
func ownName(name string) string {
	switch name {
	case nameDay, nameMonth, nameSecond:
		return "key-" + name
	}
	return name
}

// ownTerms are a key's own bounds of a day and a month; false when it has none.
func ownTerms(k *customer.Key, w customer.Window) (t usage.Terms, ok bool) {
	t.Window = w
	for _, l := range k.Limits {
		switch l.Per {
		case customer.PerDay:
			t.PerDay, ok = l.N, true
		case customer.PerMonth:
			t.PerMonth, ok = l.N, true
		}
	}
	return t, ok
}

// admits says what about the call the key is not for; "" for nothing.
func (d *detail) admits(c *Call, publishable bool) (Code, bool) {
	if len(d.networks) > 0 {
		inside := false
		for _, p := range d.networks {
			if p.Contains(c.Client) {
				inside = true
				break
			}
		}
		if !inside {
			return WrongAddress, false
		}
	}
	if publishable || len(d.origins) > 0 {
		if !d.fromOrigin(c) {
			return WrongOrigin, false
		}
	}
	if len(d.endpoints) > 0 && !slices.ContainsFunc(d.endpoints, func(e string) bool { return below(c.Path, e) }) {
		return WrongEndpoint, false
	}
	return 0, true
}

// below reports whether path is e or stands below it.
func below(path, e string) bool {
	e = strings.TrimSuffix(e, "/")
	return strings.HasPrefix(path, e) && (len(path) == len(e) || path[len(e)] == '/')
}
