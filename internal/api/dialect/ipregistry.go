package dialect

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// ipregistry is api.ipregistry.co: /8.8.8.8, / for who asks, /AS15169, and arrays
// of either by POST. Every key is always there; what is not known is null.
type ipregistry struct{}

// What the vendor allows in one array.
const (
	maxRegistryBatch   = 1024
	maxRegistrySystems = 16
	maxRegistryAgents  = 256
)

func (v ipregistry) serve(c *Call) {
	var s [maxSegments]string
	n := segments(c.path, &s)
	if n < 0 || n > 1 {
		c.fail(notFound)
		return
	}
	filter, err := parseFilter(param(c.Query, "fields"))
	if err != nil {
		c.registryFail(&irBadFilter, "It "+err.Error()+".")
		return
	}
	switch {
	case c.Method == http.MethodPost && n == 0:
		v.batch(c, filter)
	case c.Method == http.MethodPost && s[0] == "user_agent":
		v.agents(c, filter)
	case c.Method == http.MethodPost:
		c.fail(wrongMethod)
	case n == 0:
		v.origin(c, filter)
	case s[0] == "AS":
		v.originAS(c, filter)
	case s[0] == "user_agent":
		v.originAgent(c, filter)
	default:
		if number, isAS, ok := registryAS(s[0]); isAS {
			v.as(c, number, ok, filter)
			return
		}
		v.address(c, s[0], filter)
	}
}

// registryAS reads "AS15169"; whatever begins like one is meant to be one, since
// no address has an S.
func registryAS(s string) (n uint32, isAS, ok bool) {
	if len(s) < 2 || !strings.EqualFold(s[:2], "AS") {
		return 0, false, false
	}
	n, _, ok = parseAS(s)
	return n, true, ok
}

func (ipregistry) address(c *Call, text string, filter *filter) {
	addr, ok := parseAddr(text)
	if !ok {
		c.registryFail(&irInvalidIP, "")
		return
	}
	rec, ok := c.look(addr)
	if !ok {
		return
	}
	if e := registryMiss(rec); e != nil {
		c.registryFail(e, "")
		return
	}
	c.registryCredits(1)
	from := len(c.Out)
	c.Out = append(appendRegistry(c.Out, c, rec), '}')
	c.registryFilter(filter, from)
	c.about(rec)
	c.Volatile = filter == nil || bytes.Contains(c.Out, []byte(`"current_time"`))
}

// origin answers who asks, and adds what the vendor says about the user agent.
func (ipregistry) origin(c *Call, filter *filter) {
	rec, ok := c.own()
	if !ok {
		return
	}
	if e := registryMiss(rec); e != nil {
		c.registryFail(e, "")
		return
	}
	c.registryCredits(1)
	from := len(c.Out)
	c.Out = appendRegistry(c.Out, c, rec)
	c.Out = append(appendAgent(append(c.Out, `,"user_agent":`...), c.agent()), '}')
	c.registryFilter(filter, from)
	c.about(rec)
	c.Volatile = true
}

// agent is what who asks calls itself.
func (c *Call) agent() string {
	if h := c.Transport.Fields(); h != nil {
		return first(h, "User-Agent")
	}
	return ""
}

func (ipregistry) originAgent(c *Call, filter *filter) {
	c.registryCredits(1)
	from := len(c.Out)
	c.Out = appendAgent(c.Out, c.agent())
	c.registryFilter(filter, from)
	c.Private = true
}

func (v ipregistry) originAS(c *Call, filter *filter) {
	rec, ok := c.own()
	if !ok {
		return
	}
	if e := registryMiss(rec); e != nil {
		c.registryFail(e, "")
		return
	}
	v.as(c, rec.ASNumber(), true, filter)
	c.Private = true
}

func (ipregistry) as(c *Call, number uint32, ok bool, filter *filter) {
	from := len(c.Out)
	out, e := appendRegistryAS(c.Out, c, number, ok)
	if e != nil {
		c.registryFail(e, "")
		return
	}
	c.registryCredits(1)
	c.Out = out
	c.registryFilter(filter, from)
	c.Keep = KeepDay
}

