package api

import (
	"context"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/api/dialect"
	"github.com/ipwarden/ipwarden/internal/authz"
	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage"
)

// shop is the accounts of the scripts in testdata/accounts: their requests have
// $GOOD for the text of the key called GOOD.
type shop struct {
	*authz.Authorizer
	usage *usage.Memory
	keys  map[string]string
}

func (s *shop) replacer() *strings.Replacer {
	var pairs []string
	for name, text := range s.keys {
		pairs = append(pairs, "$"+name, text)
	}
	return strings.NewReplacer(pairs...)
}

func newShop(t testing.TB) *shop {
	t.Helper()
	clock := func() time.Time { return noon }
	hasher, err := authz.NewHasher(make([]byte, authz.SecretLen))
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{usage: usage.NewMemory(clock), keys: map[string]string{}}
	if s.Authorizer, err = authz.New(authz.Config{Hasher: hasher, Usage: s.usage, Networks: 64, Now: clock}); err != nil {
		t.Fatal(err)
	}
	c := &authz.Changes{Plans: []customer.Plan{
		{Name: "starter", Title: "Starter", PerDay: 1000, PerMonth: 10000, PerSecond: 100, Burst: 200, Bulk: 5, Upgrade: "https://ip.example/plans"},
		{Name: "tiny", Title: "Tiny", PerDay: 2, Upgrade: "https://ip.example/plans"},
		{Name: "slow", Title: "Slow", PerSecond: 1},
		{Name: "fast", PerDay: 1 << 50, PerMonth: 1 << 51, PerSecond: 1 << 30, Burst: 1 << 31},
		{Name: "place", Title: "Place", Fields: []string{"ip", "location"}},
	}}
	accounts := map[string]customer.AccountID{}
	for i, name := range []string{"starter", "tiny", "slow", "place", "suspended", "fast"} {
		acc := customer.Account{ID: customer.AccountID(i + 1), Plan: name}
		if name == "suspended" {
			acc.Plan, acc.Status = "starter", customer.Suspended
		}
		accounts[name] = acc.ID
		c.Accounts = append(c.Accounts, acc)
	}
	add := func(name, account string, change func(*customer.Key)) {
		k := customer.Key{ID: customer.KeyID(len(c.Keys) + 1), Account: accounts[account]}
		if change != nil {
			change(&k)
		}
		text := customer.NewKeyText(k.Kind, k.Mode)
		k.Hash = hasher.Hash(text)
		s.keys[name] = text
		c.Keys = append(c.Keys, k)
	}
	add("GOOD", "starter", nil)
	add("TEST", "starter", func(k *customer.Key) { k.Mode = customer.Test })
	add("REVOKED", "starter", func(k *customer.Key) { k.Revoked = noon.Add(-time.Hour) })
	add("EXPIRED", "starter", func(k *customer.Key) { k.Expires = noon.Add(-time.Minute) })
	add("SUSPENDED", "suspended", nil)
	add("OFFICE", "starter", func(k *customer.Key) { k.Networks = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")} })
	add("PAGE", "starter", func(k *customer.Key) {
		k.Kind, k.Origins = customer.Publishable, []string{"https://shop.example"}
	})
	add("SYSTEMS", "starter", func(k *customer.Key) { k.Endpoints = []string{"/v1/asn"} })
	add("BOOKS", "starter", func(k *customer.Key) { k.Scopes = []string{customer.ScopeUsage} })
	add("TINY", "tiny", nil)
	add("SLOW", "slow", nil)
	add("PLACE", "place", nil)
	add("OWN", "starter", func(k *customer.Key) { k.Limits = []customer.Limit{{Name: "minute", Per: customer.PerMinute, N: 2}} })
	add("FAST", "fast", nil)
	add("DECIDES", "tiny", func(k *customer.Key) { k.Scopes = []string{customer.ScopeDecide} })
	s.Apply(c)
	s.keys["UNKNOWN"] = customer.NewKeyText(customer.Secret, customer.Live)
	good := []byte(s.keys["GOOD"])
	good[15] = map[bool]byte{true: 'b', false: 'a'}[good[15] == 'a']
	s.keys["MISTYPED"] = string(good)
	return s
}

// withAccounts makes an API that answers to keys.
func withAccounts(t testing.TB, changes ...func(*Config)) (*API, *shop) {
	t.Helper()
	s := newShop(t)
	set, err := dialect.New(dialect.Config{Scores: sampleScores})
	if err != nil {
		t.Fatal(err)
	}
	return newAPI(t, func(c *Config) {
		c.Accounts, c.Dialects, c.Usage = s.Authorizer, set, s.rows
		for _, change := range changes {
			change(c)
		}
	}), s
}

// rows are what the accounts of the shop have used.
func (s *shop) rows(_ context.Context, q usage.Query, yield func(usage.Row, int64) bool) error {
	hour := customer.HourOf(noon)
	for _, r := range []struct {
		usage.Row
		n int64
	}{
		{usage.Row{Account: 1, Key: 1, Hour: hour, Region: "eu"}, 7},
		{usage.Row{Account: 1, Key: 9, Hour: hour - 30, Endpoint: customer.EndpointBulk, Region: "us"}, 100},
		{usage.Row{Account: 1, Key: 1, Hour: hour - 30, Class: customer.Limited, Region: "us"}, 3},
		{usage.Row{Account: 2, Key: 2, Hour: hour, Region: "eu"}, 1000},
	} {
		if q.Has(r.Row) && !yield(r.Row, r.n) {
			break
		}
	}
	return nil
}

// Who has no key is told where to get one, and who has one is not sent
// to sign up.
func TestRefusedWithoutKey(t *testing.T) {
	a, s := withAccounts(t, func(c *Config) { c.PublicURL, c.SignUp = "https://ip.example", "/account/sign-up" })
	const where = `"upgrade":"https://ip.example/account/sign-up"`
	for _, tt := range []struct {
		field string
		want  bool
	}{{"X-Other: 1", true}, {"X-Api-Key: " + s.keys["UNKNOWN"], false}, {"X-Api-Key: nonsense", false}, {"X-Other: 1", true}} {
		r := askGate(a, "203.0.113.9:1234", "GET", "/v1/ip/8.8.8.8", "", tt.field)
		body, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != 401 || strings.Contains(string(body), where) != tt.want {
			t.Errorf("%s: %d %s, %v", tt.field, r.StatusCode, body, err)
		}
	}
}
