package ipwarden

import "time"

// Asserter is a [Backing] that can tell, without reading its evidence, whose
// word a trait of an answer is.
type Asserter interface {
	// Asserted returns the feed behind a single trait of an answer and as of when
	// it says so. Where the Backing keeps several feeds and not which of them, it
	// returns the freshest that may be; "" and the zero time when it cannot tell.
	// It does not allocate.
	Asserted(id uint32, t Traits) (feed string, asOf time.Time)
}

// Asserted returns whose word a single trait is, and as of when: what policies
// and scores need of the evidence, without its cost. The feed is "" and the time
// zero when that is not known.
func (r Record) Asserted(t Traits) (feed string, asOf time.Time) {
	if r.store == nil {
		return "", time.Time{}
	}
	if a, ok := r.store.backing.(Asserter); ok {
		return a.Asserted(r.id(), t)
	}
	return "", r.Date()
}
