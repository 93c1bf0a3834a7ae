package gate

import (
	"strconv"

	"github.com/ipwarden/ipwarden/limit"
)

// Reply calls set with the headers that the client gets with the answer, whether
// the application's or a refusal: RateLimit-Policy and RateLimit as
// draft-ietf-httpapi-ratelimit-headers-11 has them, Retry-After, and the older
// X-RateLimit fields where the gate was told to send them. It allocates one
// string.
func (d *Decision) Reply(set func(name, value string)) {
	b := d.tuple[:0]
	if s := d.RetrySeconds(); s > 0 && !d.Passes() {
		b = strconv.AppendInt(b, int64(s), 10)
	}
	retry := len(b)
	if len(d.takes) > 0 && len(d.takes) == len(d.results) {
		b = limit.AppendRateLimit(b, d.takes, d.results)
	}
	rate := len(b)
	if rate > retry {
		b = limit.AppendPolicy(b, d.takes, d.results)
	}
	d.tuple = b[:0]
	if len(b) == 0 {
		return
	}
	text := string(b)
	if rate > retry {
		set(limit.HeaderRateLimit, text[retry:rate])
		set(limit.HeaderPolicy, text[rate:])
	}
	if retry > 0 {
		set(limit.HeaderRetryAfter, text[:retry])
	}
	if d.older && rate > retry {
		most, left, reset := limit.Legacy(d.results)
		set("X-Ratelimit-Limit", strconv.FormatUint(uint64(most), 10))
		set("X-Ratelimit-Remaining", strconv.FormatUint(uint64(left), 10))
		set("X-Ratelimit-Reset", strconv.FormatInt(reset, 10))
	}
}
