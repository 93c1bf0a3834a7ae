package compile

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
)

func TestFilter(t *testing.T) {
	now := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	rec := ipwarden.NewRecord(netip.MustParseAddr("8.8.8.8"), ipwarden.Full{
		Traits: ipwarden.Hosting | ipwarden.Attacker, Location: ipwarden.Location{CountryCode: "US", City: "Dallas"}, ASN: ipwarden.ASN{Number: 15169, Name: "GOOGLE"},
	})
	for text, want := range map[string]bool{
		`ip.location.country_code == "US"`:                    true,
		`ip.location.country_code == "SE"`:                    false,
		`ip.security.is_hosting && ip.asn.number == 15169`:    true,
		`ip.within("8.8.8.0/24")`:                             true,
		`ip.asn.name.lowerAscii().matches("^goo.*e$")`:        true,
		`ip.location.city.size() > 30`:                        false,
		`risk.score > 0`:                                      true,
		`!(risk.score > 0)`:                                   false,
		`ip.location.country_code in ["DE", "US"]`:            true,
		`ip.security.is_attacker && !ip.security.is_hosting`:  false,
		`ip.asn.name == "GOOGLE" ? true : risk.score == 1000`: true,
	} {
		f, err := NewFilter(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		ask := f.Func(now)
		for range 2 {
			if got := ask(rec); got != want {
				t.Errorf("%s is %v, want %v", text, got, want)
			}
		}
		if ask(ipwarden.Record{}) && strings.HasPrefix(text, "ip.within") {
			t.Errorf("%s holds of an address of which nothing is known", text)
		}
	}
	for text, want := range map[string]string{
		``:                       "column 1: is empty",
		`ip.location.contry`:     "column ",
		`request.path == "/"`:    "column 1: there is no request here",
		`ip.asn.number`:          "column 1: this must be",
		`ip.asn.number ==`:       "this is not CEL",
		`true && tier == "free"`: "column 9: there is no request here",
	} {
		if _, err := NewFilter(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", text, err, want)
		}
	}
}

func TestEventFilter(t *testing.T) {
	rec := ipwarden.NewRecord(netip.MustParseAddr("8.8.8.8"), ipwarden.Full{Traits: ipwarden.Hosting})
	event := map[string]string{"type": "login", "user.plan": "free", "amount": "17"}
	for text, want := range map[string]bool{
		`event.type == "login" && ip.security.is_hosting`: true,
		`event.type == "order"`:                           false,
		`event["user.plan"] == "free"`:                    true,
		`event.none == ""`:                                true,
		`has(event.type) && !has(event.none)`:             true,
		`event.type.startsWith("log") && risk.score >= 0`: true,
		`int(event.amount) > 16`:                          true,
		`event["amount"].matches("^[0-9]+$")`:             true,
		`ip.security.is_hosting`:                          true,
	} {
		f, err := NewEventFilter(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		ask := f.EventFunc(time.Now())
		for range 2 {
			if got := ask(rec, func(path string) string { return event[path] }); got != want {
				t.Errorf("%s is %v, want %v", text, got, want)
			}
			if text == `event.type == "order"` && !ask(rec, func(string) string { return "order" }) {
				t.Errorf("%s does not hold of another event", text)
			}
		}
	}
	for text, want := range map[string]string{
		`event.exists(k, k == "a")`: "cannot be listed",
		`event[event.a] == "b"`:     "are asked by their names",
		`account.x == "y"`:          "there is no request here",
		`event.type == 3`:           "column ",
	} {
		if _, err := NewEventFilter(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", text, err, want)
		}
	}
	if _, err := NewFilter(`event.type == "login"`); err == nil {
		t.Error("a filter of addresses alone sees events")
	}
}