// registryItems reads the array of a bulk question, or answers what is wrong with
// it; tooMany is the mistake of having more than most.
func (c *Call) registryItems(most int, tooMany *registryError) (items []json.RawMessage, ok bool) {
	body, ok := c.body()
	if !ok {
		return nil, false
	}
	items, err := arrayItems(body, c.bulk(most))
	if err != nil {
		e := &irBadRequest
		if err == errTooMany {
			e = tooMany
		}
		c.registryFail(e, "")
	}
	return items, err == nil
}

// batch answers an array of addresses or numbers of autonomous systems, each
// with its answer or its mistake.
func (v ipregistry) batch(c *Call, filter *filter) {
	items, ok := c.registryItems(maxRegistryBatch, &irTooManyIPs)
	if !ok {
		return
	}
	systems := 0
	for _, item := range items {
		var text string
		if json.Unmarshal(item, &text) == nil {
			if _, isAS, _ := registryAS(text); isAS {
				systems++
			}
		}
	}
	if systems > maxRegistrySystems {
		c.registryFail(&irTooManyASNs, "")
		return
	}
	if !c.admit(len(items) - 1) {
		return
	}
	c.registryCredits(len(items))
	c.Out = append(c.Out, `{"results":[`...)
	for i, item := range items {
		if i > 0 {
			c.Out = append(c.Out, ',')
		}
		if !v.item(c, item, filter) {
			return
		}
	}
	c.Out = append(c.Out, `]}`...)
}

// item appends the answer to one item; on false a failure is written.
func (ipregistry) item(c *Call, raw json.RawMessage, filter *filter) bool {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		c.Out = irInvalidIP.append(c.Out, "")
		return true
	}
	from := len(c.Out)
	if number, isAS, ok := registryAS(text); isAS {
		out, e := appendRegistryAS(c.Out, c, number, ok)
		if e != nil {
			c.Out = e.append(c.Out, "")
			return true
		}
		c.Out = out
		c.registryFilter(filter, from)
		return true
	}
	var addr netip.Addr
	addr, ok := parseAddr(text)
	if !ok {
		c.Out = irInvalidIP.append(c.Out, "")
		return true
	}
	rec, ok := c.look(addr)
	if !ok {
		return false
	}
	if e := registryMiss(rec); e != nil {
		c.Out = e.append(c.Out, "")
		return true
	}
	c.Out = append(appendRegistry(c.Out, c, rec), '}')
	c.registryFilter(filter, from)
	return true
}

// agents answers POST /user_agent. We repeat what a client says of itself, and
// read nothing in it.
func (ipregistry) agents(c *Call, filter *filter) {
	items, ok := c.registryItems(maxRegistryAgents, &irTooManyUAs)
	if !ok {
		return
	}
	if !c.admit(len(items) - 1) {
		return
	}
	c.registryCredits(len(items))
	c.Out = append(c.Out, `{"results":[`...)
	for i, item := range items {
		if i > 0 {
			c.Out = append(c.Out, ',')
		}
		var agent string
		if json.Unmarshal(item, &agent) != nil {
			c.Out = irBadRequest.append(c.Out, "")
			continue
		}
		from := len(c.Out)
		c.Out = appendAgent(c.Out, agent)
		c.registryFilter(filter, from)
	}
	c.Out = append(c.Out, `]}`...)
}

// registryCredits tells how many look-ups the answer has.
func (c *Call) registryCredits(n int) {
	one := "1"
	if n != 1 {
		one = strconv.Itoa(n)
	}
	c.line("Ipregistry-Credits-Consumed", one)
	if _, left, ok := c.quota(); ok {
		c.line("Ipregistry-Credits-Remaining", strconv.FormatInt(left, 10))
	}
}

// registryFilter leaves of the object that was written from a place on what the
// filter wants.
func (c *Call) registryFilter(f *filter, from int) {
	if f == nil {
		return
	}
	c.scratch = append(c.scratch[:0], c.Out[from:]...)
	c.Out = f.append(c.Out[:from], c.scratch)
}
