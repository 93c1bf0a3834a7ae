package authz

import (
	"strconv"

	"github.com/ipwarden/ipwarden/limit"
)

func appendPolicy(dst []byte, name string, q, w int64) []byte {
	dst = appendName(dst, name)
	dst = strconv.AppendInt(append(dst, ";q="...), q, 10)
	if w > 0 {
		dst = strconv.AppendInt(append(dst, ";w="...), w, 10)
	}
	return dst
}

// appendName appends a name of a limit, which is letters, digits and "-".
func appendName(dst []byte, name string) []byte {
	if len(dst) > 0 {
		dst = append(dst, ", "...)
	}
	return append(append(append(dst, '"'), name...), '"')
}

func appendLeft(dst []byte, name string, r, t int64) []byte {
	dst = appendName(dst, name)
	dst = strconv.AppendInt(append(dst, ";r="...), max(r, 0), 10)
	return strconv.AppendInt(append(dst, ";t="...), max(t, 0), 10)
}

// AppendPolicy appends the value of RateLimit-Policy
// (draft-ietf-httpapi-ratelimit-headers-11 section 3): which limits the call has.
// Nothing is appended where there are none.
//
//	"day";q=1500;w=86400;ipwarden-window=calendar, "second";q=10;w=1
func (c *Call) AppendPolicy(dst []byte) []byte {
	switch {
	case c.by == nil, c.refused.Code.stranger():
	case c.anonymous:
		dst = append(dst, c.by.policy...)
	default:
		dst = append(dst, c.by.policy...)
		if c.key.detail != nil && c.key.detail.policy != "" {
			if len(dst) > 0 && c.by.policy != "" {
				dst = append(dst, ", "...)
			}
			dst = append(dst, c.key.detail.policy...)
		}
	}
	return dst
}

// AppendRateLimit appends the value of RateLimit (section 4): what is left of each
// limit, and for how many seconds. Of a call that a limit has refused only that is said.
//
//	"day";r=1374;t=3600, "second";r=9;t=1
func (c *Call) AppendRateLimit(dst []byte) []byte {
	start := len(dst)
	at := dst[start:] // names are separated from here on
	switch {
	case c.refused.Code == OverQuota || c.refused.Code == TooFast:
		at = appendLeft(at, c.refused.Limit, c.refused.Max-c.refused.Used, c.refused.Wait)
	case c.by == nil || c.refused.Code.stranger():
		return dst
	case c.anonymous:
		at = c.appendAnonymous(at)
	default:
		at = c.appendKeyed(at)
	}
	return append(dst[:start], at...)
}

func (c *Call) appendKeyed(dst []byte) []byte {
	k, now := c.key, c.Now.Unix()
	if c.by.PerDay > 0 || c.by.PerMonth > 0 {
		q := c.account.Quota()
		if c.by.PerDay > 0 {
			dst = appendLeft(dst, nameDay, q.Day.Left(), q.Day.Reset.Unix()-now)
		}
		if c.by.PerMonth > 0 {
			dst = appendLeft(dst, nameMonth, q.Month.Left(), q.Month.Reset.Unix()-now)
		}
	}
	if c.by.rate.Limit > 0 {
		left := c.left
		if c.refused.Code != Admitted { // it may have been refused before
			left = c.account.Desk.Burst.Take(c.since, &c.by.rate, 0).Remaining
		}
		dst = appendLeft(dst, nameSecond, int64(left), 1)
	}
	d := k.detail
	if d == nil || k.flags&flagLimits == 0 {
		return dst
	}
	if d.standing != nil {
		q := d.standing.Quota()
		if d.names[0] != "" {
			dst = appendLeft(dst, d.names[0], q.Day.Left(), q.Day.Reset.Unix()-now)
		}
		if d.names[1] != "" {
			dst = appendLeft(dst, d.names[1], q.Month.Left(), q.Month.Reset.Unix()-now)
		}
	}
	for i := range d.limits {
		l := &d.limits[i]
		res := l.cell.Take(c.since, &l.rate, 0)
		// So many in a window, from now: a client that believes it does no harm.
		dst = appendLeft(dst, l.rate.Name, int64(res.Remaining), int64(l.rate.Window.Seconds()))
	}
	return dst
}

func (c *Call) appendAnonymous(dst []byte) []byte {
	if c.limits > 0 && c.results[0].Limit == 0 {
		return dst // it was refused before they were asked
	}
	return append(dst, limit.AppendRateLimit(nil, c.requests[:c.limits], c.results[:c.limits])...)
}
