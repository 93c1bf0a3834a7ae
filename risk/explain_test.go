package risk_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/risk"
)

// standIn is an answer that knows its evidence, and of whose word a trait is only
// the freshest feed that it may be.
type standIn struct {
	ipwarden.Backing // nil: what is not below is not asked
	traits           ipwarden.Traits
	feed             string
	seen             time.Time
	by               []ipwarden.Claim
}

func (s *standIn) Traits(uint32) ipwarden.Traits { return s.traits }
func (s *standIn) CountryCode(uint32) string     { return "SE" }
func (s *standIn) ASNumber(uint32) uint32        { return 64500 }
func (s *standIn) ASN(netip.Addr, uint32) ipwarden.ASN {
	return ipwarden.ASN{Number: 64500, Kind: "hosting"}
}

func (s *standIn) Security(uint32) ipwarden.Security { return ipwarden.Security{} }

func (s *standIn) Asserted(uint32, ipwarden.Traits) (string, time.Time) { return s.feed, s.seen }

func (s *standIn) Evidence(netip.Addr, uint32) []ipwarden.Evidence {
	return []ipwarden.Evidence{{Field: ipwarden.FieldIsVPN, Value: "true", By: s.by}}
}

// Where another feed stood in for those who say so, the explanation has the age and
// the points that their own dates give.
func TestExplainIsExact(t *testing.T) {
	m := risk.DefaultModel()
	days := func(n int) time.Time { return now.AddDate(0, 0, -n) }
	explain := func(feed string, seen time.Time, by ...ipwarden.Claim) risk.Reason {
		t.Helper()
		b := &standIn{traits: ipwarden.VPN, feed: feed, seen: seen, by: by}
		r := ipwarden.MakeRecord(netip.MustParseAddr("198.18.0.1"), ipwarden.NewStore(b, nil), 0)
		x := m.Explain(r, risk.Situation{}, now)
		if len(x.Reasons) != 1 || x.Reasons[0].Signal != risk.SignalVPN {
			t.Fatalf("%+v", x)
		}
		return x.Reasons[0]
	}
	fresh := explain("own", days(90), ipwarden.Claim{Feed: "own", Date: days(90)})
	if fresh.StandsIn || fresh.ExactPoints != fresh.Points || fresh.ExactAge != fresh.Age {
		t.Errorf("of the feed itself: %+v", fresh)
	}
	r := explain("another", days(1), ipwarden.Claim{Feed: "older", Date: days(300)}, ipwarden.Claim{Feed: "own", Date: days(90)})
	if !r.StandsIn || r.Feed != "another" || r.Points <= r.ExactPoints || r.ExactPoints != fresh.Points || r.ExactAge != 90*24*time.Hour {
		t.Errorf("another stands in: %+v", r)
	}
	if r := explain("another", days(1), ipwarden.Claim{Feed: "own"}); r.StandsIn || r.ExactPoints != r.Points {
		t.Errorf("who says so has no date: %+v", r)
	}
}
