package authz

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// Whoever is refused reads where the account stands, unless the key may be in the hands of
// somebody who has found it.
func TestRefusalsSayWhereTheAccountStands(t *testing.T) {
	s := newShop(t, customer.Plan{PerDay: 10, PerSecond: 5, Bulk: 4, Fields: []string{"asn"}, Upgrade: "https://ip.example/plans"})
	_, plain := s.key(nil)
	if got, _ := s.ask(Call{Key: plain, Items: 3}); got != Admitted {
		t.Fatalf("refused: %s", got.Slug())
	}
	_, expired := s.key(func(k *customer.Key) { k.Expires = s.now.Add(-time.Minute) })
	_, revoked := s.key(func(k *customer.Key) { k.Revoked = s.now.Add(-time.Minute) })
	_, scoped := s.key(func(k *customer.Key) { k.Scopes = []string{customer.ScopeUsage} })
	_, endpoint := s.key(func(k *customer.Key) { k.Endpoints = []string{"/v1/asn"} })
	_, network := s.key(func(k *customer.Key) { k.Networks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
	_, page := s.key(func(k *customer.Key) { k.Kind = customer.Publishable })
	check := func(name string, want Code, got Code, c *Call, told bool) {
		t.Helper()
		detail, members := string(c.refused.AppendDetail(nil)), string(c.refused.AppendMembers(nil))
		left, policy := string(c.AppendRateLimit(nil)), string(c.AppendPolicy(nil))
		if got != want {
			t.Errorf("%s: %q, want %q", name, got.Slug(), want.Slug())
		}
		if all := strings.Contains(detail, `3 of 10 look-ups are used of the limit "day"; it resets at 2026-11-22T00:00:00Z.`) &&
			strings.Contains(members, `"plan":"Plan"`) && strings.Contains(members, `"used":3,"limit":10,"window":"calendar","reset":"2026-11-22T00:00:00Z"`) && strings.Contains(members, `"upgrade":"https://ip.example/plans"`) &&
			strings.HasPrefix(left, `"day";r=7;t=43200, "second";r=`) && policy == `"day";q=10;w=86400;ipwarden-window=calendar, "second";q=5;w=1`; told && !all {
			t.Errorf("%s: it does not say where the account stands: %s %s\n%s\n%s", name, detail, members, left, policy)
		}
		if some := detail + members; !told && (strings.Contains(some, "Plan") || strings.Contains(some, "10") && strings.Contains(some, "used") || left != "" || policy != "") {
			t.Errorf("%s: a stranger is told %s %s %s", name, some, left, policy)
		}
	}
	for _, c := range []struct {
		name string
		call Call
		want Code
		told bool
	}{
		{"expired", Call{Key: expired}, Expired, true},
		{"scope", Call{Key: scoped}, WrongScope, true},
		{"endpoint", Call{Key: endpoint, Path: "/v1/ip/8.8.8.8"}, WrongEndpoint, true},
		{"bulk", Call{Key: plain, Items: 5}, TooMany, true},
		{"revoked", Call{Key: revoked}, Revoked, false},
		{"network", Call{Key: network}, WrongAddress, false},
		{"origin", Call{Key: page}, WrongOrigin, false},
		{"none", Call{}, NoKey, false},
	} {
		got, call := s.ask(c.call)
		check(c.name, c.want, got, call, c.told)
	}
	c := &Call{Key: plain, Items: 1, Now: s.now, Client: netip.MustParseAddr("192.0.2.1")}
	if r := s.Check(c); r != nil {
		t.Fatalf("refused: %s", r.Code.Slug())
	}
	s.Settle(c, 403, 0, false)
	check("fields", NoField, s.LacksField(c, "location").Code, c, true)

	s.acc.Status = customer.Deleted
	s.Apply(&Changes{Accounts: []customer.Account{s.acc}})
	for name, key := range map[string]string{"deleted": plain, "expired and deleted": expired} {
		_, call := s.ask(Call{Key: key})
		if said := string(call.refused.AppendMembers(call.refused.AppendDetail(nil))); strings.Contains(said, "Plan") {
			t.Errorf("%s: it says %s", name, said)
		}
	}
}

// The item that ends a stream counts what the stream itself has used.
func TestSomeSaysWhatIsUsed(t *testing.T) {
	s := newShop(t, customer.Plan{PerDay: 10})
	_, text := s.key(nil)
	c := &Call{Key: text, Now: s.now, Client: netip.MustParseAddr("192.0.2.1")}
	if r := s.Check(c); r != nil {
		t.Fatalf("refused: %s", r.Code.Slug())
	}
	if may, why := s.Some(c, 4); may != 4 || why != nil {
		t.Fatalf("4 of 10: %d, %v", may, why)
	}
	if may, why := s.Some(c, 20); may != 6 || why == nil || why.Used != 10 || why.Max != 10 {
		t.Errorf("20 of the 6 that are left: %d; the refusal says %+v", may, why)
	}
}

// Names in RateLimit are there once, though a key has a limit that is called as one of the
// plan's.
func TestOwnLimitsHaveNamesOfTheirOwn(t *testing.T) {
	s := newShop(t, customer.Plan{PerDay: 10})
	_, text := s.key(func(k *customer.Key) {
		k.Limits = []customer.Limit{{Name: "day", N: 1, Per: customer.PerDay}, {Name: "minute", N: 5, Per: customer.PerMinute}}
	})
	_, c := s.ask(Call{Key: text})
	if got := string(c.AppendPolicy(nil)); got != `"day";q=10;w=86400;ipwarden-window=calendar, "key-day";q=1;w=86400, "minute";q=5;w=60` {
		t.Errorf("RateLimit-Policy is %s", got)
	}
	if got := string(c.AppendRateLimit(nil)); got != `"day";r=9;t=43200, "key-day";r=0;t=43200, "minute";r=4;t=60` {
		t.Errorf("RateLimit is %s", got)
	}
	if got, c := s.ask(Call{Key: text}); got != OverQuota || c.refused.Limit != "key-day" {
		t.Errorf("the second: %q of %q", got.Slug(), c.refused.Limit)
	}
}

// An answer says how days and months are counted.
func TestWindowIsSaid(t *testing.T) {
	s := newShop(t, customer.Plan{PerDay: 10, PerMonth: 100, Window: customer.Rolling})
	s.Apply(&Changes{Plans: []customer.Plan{{Name: AnonymousPlan, PerDay: 5}}})
	_, text := s.key(nil)
	_, c := s.ask(Call{Key: text})
	if got := string(c.AppendPolicy(nil)); got != `"day";q=10;w=86400;ipwarden-window=rolling, "month";q=100;w=2592000;ipwarden-window=rolling` {
		t.Errorf("RateLimit-Policy is %s", got)
	}
	_, c = s.ask(Call{})
	if got := string(c.AppendPolicy(nil)); got != `"day";q=5;w=86400;ipwarden-window=rolling` {
		t.Errorf("RateLimit-Policy of a call without a key is %s", got)
	}
	if got, c := s.ask(Call{Key: text, Items: 10}); got != OverQuota || !strings.Contains(string(c.refused.AppendMembers(nil)), `"window":"rolling","reset"`) {
		t.Errorf("%q: %s", got.Slug(), c.refused.AppendMembers(nil))
	}
}
