package risk

import (
	"time"

	"github.com/ipwarden/ipwarden"
)

// A Signal is one thing that raises or lowers the score.
type Signal uint8

// The signals. Within a group only the strongest counts, because its members
// are found together: a VPN's exit is in a data centre, a Tor exit is on the
// lists of proxies, an attacker is reported for abuse.
const (
	NoSignal Signal = iota

	// Who hides behind the address. Of a relay and of a verified crawler hosting
	// is no signal: they are in data centres by their nature.
	SignalTor
	SignalResidentialProxy
	SignalProxy
	SignalVPN
	SignalRelay
	SignalHosting

	// What the address has done.
	SignalAttacker
	SignalAbuser
	SignalScanner

	SignalListings     // each blocklist beyond the freshest, when one of the group above is there
	SignalCrawlerClaim // it says that it is a crawler, and nothing confirms it

	// Where it is, and should not be.
	SignalBillingCountry // not the country of the bill
	SignalLastCountry    // not the country of the last visit

	// What speaks for the address. Their points are negative.
	SignalCrawler     // published by the crawler's operator
	SignalResidential // the AS is an ISP's, and this is no data centre in it
	SignalMobile      // cellular network

	numSignals
)

var signalNames = [numSignals]string{
	"", "tor", "residential_proxy", "proxy", "vpn", "relay", "hosting",
	"attacker", "abuser", "scanner", "listings", "crawler_claim",
	"billing_country", "last_country", "crawler", "residential", "mobile",
}

// String returns the name in policies: "residential_proxy".
func (s Signal) String() string {
	if s < numSignals {
		return signalNames[s]
	}
	return ""
}

// Signals lists all of them.
func Signals() []Signal {
	all := make([]Signal, 0, numSignals-1)
	for s := NoSignal + 1; s < numSignals; s++ {
		all = append(all, s)
	}
	return all
}

// SignalNamed returns the signal of a name.
func SignalNamed(name string) (Signal, bool) {
	for s := NoSignal + 1; s < numSignals; s++ {
		if signalNames[s] == name {
			return s, true
		}
	}
	return NoSignal, false
}

// signalTraits has the trait behind each signal that is one.
var signalTraits = [numSignals]ipwarden.Traits{
	SignalTor: ipwarden.Tor, SignalResidentialProxy: ipwarden.ResidentialProxy, SignalProxy: ipwarden.Proxy,
	SignalVPN: ipwarden.VPN, SignalRelay: ipwarden.Relay, SignalHosting: ipwarden.Hosting,
	SignalAttacker: ipwarden.Attacker, SignalAbuser: ipwarden.Abuser, SignalScanner: ipwarden.Scanner,
	SignalCrawler: ipwarden.Crawler, SignalMobile: ipwarden.Mobile,
}

// countedAs has what is noted of a signal that another of its group outweighs.
var countedAs = [numSignals]string{
	SignalTor: "counted as tor", SignalResidentialProxy: "counted as residential_proxy", SignalProxy: "counted as proxy",
	SignalVPN: "counted as vpn", SignalRelay: "counted as relay", SignalHosting: "counted as hosting",
	SignalAttacker: "counted as attacker", SignalAbuser: "counted as abuser", SignalScanner: "counted as scanner",
	SignalBillingCountry: "counted as billing_country", SignalLastCountry: "counted as last_country",
	SignalCrawler: "counted as crawler",
}

// DefaultPoints are those of docs/risk.md.
func DefaultPoints() map[Signal]int {
	return map[Signal]int{
		SignalTor: 65, SignalResidentialProxy: 65, SignalProxy: 60, SignalVPN: 50, SignalRelay: 15, SignalHosting: 40,
		SignalAttacker: 60, SignalAbuser: 45, SignalScanner: 25, SignalListings: 8, SignalCrawlerClaim: 40,
		SignalBillingCountry: 25, SignalLastCountry: 15,
		SignalCrawler: -20, SignalResidential: -10, SignalMobile: -10,
	}
}

const day = 24 * time.Hour

// DefaultHalfLives are those of docs/risk.md: how fast the world moves away from
// a list. A cloud keeps its networks for years; an open proxy lives for weeks.
func DefaultHalfLives() map[Signal]time.Duration {
	return map[Signal]time.Duration{
		SignalTor: 180 * day, SignalResidentialProxy: 90 * day, SignalProxy: 90 * day, SignalVPN: 365 * day,
		SignalRelay: 365 * day, SignalHosting: 1095 * day,
		SignalAttacker: 90 * day, SignalAbuser: 90 * day, SignalScanner: 180 * day, SignalListings: 90 * day,
		SignalCrawler: 1095 * day, SignalMobile: 1095 * day,
	}
}
