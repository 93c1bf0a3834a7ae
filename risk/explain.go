package risk

import (
	"time"

	"github.com/ipwarden/ipwarden"
)

// An Explanation is a score with everybody who stands behind it.
type Explanation struct {
	Score   uint8
	Sum     int
	Shared  bool
	Sharing string
	Reasons []Reason
}

// A Reason is one contribution and the feeds that assert it.
type Reason struct {
	Contribution
	// Field of the answer behind the signal, such as security.is_vpn.
	Field ipwarden.Field
	// Value is what the field says: "true", "isp", the country.
	Value string
	// By has every feed that says so, with its licence, row and date; none where
	// the application or the request says it.
	By []ipwarden.Claim
	// Age of what the points were faded by, 0 when it has no date.
	Age time.Duration
	// StandsIn: Feed is none of those in By. It is the freshest that may assert the
	// signal, which Assess takes where an answer keeps no feed. What the evidence
	// itself would have given is in ExactPoints and ExactAge; elsewhere they are
	// Points and Age.
	StandsIn    bool
	ExactPoints int16
	ExactAge    time.Duration
}

// Explain gives the score that Assess gives, with the evidence. It allocates and
// may take a millisecond.
func (m *Model) Explain(r ipwarden.Record, s Situation, now time.Time) Explanation {
	var a Assessment
	m.Assess(r, s, now, &a)
	x := Explanation{Score: a.Score, Sum: a.Sum, Shared: a.Shared, Sharing: a.Sharing}
	if a.n == 0 {
		return x
	}
	evidence := r.Evidence()
	for _, c := range a.Contributions() {
		reason := Reason{Contribution: c, Field: c.Signal.field()}
		if !c.Date.IsZero() {
			reason.Age = max(now.Sub(c.Date), 0)
		}
		for _, e := range evidence {
			if e.Field == reason.Field && c.Signal != SignalCrawlerClaim {
				reason.Value, reason.By = e.Value, e.By
			}
		}
		m.exact(&reason, r, now)
		x.Reasons = append(x.Reasons, reason)
	}
	return x
}

// exact fills in what the freshest of those who say so would have given.
func (m *Model) exact(r *Reason, of ipwarden.Record, now time.Time) {
	r.ExactPoints, r.ExactAge = r.Points, r.Age
	if r.Feed == "" || signalTraits[r.Signal] == 0 {
		return
	}
	if feed, at := of.Asserted(signalTraits[r.Signal]); feed != r.Feed || !at.Equal(r.Date) {
		return // it is a blocklist's own
	}
	var seen time.Time
	for _, c := range r.By {
		if c.Feed == r.Feed {
			return
		}
		if c.Date.After(seen) {
			seen = c.Date
		}
	}
	if seen.IsZero() {
		return
	}
	r.StandsIn, r.ExactAge = true, max(now.Sub(seen), 0)
	if r.Points != 0 { // else it is counted as another signal
		var a Assessment
		m.add(&a, r.Signal, r.Feed, seen, now)
		r.ExactPoints = a.all[0].Points
	}
}

// field is the field of the answer behind a signal.
func (s Signal) field() ipwarden.Field {
	switch s {
	case SignalListings:
		return ipwarden.FieldListings
	case SignalResidential:
		return ipwarden.FieldASKind
	case SignalBillingCountry, SignalLastCountry:
		return ipwarden.FieldCountryCode
	case SignalCrawlerClaim:
		return ipwarden.FieldIsCrawler
	}
	return ipwarden.FieldOf(signalTraits[s])
}
