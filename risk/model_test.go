package risk_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/risk"
)

// asserted is an answer whose traits a feed of some days ago asserts.
func asserted(t ipwarden.Traits, kind string, days int) ipwarden.Record {
	f := ipwarden.Full{Traits: t, ASN: ipwarden.ASN{Number: 64500, Kind: kind}, Location: ipwarden.Location{CountryCode: "SE"}}
	for bit := ipwarden.Traits(1); bit&ipwarden.AllTraits != 0; bit <<= 1 {
		if t.Has(bit) {
			f.Evidence = append(f.Evidence, ipwarden.Evidence{
				Field: ipwarden.FieldOf(bit), Value: "true",
				By: []ipwarden.Claim{{Feed: "a-feed", Date: now.AddDate(0, 0, -days), Licence: "MIT", Match: "198.18.0.0/24", Value: "true"}},
			})
		}
	}
	return ipwarden.NewRecord(netip.MustParseAddr("198.18.0.1"), f)
}

func assess(t *testing.T, m *risk.Model, r ipwarden.Record, s risk.Situation) *risk.Assessment {
	t.Helper()
	var a risk.Assessment
	m.Assess(r, s, now, &a)
	sum := 0
	for _, c := range a.Contributions() {
		sum += int(c.Points)
		if c.Points == 0 && c.Weight != 0 && c.Note == "" {
			t.Errorf("%s of weight %d has no points and no note", c.Signal, c.Weight)
		}
	}
	if sum != a.Sum || int(a.Score) != min(max(sum, 0), 100) {
		t.Errorf("contributions make %d, the sum is %d and the score %d", sum, a.Sum, a.Score)
	}
	if a.Shared != (a.Sharing != "") {
		t.Errorf("shared %v by %q", a.Shared, a.Sharing)
	}
	return &a
}

// text is the contributions as one line: "vpn 50, hosting 0 (counted as vpn)".
func text(a *risk.Assessment) string {
	var parts []string
	for _, c := range a.Contributions() {
		s := fmt.Sprint(c.Signal, " ", c.Points)
		if c.Note != "" {
			s += " (" + c.Note + ")"
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, ", ")
}

func TestAssess(t *testing.T) {
	m := risk.DefaultModel()
	abroad := risk.Situation{BillingCountry: "NO", LastCountry: "no"}
	for _, c := range []struct {
		name   string
		traits ipwarden.Traits
		kind   string
		days   int
		s      risk.Situation
		score  uint8
		shared string
		want   string
	}{
		{"nothing", 0, "", 0, risk.Situation{}, 0, "", ""},
		{"at home", 0, "isp", 0, risk.Situation{BillingCountry: "se"}, 0, "", "residential -10"},
		{"a data centre", ipwarden.Hosting, "hosting", 0, risk.Situation{}, 40, "", "hosting 40"},
		{"a data centre in an ISP", ipwarden.Hosting, "isp", 0, risk.Situation{}, 40, "", "hosting 40"},
		{"a VPN inside hosting", ipwarden.VPN | ipwarden.Hosting, "hosting", 0, risk.Situation{}, 50, "", "vpn 50, hosting 0 (counted as vpn)"},
		{"a relay inside a VPN", ipwarden.VPN | ipwarden.Relay, "", 0, risk.Situation{}, 50, "relay", "vpn 50, relay 0 (counted as vpn)"},
		{"a relay inside hosting", ipwarden.Relay | ipwarden.Hosting, "hosting", 0, risk.Situation{}, 15, "relay", "relay 15, hosting 0 (counted as relay)"},
		{"an old list of VPNs in hosting", ipwarden.VPN | ipwarden.Hosting, "hosting", 1095, risk.Situation{}, 20, "", "vpn 0 (counted as hosting), hosting 20"},
		{"Tor inside a proxy", ipwarden.Tor | ipwarden.Proxy, "", 0, risk.Situation{}, 65, "", "tor 65, proxy 0 (counted as tor)"},
		{"a VPN of half a life ago", ipwarden.VPN, "", 365, risk.Situation{}, 25, "", "vpn 25"},
		{"an old list of Tor exits", ipwarden.Tor, "", 4000, risk.Situation{}, 6, "", "tor 6"},
		{"a verified crawler", ipwarden.Crawler | ipwarden.Hosting, "hosting", 0, risk.Situation{ClaimsCrawler: true}, 0, "", "hosting 0 (counted as crawler), crawler -20"},
		{"it says that it is a crawler", 0, "isp", 0, risk.Situation{ClaimsCrawler: true}, 30, "", "crawler_claim 40, residential -10"},
		{"abroad", 0, "isp", 0, abroad, 15, "", "billing_country 25, last_country 0 (counted as billing_country), residential -10"},
		{"travelling", 0, "", 0, risk.Situation{BillingCountry: "SE", LastCountry: "NO"}, 15, "", "last_country 15"},
		{"a phone", ipwarden.Mobile, "isp", 0, risk.Situation{}, 0, "mobile", "residential -10, mobile -10"},
		{"an attacker at home", ipwarden.Attacker | ipwarden.Abuser, "isp", 0, risk.Situation{}, 50, "", "attacker 60, abuser 0 (counted as attacker), residential -10"},
		{"an attacker in a data centre", ipwarden.Attacker | ipwarden.Hosting, "hosting", 0, risk.Situation{}, 100, "", "hosting 40, attacker 60"},
		{"a campus", ipwarden.Abuser, "education", 0, risk.Situation{}, 45, "campus", "abuser 45"},
		{"a satellite", ipwarden.Satellite, "", 0, risk.Situation{}, 0, "satellite", ""},
		{"an office", 0, "business", 0, risk.Situation{SharedNetwork: true}, 0, "operator", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := assess(t, m, asserted(c.traits, c.kind, c.days), c.s)
			if a.Score != c.score || a.Sharing != c.shared || text(a) != c.want {
				t.Errorf("%d, shared %q: %s\nwant %d, shared %q: %s", a.Score, a.Sharing, text(a), c.score, c.shared, c.want)
			}
		})
	}
}

