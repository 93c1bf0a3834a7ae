package limit

import (
	"strconv"
	"time"
)

// The names of the fields below, and the problem type of a refusal
// (draft-ietf-httpapi-ratelimit-headers-11 sections 3, 4 and 5.1; RFC 9110
// section 10.2.3).
const (
	HeaderPolicy     = "Ratelimit-Policy"
	HeaderRateLimit  = "Ratelimit"
	HeaderRetryAfter = "Retry-After"

	ProblemQuotaExceeded      = "https://iana.org/assignments/http-problem-types#quota-exceeded"
	ProblemQuotaExceededTitle = "Request cannot be satisfied as assigned quota has been exceeded"
)

// AppendPolicy appends the value of RateLimit-Policy: which limits there are. A
// name that several requests have (an address and the networks round it) is
// there once, with its tightest result. results are those of reqs.
//
//	"address";q=50;w=60, "login";q=3;w=3600
func AppendPolicy(dst []byte, reqs []Request, results []Result) []byte {
	start := len(dst)
	for i := range reqs {
		if !named(reqs, results, i, false) {
			continue
		}
		rate, q := reqs[i].Rate, reqs[i].Rate.quota(reqs[i].Raise)
		dst = appendName(dst, start, rate.Name)
		dst = append(dst, ";q="...)
		dst = strconv.AppendUint(dst, q.limit, 10)
		if rate.Window >= time.Second { // w is in whole seconds, and not 0
			dst = append(dst, ";w="...)
			dst = strconv.AppendInt(dst, seconds(rate.Window), 10)
		}
		if q.burst != q.limit {
			dst = append(dst, ";ipwarden-burst="...)
			dst = strconv.AppendUint(dst, q.burst, 10)
		}
	}
	return dst
}

// AppendRateLimit appends the value of RateLimit: what is left (r) and for how
// long (t). t is such that r in t is no more than the rate, so a client that
// believes it does no harm. If the Take was denied, only what denied it is said,
// and t is the wait: Retry-After is then never earlier than a t.
//
//	"address";r=12;t=45
func AppendRateLimit(dst []byte, reqs []Request, results []Result) []byte {
	start := len(dst)
	denied := !Allowed(results)
	for i := range reqs {
		if !named(reqs, results, i, denied) {
			continue
		}
		dst = appendName(dst, start, reqs[i].Rate.Name)
		dst = append(dst, ";r="...)
		dst = strconv.AppendUint(dst, uint64(results[i].Remaining), 10)
		dst = append(dst, ";t="...)
		dst = strconv.AppendInt(dst, seconds(effective(reqs[i].Rate, &results[i])), 10)
	}
	return dst
}

// RetryAfter returns the value of Retry-After for a denied Take, in whole
// seconds, rounded up: after it none of its limits denies. It is 0 for an
// allowed one.
func RetryAfter(results []Result) int64 {
	var wait time.Duration
	for i := range results {
		if !results[i].Allowed {
			wait = max(wait, results[i].RetryAfter, 1)
		}
	}
	return seconds(wait)
}

// Legacy returns the values of the older X-RateLimit-Limit, -Remaining and
// -Reset: those of the tightest result. reset is in seconds from now.
func Legacy(results []Result) (limit, remaining uint32, reset int64) {
	i := Tightest(results)
	if i < 0 {
		return 0, 0, 0
	}
	r := &results[i]
	if !r.Allowed {
		return r.Limit, r.Remaining, seconds(r.RetryAfter)
	}
	return r.Limit, r.Remaining, seconds(r.Reset)
}

// Violated appends the names of the limits that denied, each once: the member
// violated-policies of the problem type.
func Violated(dst []string, reqs []Request, results []Result) []string {
	for i := range reqs {
		if named(reqs, results, i, true) {
			dst = append(dst, reqs[i].Rate.Name)
		}
	}
	return dst
}

// named reports whether request i speaks for its name: of those with the same
// name the tightest, the first of equals; of the denied ones only, if asked.
func named(reqs []Request, results []Result, i int, denied bool) bool {
	if denied && results[i].Allowed {
		return false
	}
	for j := range reqs {
		switch {
		case j == i || reqs[j].Rate.Name != reqs[i].Rate.Name || denied && results[j].Allowed:
		case results[j].tighter(&results[i]), j < i && !results[i].tighter(&results[j]):
			return false
		}
	}
	return true
}

// effective is the window in which no more than what is left may be used
// (section 4.1.2 of the draft); section 8.5 asks for a bound on their ratio.
func effective(r *Rate, res *Result) time.Duration {
	if !res.Allowed {
		return res.RetryAfter
	}
	if res.Limit == 0 {
		return res.Reset
	}
	return max(res.Reset, time.Duration(float64(r.Window)*float64(res.Remaining)/float64(res.Limit)))
}

func seconds(d time.Duration) int64 {
	return int64((max(d, 0) + time.Second - 1) / time.Second)
}

// appendName appends a String (RFC 9651 section 4.1.6), after a comma if there
// is something since start. What a String cannot hold is a question mark: names
// are printable ASCII where policies make them.
func appendName(dst []byte, start int, name string) []byte {
	if len(dst) > start {
		dst = append(dst, ", "...)
	}
	dst = append(dst, '"')
	for _, c := range []byte(name) {
		switch {
		case c < 0x20 || c > 0x7e:
			c = '?'
		case c == '"' || c == '\\':
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}
