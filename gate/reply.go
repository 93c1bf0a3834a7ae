package gate

import (
	"strconv"

	"github.com/ipwarden/ipwarden/limit"
)

// Reply calls set with the headers that the client gets with the answer, whether
// the application's or a refusal: RateLimit-Policy and RateLimit as
// draft-ietf-httpapi-ratelimit-headers-11 has them, Retry-After, and the older
// X-RateLimit fields where the gate was told to send them. With
// [Config.RateLimitOnRefusals] a request that goes on gets none. The values are in d's
// memory: who keeps one for longer than until d is used again clones it.
func (d *Decision) Reply(set func(name, value string)) {
	passes := d.Passes()
	if passes && d.enriching&tellLimits == 0 {
		return
	}
	b := d.text
	said := func(name string, to []byte) {
		value := to[len(b):]
		if b = to; len(value) > 0 {
			set(name, alias(value))
		}
	}
	limited := len(d.takes) > 0 && len(d.takes) == len(d.results)
	if limited {
		said(limit.HeaderRateLimit, limit.AppendRateLimit(b, d.takes, d.results))
		if len(d.takes) == 1 && d.takes[0].Raise <= 1 { // it is always the same
			set(limit.HeaderPolicy, d.program.policies[d.from[0].limit.Index])
		} else {
			said(limit.HeaderPolicy, limit.AppendPolicy(b, d.takes, d.results))
		}
	}
	if s := d.RetrySeconds(); s > 0 && !passes {
		said(limit.HeaderRetryAfter, strconv.AppendInt(b, int64(s), 10))
	}
	if d.older && limited {
		most, left, reset := limit.Legacy(d.results)
		said("X-Ratelimit-Limit", strconv.AppendUint(b, uint64(most), 10))
		said("X-Ratelimit-Remaining", strconv.AppendUint(b, uint64(left), 10))
		said("X-Ratelimit-Reset", strconv.AppendInt(b, reset, 10))
	}
	d.text = b
}
