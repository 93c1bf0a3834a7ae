package api

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/ipwarden/ipwarden"
)

// params is a set of query parameters.
type params uint8

const (
	paramFields params = 1 << iota
	paramExplain
	paramFormat
	paramLimit
	paramFrom
	paramIP
)

var paramNames = [...]string{"fields", "explain", "format", "limit", "from", "ip"}

// options is what a query asks for. A cached one is shared and read-only.
type options struct {
	seen    params
	fields  ipwarden.Fields
	explain bool
	format  format // anyFormat: by Accept
	limit   int    // 0: not given
	from    string
	ip      string

	volatile bool // names the current time: never stored
	zoned    bool // shows what changes with the time zone's rules

	uses atomic.Int32
	kept atomic.Pointer[ipwarden.Kept] // nil until it is worth it
}

var zonedFields = ipwarden.FieldsOf(ipwarden.FieldTimeZoneAbbr, ipwarden.FieldTimeZoneOffset, ipwarden.FieldTimeZoneIsDST)

// queryCache keeps the parsed form of raw queries, since callers repeat theirs:
// finding one costs some 20 ns, parsing a field list microseconds. At most
// maxQueries of at most maxCachedQuery bytes are kept, about 300 KiB in all;
// a new one takes the place of any other.
//
// For the queries that are asked most, what was written of answers is kept as
// well: for maxKept of them and for requests without a query, at most 16.5 MiB each.
type queryCache struct {
	defaults *options // of a request without a query

	mu     sync.RWMutex
	parsed map[string]*options // guarded by mu
	kept   int                 // guarded by mu: how many of parsed have kept
}

const (
	maxQueries     = 512
	maxCachedQuery = 512
	maxKept        = 3
	usesToKeep     = 1000
)

func newQueryCache() *queryCache {
	c := &queryCache{defaults: &options{fields: ipwarden.DefaultFields(), zoned: true}, parsed: make(map[string]*options)}
	c.defaults.kept.Store(new(ipwarden.Kept))
	return c
}

// used counts a use of cached options, and begins to keep answers for them.
func (c *queryCache) used(o *options) {
	if o.kept.Load() != nil || o.explain || o.uses.Add(1) != usesToKeep {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept < maxKept {
		c.kept++
		o.kept.Store(new(ipwarden.Kept))
	}
}

// options parses the query of the request, which may use only the allowed
// parameters: a misspelt one would otherwise change nothing and say nothing.
func (x *exchange) options(allowed params) (*options, *problem) {
	if x.query == "" {
		return x.api.queries.defaults, nil
	}
	c := x.api.queries
	c.mu.RLock()
	o := c.parsed[x.query]
	c.mu.RUnlock()
	if o != nil {
		c.used(o)
	} else {
		var p *problem
		if o, p = parseQuery(strings.Clone(x.query), allowed); p != nil {
			return nil, p
		}
		if len(x.query) <= maxCachedQuery && o.seen&(paramFrom|paramIP) == 0 {
			c.add(strings.Clone(x.query), o)
		}
	}
	if extra := o.seen &^ allowed; extra != 0 {
		for i, name := range paramNames {
			if extra&(1<<i) != 0 {
				return nil, unknownParameter(name, allowed)
			}
		}
	}
	return o, nil
}

func (c *queryCache) add(query string, o *options) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.parsed) >= maxQueries {
		for k, old := range c.parsed {
			if old.kept.Load() != nil {
				continue
			}
			delete(c.parsed, k)
			break
		}
	}
	c.parsed[query] = o
}

func unknownParameter(name string, allowed params) *problem {
	var known []string
	for i, n := range paramNames {
		if allowed&(1<<i) != 0 {
			known = append(known, n)
		}
	}
	if len(known) == 0 {
		return badParameter(quoted(name)+" is not a parameter here; there are none.", exampleLookup)
	}
	return badParameter(quoted(name)+" is not a parameter here; there are "+strings.Join(known, ", ")+".",
		exampleLookup+"?fields=location.country_code,asn")
}

func parseQuery(query string, allowed params) (*options, *problem) {
	o := &options{fields: ipwarden.DefaultFields(), zoned: true}
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, ok1 := unescape(name, true)
		value, ok2 := unescape(value, true)
		if !ok1 || !ok2 {
			return nil, badParameter("The query has a percent sign that two hexadecimal digits do not follow; the sign itself is %25.",
				exampleLookup+"?fields=location.country_code")
		}
		bit := params(0)
		for i, n := range paramNames {
			if n == name {
				bit = 1 << i
			}
		}
		if bit == 0 {
			return nil, unknownParameter(name, allowed)
		}
		if o.seen&bit != 0 {
			// Two readers of one request must not see two requests.
			return nil, badParameter(quoted(name)+" is given more than once; give it once, with commas between the values where it takes several.",
				exampleLookup+"?fields=location.country_code,asn")
		}
		o.seen |= bit
		if p := o.set(bit, value); p != nil {
			return nil, p
		}
	}
	o.volatile = o.fields.Has(ipwarden.FieldTimeZoneCurrentTime)
	o.zoned = o.fields.Any(zonedFields)
	return o, nil
}

func (o *options) set(bit params, value string) *problem {
	switch bit {
	case paramFields:
		f, err := ipwarden.ParseFields(value)
		if err != nil {
			var fe *ipwarden.FieldError
			detail := "fields: " + err.Error()
			if errors.As(err, &fe) && fe.Name == "" {
				detail = "fields has an empty name in it; it takes dotted paths with commas between them"
			}
			if !strings.HasSuffix(detail, "?") {
				detail += "."
			}
			return badParameter(detail+" The paths are those of the JSON; a group's name means all of it.",
				exampleLookup+"?fields=location.country_code,asn,security.is_vpn")
		}
		o.fields = f
	case paramExplain:
		switch value {
		case "1", "true", "":
			o.explain = true
		case "0", "false":
		default:
			return badParameter("explain="+quoted(value)+" is neither 1 nor 0.", exampleLookup+"?explain=1")
		}
	case paramFormat:
		f, ok := formatNamed(value)
		if !ok {
			return badParameter("format="+quoted(value)+" is none of json, yaml, csv, text.", exampleLookup+"?format=yaml")
		}
		o.format = f
	case paramLimit:
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > maxLimit {
			return badParameter("limit="+quoted(value)+" is not a number from 1 to "+strconv.Itoa(maxLimit)+".",
				"GET /v1/network/8.8.8.0/24?limit=100")
		}
		o.limit = n
	case paramFrom:
		o.from = value
	case paramIP:
		o.ip = value
	}
	return nil
}

// unescape decodes %XX, and in a query + as a space. It returns s itself when
// there is nothing to decode; false when a percent sign stands alone.
func unescape(s string, query bool) (string, bool) {
	if strings.IndexByte(s, '%') < 0 && (!query || strings.IndexByte(s, '+') < 0) {
		return s, true
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '%':
			if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
				return "", false
			}
			b = append(b, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
		case c == '+' && query:
			b = append(b, ' ')
		default:
			b = append(b, c)
		}
	}
	return string(b), true
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c >= 'a':
		return c - 'a' + 10
	}
	return c - 'A' + 10
}
