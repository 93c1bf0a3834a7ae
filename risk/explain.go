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
		x.Reasons = append(x.Reasons, reason)
	}
	return x
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
