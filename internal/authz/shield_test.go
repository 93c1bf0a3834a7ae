package authz

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
)

type testShield struct {
	until             time.Time
	needsKey, refused bool
	asked             []string
}

func (s *testShield) Refuses(client netip.Addr, keyed bool, _ time.Time) (time.Time, bool, bool) {
	who := client.String()
	if keyed {
		who += " with a key"
	}
	s.asked = append(s.asked, who)
	return s.until, s.needsKey, s.refused && !(s.needsKey && keyed)
}

// What is refused under attack is refused whatever the key is, charges nothing, and
// says until when.
func TestShield(t *testing.T) {
	shop := newShop(t, customer.Plan{PerDay: 10})
	sh := &testShield{until: shop.now.Add(90 * time.Second), refused: true}
	shop.shield = sh
	shop.Apply(&Changes{Plans: []customer.Plan{{Name: AnonymousPlan, PerDay: 10}}})
	_, key := shop.key(nil)
	for name, c := range map[string]struct {
		call     Call
		needsKey bool
		want     Code
		says     string
	}{
		"a key":                     {Call{Key: key}, false, Shielded, "refuses requests from your network until 2026-11-21T12:01:30Z"},
		"no key":                    {Call{}, false, Shielded, "from your network"},
		"a key where one is needed": {Call{Key: key}, true, Admitted, ""},
		"none where one is needed":  {Call{}, true, NoKey, "It is under attack, and answers nobody without one until 2026-11-21T12:01:30Z."},
		"an unknown key":            {Call{Key: customer.NewKeyText(customer.Secret, customer.Live)}, false, UnknownKey, ""},
	} {
		sh.needsKey = c.needsKey
		code, call := shop.ask(c.call)
		if code != c.want {
			t.Errorf("%s: %s", name, code.Slug())
		}
		if says := string(call.refused.AppendDetail(nil)); !strings.Contains(says, c.says) {
			t.Errorf("%s: %s", name, says)
		}
		if code == Shielded && (call.Wait() != 90 || code.Status() != 403) {
			t.Errorf("%s: wait %d", name, call.Wait())
		}
	}
	sh.refused = false
	if code, call := shop.ask(Call{Key: key}); code != Admitted {
		t.Errorf("%s", code.Slug())
	} else if used, _, _ := call.Left(); used != 2 {
		t.Errorf("%d are used, and 2 were answered", used)
	}
	if _, call := shop.ask(Call{Peer: netip.MustParseAddr("192.0.2.7")}); call == nil || sh.asked[len(sh.asked)-1] != "192.0.2.1" {
		t.Errorf("%v", sh.asked)
	}
	if shop.Refused(Shielded) != 2 {
		t.Errorf("%d were counted", shop.Refused(Shielded))
	}
}