func TestCarrierGradeNAT(t *testing.T) {
	for addr, want := range map[string]string{"100.64.0.1": "cgnat", "100.127.255.255": "cgnat", "100.128.0.1": "", "100.63.0.1": "", "2001:db8::1": ""} {
		if a := assess(t, risk.DefaultModel(), ipwarden.NewRecord(netip.MustParseAddr(addr), ipwarden.Full{}), risk.Situation{}); a.Sharing != want {
			t.Errorf("%s is shared by %q, want %q", addr, a.Sharing, want)
		}
	}
}

// listings makes an answer that is on lists, some of them of proxies.
func onLists(t ipwarden.Traits, lists ...ipwarden.Listing) ipwarden.Record {
	return ipwarden.NewRecord(netip.MustParseAddr("198.18.0.1"), ipwarden.Full{Traits: t, Security: ipwarden.Security{Listings: lists}})
}

func list(name, kind string, days int) ipwarden.Listing {
	return ipwarden.Listing{Name: name, Type: kind, Date: now.AddDate(0, 0, -days)}
}

func TestListingsAreDated(t *testing.T) {
	m := risk.DefaultModel()
	a := assess(t, m, onLists(ipwarden.Attacker, list("old", "attacker", 90), list("fresh", "botnet", 0), list("mid", "spam", 90)), risk.Situation{})
	if got := text(a); got != "attacker 60, listings 8 (of several blocklists, the freshest named)" {
		t.Error(got)
	}
	if c := a.Contributions()[0]; c.Feed != "fresh" || !c.Date.Equal(now) {
		t.Errorf("%+v", c)
	}
	a = assess(t, m, onLists(ipwarden.Proxy, list("proxies", "proxy", 90)), risk.Situation{})
	if c := a.Contributions()[0]; c.Feed != "proxies" || c.Points != 30 || c.Weight != 60 || c.Freshness != 50 {
		t.Errorf("%+v", c)
	}
	a = assess(t, m, onLists(0, list("kept up no more", "attacker", 0)), risk.Situation{})
	if len(a.Contributions()) != 0 {
		t.Error(text(a))
	}
}

// The order in which lists are kept says nothing.
func TestOrderFree(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	m := risk.DefaultModel()
	for range 500 {
		lists := make([]ipwarden.Listing, rng.IntN(6))
		for i := range lists {
			lists[i] = list(fmt.Sprint("list-", i), []string{"attacker", "proxy", "spam"}[rng.IntN(3)], rng.IntN(4)*30)
		}
		traits := ipwarden.Traits(rng.Uint32()) & ipwarden.AllTraits
		a := assess(t, m, onLists(traits, lists...), risk.Situation{})
		want := fmt.Sprint(a.Contributions())
		shuffled := slices.Clone(lists)
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if got := fmt.Sprint(assess(t, m, onLists(traits, shuffled...), risk.Situation{}).Contributions()); got != want {
			t.Fatalf("%v\n%s\n%s", traits.Names(), got, want)
		}
	}
}

// One signal more never lowers the score, but for those that speak for the
// address, a relay and a crawler, which explain why it is in a data centre, and
// hosting, which is no home.
func TestMonotone(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	m := risk.DefaultModel()
	raising := []ipwarden.Traits{
		ipwarden.VPN, ipwarden.Proxy, ipwarden.ResidentialProxy, ipwarden.Tor, ipwarden.Hosting,
		ipwarden.Attacker, ipwarden.Abuser, ipwarden.Scanner,
	}
	for range 5000 {
		traits := ipwarden.Traits(rng.Uint32()) & ipwarden.AllTraits &^ ipwarden.Bogon
		kind := []string{"", "isp", "hosting", "education"}[rng.IntN(4)]
		days := rng.IntN(3) * 50
		before := assess(t, m, asserted(traits, kind, days), risk.Situation{})
		for _, more := range raising {
			if after := assess(t, m, asserted(traits|more, kind, days), risk.Situation{}); after.Sum < before.Sum {
				t.Fatalf("%v makes of %s (%d): %s (%d)", more.Names(), text(before), before.Sum, text(after), after.Sum)
			}
		}
		for _, s := range []risk.Situation{{ClaimsCrawler: true}, {BillingCountry: "NO"}, {LastCountry: "NO"}} {
			if after := assess(t, m, asserted(traits, kind, days), s); after.Sum < before.Sum {
				t.Fatalf("%+v lowers %d to %d", s, before.Sum, after.Sum)
			}
		}
		if older := assess(t, m, asserted(traits&^ipwarden.Crawler&^ipwarden.Mobile, kind, days+40), risk.Situation{}); older.Sum >
			assess(t, m, asserted(traits&^ipwarden.Crawler&^ipwarden.Mobile, kind, days), risk.Situation{}).Sum {
			t.Fatalf("%v rises with age", traits.Names())
		}
		for _, lower := range []ipwarden.Traits{ipwarden.Crawler, ipwarden.Mobile} {
			if after := assess(t, m, asserted(traits|lower, kind, days), risk.Situation{}); after.Sum > before.Sum {
				t.Fatalf("%v raises %d to %d", lower.Names(), before.Sum, after.Sum)
			}
		}
	}
}

