package risk_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/risk"
)

var now = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)

func record(t ipwarden.Traits, ages ...int) ipwarden.Record {
	f := ipwarden.Full{Traits: t}
	for _, days := range ages {
		f.Security.Listings = append(f.Security.Listings, ipwarden.Listing{Name: "x", Date: now.AddDate(0, 0, -days)})
	}
	return ipwarden.NewRecord(netip.MustParseAddr("198.18.0.1"), f)
}

func TestScores(t *testing.T) {
	for _, c := range []struct {
		name   string
		traits ipwarden.Traits
		ages   []int
		want   ipwarden.Scores
	}{
		{"nothing known", 0, nil, ipwarden.Scores{Trust: 60}},
		{"special-purpose space", ipwarden.Bogon, nil, ipwarden.Scores{}},
		{"a data centre", ipwarden.Hosting, nil, ipwarden.Scores{VPN: 35, Proxy: 25, Trust: 50}},
		{"a VPN in a data centre is counted once", ipwarden.VPN | ipwarden.Hosting, nil, ipwarden.Scores{VPN: 90, Proxy: 25, Trust: 33}},
		{"a relay is no VPN", ipwarden.Relay | ipwarden.Hosting, nil, ipwarden.Scores{VPN: 40, Proxy: 25, Trust: 48}},
		{"a crawler that was verified", ipwarden.Crawler | ipwarden.Hosting, nil, ipwarden.Scores{Trust: 100}},
		{"fresh on one list", ipwarden.Attacker, []int{0}, ipwarden.Scores{Threat: 70, Trust: 18}},
		{"fresh on three", ipwarden.Attacker, []int{0, 1, 2}, ipwarden.Scores{Threat: 90, Trust: 6}},
		{"one half-life old", ipwarden.Attacker, []int{90}, ipwarden.Scores{Threat: 35, Trust: 39}},
		{"half of a half-life old", ipwarden.Attacker, []int{45}, ipwarden.Scores{Threat: 52, Trust: 29}},
		{"very old", ipwarden.Attacker, []int{9000}, ipwarden.Scores{Threat: 7, Trust: 56}},
		{"the freshest list counts", ipwarden.Attacker, []int{9000, 0}, ipwarden.Scores{Threat: 80, Trust: 12}},
		{"a Tor exit, whatever the lists", ipwarden.Tor | ipwarden.Abuser, []int{9000}, ipwarden.Scores{Proxy: 80, Threat: 30, Trust: 18}},
		{"a trait of the whole AS, on no list", ipwarden.Abuser, nil, ipwarden.Scores{Threat: 60, Trust: 24}},
		{"a scanner", ipwarden.Scanner, []int{0}, ipwarden.Scores{Threat: 30, Trust: 42}},
		{"a listing of tomorrow is fresh", ipwarden.Attacker, []int{-1}, ipwarden.Scores{Threat: 70, Trust: 18}},
	} {
		if got := risk.Scores(record(c.traits, c.ages...), now); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestAnAnnouncedAddressIsTrustedMore(t *testing.T) {
	r := ipwarden.NewRecord(netip.MustParseAddr("198.18.0.1"), ipwarden.Full{ASN: ipwarden.ASN{Number: 7}})
	if got := risk.Scores(r, now); got != (ipwarden.Scores{Trust: 90}) {
		t.Errorf("%+v", got)
	}
}

func TestNoScoreRisesWithAge(t *testing.T) {
	last := uint8(101)
	for days := range 1000 {
		s := risk.Scores(record(ipwarden.Attacker, days), now).Threat
		if s > last {
			t.Fatalf("the threat rises from %d to %d on day %d", last, s, days)
		}
		last = s
	}
}

func TestScoresDoNotAllocate(t *testing.T) {
	r := record(ipwarden.Attacker, 1, 2, 3)
	if n := testing.AllocsPerRun(100, func() { risk.Scores(r, now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
