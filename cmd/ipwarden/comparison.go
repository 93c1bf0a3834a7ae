package main

import (
	"maps"
	"math/bits"
	"slices"
	"strings"
	"sync"

	"github.com/ipwarden/ipwarden"
)

// comparedFields are those in which a provider is compared with the data.
var comparedFields = [...]ipwarden.Field{
	ipwarden.FieldCountryCode, ipwarden.FieldRegion, ipwarden.FieldCity, ipwarden.FieldASNumber, ipwarden.FieldASName,
	ipwarden.FieldIsVPN, ipwarden.FieldIsProxy, ipwarden.FieldIsTor, ipwarden.FieldIsRelay, ipwarden.FieldIsHosting,
	ipwarden.FieldIsAttacker, ipwarden.FieldIsAbuser, ipwarden.FieldIsMobile,
}

// agreement is how often two say the same of a field.
type agreement struct {
	same, differ         uint64 // both say something
	oursOnly, theirsOnly uint64
}

// share is how often both say the same, of when both say something; false without
// any.
func (a agreement) share() (float64, bool) {
	n := a.same + a.differ
	return float64(a.same) / float64(max(n, 1)), n > 0
}

// comparison adds up what two say of many addresses. It is safe for concurrent use.
type comparison struct {
	mu        sync.Mutex // guards the rest
	addresses uint64
	failed    uint64
	fields    [len(comparedFields)]agreement
	countries map[string]agreement // of the country, by the country that we say
}

// add compares two answers about one address.
func (c *comparison) add(ours, theirs ipwarden.Record, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.failed++
		return
	}
	c.addresses++
	var v ipwarden.View
	told := knownTraits(theirs)
	for i, f := range comparedFields {
		a, _ := v.AppendText(nil, ours, f)
		b, _ := v.AppendText(nil, theirs, f)
		if t := f.Traits(); t != 0 {
			// A no of those who never say it is nothing.
			if string(b) == "false" && !told.Has(t) {
				b = nil
			}
		}
		c.fields[i].add(string(a), string(b))
		if f == ipwarden.FieldCountryCode && len(a) > 0 {
			if c.countries == nil {
				c.countries = map[string]agreement{}
			}
			n := c.countries[string(a)]
			n.add(string(a), string(b))
			c.countries[string(a)] = n // at most as many as there are countries
		}
	}
}

func (a *agreement) add(ours, theirs string) {
	switch {
	case ours == "" && theirs == "":
	case theirs == "":
		a.oursOnly++
	case ours == "":
		a.theirsOnly++
	case strings.EqualFold(ours, theirs):
		a.same++
	default:
		a.differ++
	}
}

// knownTraits are those that an answer speaks of, yes or no.
func knownTraits(r ipwarden.Record) ipwarden.Traits {
	t := r.Traits()
	for _, e := range r.Evidence() {
		if one := e.Field.Traits(); bits.OnesCount32(uint32(one)) == 1 { // a union says nothing of each
			t |= one
		}
	}
	return t
}

// byCountry returns the countries, those with the most addresses first.
func (c *comparison) byCountry() []string {
	return slices.SortedFunc(maps.Keys(c.countries), func(a, b string) int {
		x, y := c.countries[a], c.countries[b]
		if n := int(y.same+y.differ+y.oursOnly) - int(x.same+x.differ+x.oursOnly); n != 0 {
			return n
		}
		return strings.Compare(a, b)
	})
}