func TestWeightsAreData(t *testing.T) {
	points, err := risk.ParseWeights(map[string]int{"vpn": 10, "residential": 0})
	if err != nil {
		t.Fatal(err)
	}
	lives, err := risk.ParseHalfLives(map[string]time.Duration{"vpn": 0})
	if err != nil {
		t.Fatal(err)
	}
	m, err := risk.NewModel(risk.Config{Points: points, HalfLives: lives})
	if err != nil {
		t.Fatal(err)
	}
	points[risk.SignalVPN] = 90 // too late
	a := assess(t, m, asserted(ipwarden.VPN, "business", 4000), risk.Situation{})
	if a.Score != 10 {
		t.Error(text(a))
	}
	if m.Points(risk.SignalTor) != 65 || m.HalfLife(risk.SignalTor) == 0 {
		t.Error("what is not in the config is not the default")
	}
}

func TestMistakesInWeights(t *testing.T) {
	_, err := risk.ParseWeights(map[string]int{"hostng": 5, "is_vpn": 5, "colour": 5, "tor": 101})
	for _, want := range []string{
		`no signal "hostng"; did you mean hosting?`, `no signal "is_vpn"; did you mean vpn?`,
		`no signal "colour"; there are tor, `, `tor has 101 points, and may have -100 to 100, such as 65`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v has no %q", err, want)
		}
	}
	_, err = risk.ParseHalfLives(map[string]time.Duration{"tor": -1, "": 1})
	if err == nil || !strings.Contains(err.Error(), "half-life of tor") || !strings.Contains(err.Error(), `no signal ""`) {
		t.Error(err)
	}
	_, err = risk.NewModel(risk.Config{
		Points:    map[risk.Signal]int{risk.SignalVPN: 200, risk.NoSignal: 1, 200: 1},
		HalfLives: map[risk.Signal]time.Duration{risk.SignalVPN: -1}, Floor: 101,
	})
	for _, want := range []string{"vpn has 200", "no signal 0", "no signal 200", "half-life of vpn", "the floor is 101"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v has no %q", err, want)
		}
	}
}

func TestExplain(t *testing.T) {
	m := risk.DefaultModel()
	r := asserted(ipwarden.VPN|ipwarden.Hosting, "hosting", 90)
	x := m.Explain(r, risk.Situation{LastCountry: "NO"}, now)
	if len(x.Reasons) != 3 || x.Score != 59 || x.Sum != 59 {
		t.Fatalf("%+v", x)
	}
	vpn := x.Reasons[0]
	if vpn.Field != ipwarden.FieldIsVPN || vpn.Age != 90*24*time.Hour || len(vpn.By) != 1 || vpn.By[0].Licence != "MIT" || vpn.Feed != "a-feed" {
		t.Errorf("%+v", vpn)
	}
	if hosting := x.Reasons[1]; hosting.Points != 0 || hosting.Note != "counted as vpn" || len(hosting.By) != 1 {
		t.Errorf("%+v", hosting)
	}
	if x := m.Explain(asserted(0, "", 0), risk.Situation{}, now); len(x.Reasons) != 0 || x.Score != 0 {
		t.Errorf("%+v", x)
	}
}

func TestEverySignalHasANameAndPoints(t *testing.T) {
	for _, s := range risk.Signals() {
		if back, ok := risk.SignalNamed(s.String()); !ok || back != s {
			t.Errorf("%d is %q, which is %d", s, s, back)
		}
		if risk.DefaultPoints()[s] == 0 {
			t.Errorf("%s weighs nothing", s)
		}
	}
}

func TestAssessDoesNotAllocate(t *testing.T) {
	m := risk.DefaultModel()
	var a risk.Assessment
	for _, r := range []ipwarden.Record{
		{},
		asserted(0, "isp", 0), asserted(ipwarden.AllTraits, "isp", 50),
		onLists(ipwarden.Attacker, list("a", "attacker", 1), list("b", "spam", 2)),
	} {
		s := risk.Situation{BillingCountry: "NO", ClaimsCrawler: true}
		if n := testing.AllocsPerRun(100, func() { m.Assess(r, s, now, &a) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
}
