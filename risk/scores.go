// Package risk turns what is known about an address into numbers a policy can
// compare: a weighted sum of named signals, whose weights are data.
//
// The call most people want:
//
//	s := risk.Scores(rec, time.Now()) // 0 to 100 for vpn, proxy, threat, trust
//
// and the call of a gate, which also knows the visitor's situation:
//
//	model.Assess(rec, risk.Situation{BillingCountry: "SE"}, now, &assessment)
//
// It is pure: the same Record and time give the same scores. It refuses to
// count one thing twice: a VPN's exit is in a data centre, and that says nothing
// more about it.
package risk

import (
	"time"

	"github.com/ipwarden/ipwarden"
)

// Weights of the signals, in points of 100. The zero Weights count nothing;
// start from [DefaultWeights].
type Weights struct {
	// The score of what is asserted by a list, fresh.
	VPN, Relay, Tor, Proxy, ResidentialProxy uint8
	// What a data centre alone says of a VPN or a proxy behind it.
	HostingVPN, HostingProxy uint8
	// Threat: each trait, and each further blocklist that agrees.
	Attacker, Abuser, Scanner, Listing uint8
	// TorThreat is the threat of an exit by itself: much abuse leaves through it.
	TorThreat uint8
	// HalfLife is the age at which a blocklist's word weighs half.
	HalfLife time.Duration
	// Trust begins at TrustBase; an announced address about which nothing bad is
	// known gains TrustClean, a verified crawler TrustCrawler.
	TrustBase, TrustClean, TrustCrawler uint8
}

// DefaultWeights are documented in docs/scores.md.
func DefaultWeights() Weights {
	return Weights{
		VPN: 90, Relay: 40, Tor: 80, Proxy: 95, ResidentialProxy: 95,
		HostingVPN: 35, HostingProxy: 25,
		Attacker: 70, Abuser: 60, Scanner: 30, Listing: 10, TorThreat: 30,
		HalfLife:  90 * 24 * time.Hour,
		TrustBase: 60, TrustClean: 30, TrustCrawler: 40,
	}
}

// Scores computes the four scores of the JSON with the default weights. It does
// not allocate.
func Scores(r ipwarden.Record, now time.Time) ipwarden.Scores {
	return DefaultWeights().Scores(r, now)
}

// Scores computes the four scores. A score is a sum of its signals, at most 100.
func (w Weights) Scores(r ipwarden.Record, now time.Time) ipwarden.Scores {
	t := r.Traits()
	if t.Has(ipwarden.Bogon) {
		return ipwarden.Scores{} // nobody's address: nothing to score
	}
	var s ipwarden.Scores
	// Of signals that mean the same thing the strongest counts.
	s.VPN = strongest(t, ipwarden.VPN, w.VPN, ipwarden.Relay, w.Relay, ipwarden.Hosting, w.HostingVPN)
	s.Proxy = strongest(t, ipwarden.Proxy|ipwarden.ResidentialProxy, max(w.Proxy, w.ResidentialProxy), ipwarden.Tor, w.Tor, ipwarden.Hosting, w.HostingProxy)
	if t.Has(ipwarden.Crawler) { // verified: in a data centre, and no proxy
		s.VPN, s.Proxy = 0, 0
	}
	s.Threat = w.threat(r, t, now)
	trust := int(w.TrustBase)
	if t.Has(ipwarden.Crawler) {
		trust += int(w.TrustCrawler)
	}
	if r.ASNumber() != 0 && !t.Has(ipwarden.Hosting|ipwarden.Anonymous|ipwarden.Threat|ipwarden.Scanner) {
		trust += int(w.TrustClean)
	}
	trust -= int(s.Threat) * 6 / 10
	trust -= int(max(s.VPN, s.Proxy)) * 3 / 10
	s.Trust = clamp(trust)
	return s
}

// strongest returns the largest weight of the traits that are there.
func strongest(t ipwarden.Traits, a ipwarden.Traits, wa uint8, b ipwarden.Traits, wb uint8, c ipwarden.Traits, wc uint8) (s uint8) {
	if t.Has(a) {
		s = wa
	}
	if t.Has(b) {
		s = max(s, wb)
	}
	if t.Has(c) {
		s = max(s, wc)
	}
	return s
}

// threat adds up traits and blocklists; each list's word fades with its age.
func (w Weights) threat(r ipwarden.Record, t ipwarden.Traits, now time.Time) uint8 {
	said := 0 // by blocklists, whose word fades
	for _, v := range [...]struct {
		trait  ipwarden.Traits
		weight uint8
	}{{ipwarden.Attacker, w.Attacker}, {ipwarden.Abuser, w.Abuser}, {ipwarden.Scanner, w.Scanner}} {
		if t.Has(v.trait) {
			said = max(said, int(v.weight))
		}
	}
	base := 0
	if t.Has(ipwarden.Tor) {
		base = int(w.TorThreat)
	}
	if said == 0 {
		return uint8(base)
	}
	lists := r.Security().Listings
	freshest := 100 // percent; without a list's date the trait stands as it is
	if len(lists) > 0 {
		freshest = 0
		for i := range lists {
			freshest = max(freshest, freshness(lists[i].Date, now, w.HalfLife, 10))
		}
	}
	sum := said * freshest / 100
	if n := len(lists) - 1; n > 0 {
		sum += n * int(w.Listing) * freshest / 100
	}
	return clamp(max(sum, base))
}

// freshness is the percentage that a date's word still weighs: half of it for
// each half-life, by straight lines between, and never less than the floor.
func freshness(seen, now time.Time, halfLife time.Duration, floor int) int {
	if seen.IsZero() || halfLife <= 0 {
		return 100
	}
	age := now.Sub(seen)
	weight := 100
	for ; age >= halfLife && weight > floor; age -= halfLife {
		weight /= 2
	}
	if age > 0 && age < halfLife {
		weight -= int(int64(weight) / 2 * int64(age/time.Millisecond) / max(int64(halfLife/time.Millisecond), 1))
	}
	return max(weight, floor)
}

func clamp(n int) uint8 { return uint8(min(max(n, 0), 100)) }
