package update

import (
	"net/http"
	"strconv"
	"time"
)

// Retries of one file. Publishers are other people's servers: few tries, far
// apart, and none for what will not change.
const (
	maxAttempts  = 4
	firstPause   = time.Second
	longestPause = 30 * time.Second
	// maxRetryAfter is how long a publisher may make the whole update wait;
	// when it asks for more, the feed keeps its copy until the next run.
	maxRetryAfter = time.Minute
)

// pause is how long to wait before attempt n (2 is the first retry): doubling,
// with full jitter, so that a fleet does not return in step. random is in [0,1).
func pause(n int, random float64) time.Duration {
	d := min(firstPause<<(n-2), longestPause)
	return d/2 + time.Duration(random*float64(d/2))
}

// retryAfter reads the header (RFC 9110 section 10.2.3): seconds or a date.
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	v := h.Get("Retry-After")
	if v == "" {
		return 0, false
	}
	if s, err := strconv.Atoi(v); err == nil && s >= 0 && s < 1<<30 {
		return time.Duration(s) * time.Second, true
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(t.Sub(now), 0), true
	}
	return 0, false
}

// transient reports whether a status may be different in a moment.
func transient(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= 500 && status != http.StatusNotImplemented && status != http.StatusHTTPVersionNotSupported
}
