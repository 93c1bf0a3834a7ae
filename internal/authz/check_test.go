package authz

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage"
)

// A shop is an Authorizer with one account on one plan, and a clock.
type shop struct {
	*Authorizer
	t     *testing.T
	now   time.Time
	usage *usage.Memory
	acc   customer.Account
}

func newShop(t *testing.T, p customer.Plan) *shop {
	t.Helper()
	s := &shop{t: t, now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return s.now }
	s.usage = usage.NewMemory(clock)
	hasher, err := NewHasher(make([]byte, SecretLen))
	if err != nil {
		t.Fatal(err)
	}
	if s.Authorizer, err = New(Config{Hasher: hasher, Usage: s.usage, Networks: 64, Now: clock}); err != nil {
		t.Fatal(err)
	}
	p.Name, p.Title = "p", "Plan"
	s.acc = customer.Account{ID: customer.NewAccountID(), Plan: "p"}
	s.Apply(&Changes{Plans: []customer.Plan{p}, Accounts: []customer.Account{s.acc}})
	return s
}

// key makes a key of the account, and returns its text.
func (s *shop) key(change func(*customer.Key)) (customer.Key, string) {
	k := customer.Key{ID: customer.NewKeyID(), Account: s.acc.ID}
	if change != nil {
		change(&k)
	}
	text := customer.NewKeyText(k.Kind, k.Mode)
	k.Hash = s.hasher.Hash(text)
	s.Apply(&Changes{Keys: []customer.Key{k}})
	return k, text
}

// ask checks a call, settles it with its status, and returns why it was refused.
func (s *shop) ask(c Call) (Code, *Call) {
	s.t.Helper()
	if c.Now = s.now; c.Items == 0 {
		c.Items = 1
	}
	if !c.Client.IsValid() {
		c.Client = netip.MustParseAddr("192.0.2.1")
	}
	r := s.Check(&c)
	if r == nil {
		s.Settle(&c, 200, c.Items, false)
		return Admitted, &c
	}
	s.Settle(&c, r.Code.Status(), 0, false)
	return r.Code, &c
}

func TestCheck(t *testing.T) {
	s := newShop(t, customer.Plan{Bulk: 10})
	_, plain := s.key(nil)
	other := customer.NewKeyText(customer.Secret, customer.Live)
	mistyped := []byte(plain)
	mistyped[20] = mistyped[20]&1 | '2'
	if plain[20] == mistyped[20] {
		mistyped[20] = '7'
	}
	_, revoked := s.key(func(k *customer.Key) { k.Revoked = s.now.Add(-time.Hour) })
	_, ended := s.key(func(k *customer.Key) { k.Revoked, k.Ended = s.now.Add(time.Hour), true }) // by a clock that is ahead
	_, overlap := s.key(func(k *customer.Key) { k.Revoked = s.now.Add(time.Hour) })
	_, expired := s.key(func(k *customer.Key) { k.Expires = s.now })
	_, network := s.key(func(k *customer.Key) {
		k.Networks = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	})
	_, page := s.key(func(k *customer.Key) {
		k.Kind, k.Origins = customer.Publishable, []string{"https://example.com", "https://*.example.org", "http://localhost:3000"}
	})
	_, anyPage := s.key(func(k *customer.Key) { k.Kind = customer.Publishable })
	_, endpoint := s.key(func(k *customer.Key) { k.Endpoints = []string{"/v1/asn", "/compat/ipinfo/"} })
	_, scoped := s.key(func(k *customer.Key) { k.Scopes = []string{customer.ScopeUsage} })
	for _, c := range []struct {
		name string
		call Call
		want Code
	}{
		{"none", Call{}, NoKey},
		{"good", Call{Key: plain}, Admitted},
		{"nobody's", Call{Key: other}, UnknownKey},
		{"not a key", Call{Key: "sk_live_1"}, NotKey},
		{"mistyped", Call{Key: string(mistyped)}, Mistyped},
		{"revoked", Call{Key: revoked}, Revoked},
		{"revoked at once, by another clock", Call{Key: ended}, Revoked},
		{"in its overlap", Call{Key: overlap}, Admitted},
		{"expired", Call{Key: expired}, Expired},
		{"from elsewhere", Call{Key: network}, WrongAddress},
		{"from there", Call{Key: network, Client: netip.MustParseAddr("198.51.100.9")}, Admitted},
		{"from there, IPv6", Call{Key: network, Client: netip.MustParseAddr("2001:db8::9")}, Admitted},
		{"page without an origin", Call{Key: page}, WrongOrigin},
		{"page", Call{Key: page, Origin: "https://example.com"}, Admitted},
		{"page in other letters", Call{Key: page, Origin: "HTTPS://Example.COM"}, Admitted},
		{"page by its referer", Call{Key: page, Referer: "https://example.com/a?b#c"}, Admitted},
		{"origin goes before referer", Call{Key: page, Origin: "https://evil.test", Referer: "https://example.com/"}, WrongOrigin},
		{"null", Call{Key: page, Origin: "null", Referer: "https://example.com/"}, WrongOrigin},
		{"other scheme", Call{Key: page, Origin: "http://example.com"}, WrongOrigin},
		{"other port", Call{Key: page, Origin: "https://example.com:8443"}, WrongOrigin},
		{"port", Call{Key: page, Origin: "http://localhost:3000"}, Admitted},
		{"look-alike", Call{Key: page, Origin: "https://example.com.evil.test"}, WrongOrigin},
		{"user information", Call{Key: page, Referer: "https://example.com@evil.test/"}, WrongOrigin},
		{"below", Call{Key: page, Origin: "https://a.b.example.org"}, Admitted},
		{"not below itself", Call{Key: page, Origin: "https://example.org"}, WrongOrigin},
		{"not below a look-alike", Call{Key: page, Origin: "https://badexample.org"}, WrongOrigin},
		{"any page", Call{Key: anyPage, Origin: "https://whatever.test"}, Admitted},
		{"no page", Call{Key: anyPage}, WrongOrigin},
		{"other path", Call{Key: endpoint, Path: "/v1/ip/8.8.8.8"}, WrongEndpoint},
		{"path", Call{Key: endpoint, Path: "/v1/asn/AS15169"}, Admitted},
		{"path itself", Call{Key: endpoint, Path: "/compat/ipinfo"}, Admitted},
		{"path that begins so", Call{Key: endpoint, Path: "/v1/asnx"}, WrongEndpoint},
		{"other scope", Call{Key: scoped}, WrongScope},
		{"scope", Call{Key: scoped, Scope: Usage}, Admitted},
		{"scope that is not given", Call{Key: plain, Scope: Decide}, WrongScope},
		{"bulk", Call{Key: plain, Items: 10}, Admitted},
		{"large bulk", Call{Key: plain, Items: 11}, TooMany},
	} {
		got, call := s.ask(c.call)
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got.Slug(), c.want.Slug())
		}
		if got != Admitted && (len(call.refused.AppendDetail(nil)) < 20 || got.Status()/100 != 4) {
			t.Errorf("%s: nothing is said: %q", c.name, call.refused.AppendDetail(nil))
		}
	}
	s.now = s.now.Add(time.Hour)
	if got, _ := s.ask(Call{Key: overlap}); got != Revoked {
		t.Errorf("after the overlap: %q, want revoked", got.Slug())
	}
	for status, want := range map[customer.Status]Code{customer.Suspended: Suspended, customer.Deleted: UnknownKey, customer.Active: Admitted} {
		s.acc.Status = status
		s.Apply(&Changes{Accounts: []customer.Account{s.acc}})
		if got, _ := s.ask(Call{Key: plain}); got != want {
			t.Errorf("account %v: %q, want %q", status, got.Slug(), want.Slug())
		}
	}
	s.Apply(&Changes{GoneKeys: []customer.Hash{s.hasher.Hash(plain)}})
	if got, _ := s.ask(Call{Key: plain}); got != UnknownKey {
		t.Errorf("a key that is gone: %q", got.Slug())
	}
}

func TestQuotaAndBurst(t *testing.T) {
	s := newShop(t, customer.Plan{PerDay: 10, PerMonth: 15, PerSecond: 4, Upgrade: "https://ip.example/plans"})
	k, text := s.key(nil)
	_, tested := s.key(func(k *customer.Key) { k.Mode = customer.Test })
	for i := range 4 {
		if got, c := s.ask(Call{Key: text}); got != Admitted {
			t.Fatalf("call %d: %q", i, got.Slug())
		} else if i == 3 {
			if got := string(c.AppendRateLimit([]byte("x "))); got != `x "day";r=6;t=43200, "month";r=11;t=820800, "second";r=0;t=1` {
				t.Errorf("RateLimit is %s", got)
			}
			if got := string(c.AppendPolicy(nil)); got != `"day";q=10;w=86400;ipwarden-window=calendar, "month";q=15;ipwarden-window=calendar, "second";q=4;w=1` {
				t.Errorf("RateLimit-Policy is %s", got)
			}
		}
	}
	got, c := s.ask(Call{Key: text})
	if got != TooFast || c.Wait() != 1 || string(c.AppendRateLimit(nil)) != `"second";r=0;t=1` {
		t.Errorf("the fifth in a second: %q, wait %d, %s", got.Slug(), c.Wait(), c.AppendRateLimit(nil))
	}
	if got, _ = s.ask(Call{Key: tested}); got != TooFast {
		t.Errorf("a test key of the same account: %q, want the burst to be the account's", got.Slug())
	}
	s.now = s.now.Add(time.Minute)
	if got, c = s.ask(Call{Key: text, Items: 7}); got != OverQuota { // more than the burst, and than what is left
		t.Errorf("7 of 6 that are left: %q", got.Slug())
	}
	if said := string(c.refused.AppendDetail(nil)); !strings.Contains(said, "Z. This call asks for 7; send at most 6. More: ") {
		t.Errorf("7 of 6 that are left: said %q", said)
	}
	if got, _ = s.ask(Call{Key: text, Items: 6}); got != Admitted { // what was denied is not charged
		t.Errorf("6 of 6 that are left: %q", got.Slug())
	}
	s.now = s.now.Add(time.Minute)
	got, c = s.ask(Call{Key: text})
	if got != OverQuota {
		t.Fatalf("the eleventh of a day: %q", got.Slug())
	}
	if r := c.refused; r.Key != k.ID || r.Plan != "Plan" || r.Used != 10 || r.Max != 10 || r.Limit != "day" || !r.Reset.Equal(time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("the refusal says %+v", r)
	}
	want := `10 of 10 look-ups are used of the limit "day" of the plan Plan; it resets at 2026-11-22T00:00:00Z. More: https://ip.example/plans.`
	if said := string(c.refused.AppendDetail(nil)); said != want {
		t.Errorf("said %q\nwant %q", said, want)
	}
	if got, _ = s.ask(Call{Key: tested, Items: 3}); got != Admitted {
		t.Errorf("a test key is held against the quota: %q", got.Slug())
	}
	s.now = time.Date(2026, 11, 22, 0, 0, 1, 0, time.UTC)
	s.usage.Turn()
	if got, _ = s.ask(Call{Key: text, Items: 5}); got != Admitted {
		t.Errorf("5 on the next day: %q", got.Slug())
	}
	s.now = s.now.Add(time.Minute)
	if got, c = s.ask(Call{Key: text}); got != OverQuota || c.refused.Limit != "month" {
		t.Errorf("the sixteenth of a month: %q of %q", got.Slug(), c.refused.Limit)
	}
	// An upgrade counts at once.
	s.Apply(&Changes{Plans: []customer.Plan{{Name: "p", PerDay: 100}}})
	if got, _ = s.ask(Call{Key: text}); got != Admitted {
		t.Errorf("after an upgrade: %q", got.Slug())
	}
}

// TestGivenBack: what was not answered is not charged.
func TestGivenBack(t *testing.T) {
	s := newShop(t, customer.Plan{PerDay: 10})
	_, text := s.key(nil)
	c := Call{Key: text, Items: 8, Now: s.now}
	if r := s.Check(&c); r != nil {
		t.Fatal(r.Code.Slug())
	}
	s.Settle(&c, 400, 8, false)
	if used, of, _ := c.Left(); used != 0 || of != 10 {
		t.Errorf("after a 400: %d of %d", used, of)
	}
	// A stream: 4 of 5 answered, then 3 of 3, then it ends.
	c = Call{Key: text, Now: s.now}
	if r := s.Check(&c); r != nil {
		t.Fatal(r.Code.Slug())
	}
	for _, part := range [][2]int{{5, 4}, {3, 3}} {
		if r := s.More(&c, part[0]); r != nil {
			t.Fatal(r.Code.Slug())
		}
		s.Settle(&c, 200, part[1], true)
	}
	if r := s.More(&c, 3); r == nil || r.Code != OverQuota {
		t.Errorf("3 more than 2: %v", r)
	}
	s.Settle(&c, 200, 0, false)
	if used, _, _ := c.Left(); used != 7 {
		t.Errorf("%d used of a stream that answered 7", used)
	}
}

func TestOwnLimits(t *testing.T) {
	s := newShop(t, customer.Plan{})
	k, text := s.key(func(k *customer.Key) {
		k.Limits = []customer.Limit{{Name: "minute", Per: customer.PerMinute, N: 3}, {Name: "daily", Per: customer.PerDay, N: 5}}
	})
	_, other := s.key(nil)
	if got, _ := s.ask(Call{Key: text, Items: 3}); got != Admitted {
		t.Fatalf("3: %q", got.Slug())
	}
	if got, c := s.ask(Call{Key: text}); got != TooFast || c.refused.Limit != "minute" {
		t.Errorf("the fourth in a minute: %q of %q", got.Slug(), c.refused.Limit)
	}
	// A change of the key keeps what was used.
	k.Name = "renamed"
	s.Apply(&Changes{Keys: []customer.Key{k}})
	if got, _ := s.ask(Call{Key: text}); got != TooFast {
		t.Errorf("after the key was renamed: %q", got.Slug())
	}
	s.now = s.now.Add(time.Minute)
	if got, c := s.ask(Call{Key: text, Items: 2}); got != Admitted {
		t.Errorf("the fifth of a day: %q", got.Slug())
	} else if got := string(c.AppendRateLimit(nil)); got != `"daily";r=0;t=43140, "minute";r=1;t=60` {
		t.Errorf("RateLimit is %s", got)
	} else if got := string(c.AppendPolicy(nil)); got != `"minute";q=3;w=60, "daily";q=5;w=86400` {
		t.Errorf("RateLimit-Policy is %s", got)
	}
	s.now = s.now.Add(time.Minute)
	if got, c := s.ask(Call{Key: text}); got != OverQuota || c.refused.Limit != "daily" {
		t.Errorf("the sixth of a day: %q of %q", got.Slug(), c.refused.Limit)
	}
	if got, _ := s.ask(Call{Key: other, Items: 100}); got != Admitted {
		t.Errorf("another key of the account: %q", got.Slug())
	}
}

func TestAnonymous(t *testing.T) {
	s := newShop(t, customer.Plan{})
	_, text := s.key(nil)
	if got, _ := s.ask(Call{}); got != NoKey {
		t.Fatalf("without the plan: %q", got.Slug())
	}
	s.Apply(&Changes{Plans: []customer.Plan{{Name: AnonymousPlan, PerDay: 10, PerSecond: 2, Burst: 4, Bulk: 5}}})
	at := func(addr string) Call { return Call{Client: netip.MustParseAddr(addr)} }
	for i := range 4 {
		if got, _ := s.ask(at("192.0.2.1")); got != Admitted {
			t.Fatalf("call %d: %q", i, got.Slug())
		}
	}
	if got, c := s.ask(at("192.0.2.1")); got != TooFast || c.Wait() != 1 {
		t.Errorf("the fifth at once: %q, wait %d", got.Slug(), c.Wait())
	}
	if got, _ := s.ask(at("192.0.2.2")); got != Admitted {
		t.Errorf("its neighbour: %q", got.Slug())
	}
	// A /64 is one.
	bulk := at("2001:db8::1")
	bulk.Items = 5
	if got, _ := s.ask(bulk); got != Admitted {
		t.Errorf("a bulk above the burst: %q", got.Slug())
	}
	if got, _ := s.ask(at("2001:db8::2")); got != TooFast {
		t.Errorf("another address of the /64: %q", got.Slug())
	}
	bulk.Items = 6
	if got, _ := s.ask(bulk); got != TooMany {
		t.Errorf("a larger bulk: %q", got.Slug())
	}
	s.now = s.now.Add(time.Minute)
	bulk = at("192.0.2.1")
	bulk.Items = 5
	s.ask(bulk)
	s.now = s.now.Add(time.Minute)
	if got, c := s.ask(bulk); got != OverQuota || c.refused.Limit != "day" || c.refused.Max != 10 {
		t.Errorf("14 of 10 a day: %q, %+v", got.Slug(), c.refused)
	}
	if got, _ := s.ask(Call{Scope: Decide}); got != NoKey {
		t.Errorf("to decide: %q", got.Slug())
	}
	if got, _ := s.ask(Call{Key: "nonsense"}); got != NotKey {
		t.Errorf("a bad key is taken for none: %q", got.Slug())
	}
	if got, _ := s.ask(Call{Key: text}); got != Admitted {
		t.Errorf("a key: %q", got.Slug())
	}
	s.Apply(&Changes{GonePlans: []string{AnonymousPlan}})
	if got, _ := s.ask(at("203.0.113.1")); got != NoKey {
		t.Errorf("turned off: %q", got.Slug())
	}
}

func TestCheckDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's pools forget what they are given")
	}
	s := newShop(t, customer.Plan{PerDay: 1 << 40, PerSecond: 1 << 30})
	_, text := s.key(func(k *customer.Key) {
		k.Networks = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		k.Limits = []customer.Limit{{Name: "minute", Per: customer.PerMinute, N: 1 << 30}}
	})
	unknown := customer.NewKeyText(customer.Secret, customer.Live)
	var c Call
	buf := make([]byte, 0, 1024)
	for _, key := range []string{text, unknown, "nonsense", ""} {
		n := testing.AllocsPerRun(200, func() {
			c.Reset()
			c.Key, c.Items, c.Now, c.Client = key, 1, s.now, netip.MustParseAddr("192.0.2.1")
			status := 200
			if r := s.Check(&c); r != nil {
				status = r.Code.Status()
				buf = r.AppendMembers(r.AppendDetail(buf[:0]))
			}
			buf = c.AppendPolicy(c.AppendRateLimit(buf[:0]))
			s.Settle(&c, status, 1, false)
		})
		if n != 0 {
			t.Errorf("%.12q allocates %v times", key, n)
		}
	}
}

// TestFollow: a revocation is in force when the store has told of it, a store that
// is away changes nothing.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, customer.Plan{})
		k, text := s.key(nil)
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		var next *Changes // guarded by mu
		var away error    // guarded by mu
		set := func(c *Changes, err error) {
			mu.Lock()
			defer mu.Unlock()
			next, away = c, err
		}
		changes := func(_ context.Context, since int64, f func(*Changes) error) (int64, error) {
			mu.Lock()
			defer mu.Unlock()
			if away != nil {
				err := away
				if errors.Is(err, ErrForgotten) {
					away = nil
				}
				return 0, err
			}
			c := next
			if next = nil; c == nil {
				c = &Changes{}
			}
			return since + 1, f(c)
		}
		notify := make(chan struct{})
		done, err := s.Follow(ctx, changes, 250*time.Millisecond, notify, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		k.Revoked = s.now
		changed := &Changes{Keys: []customer.Key{k}}
		set(changed, errors.New("away"))
		time.Sleep(time.Second)
		synctest.Wait()
		if got, _ := s.ask(Call{Key: text}); got != Admitted {
			t.Errorf("while the store is away: %q", got.Slug())
		}
		set(changed, nil)
		time.Sleep(251 * time.Millisecond)
		synctest.Wait()
		if got, _ := s.ask(Call{Key: text}); got != Revoked {
			t.Errorf("once it is back: %q", got.Slug())
		}
		k.Revoked = time.Time{}
		set(&Changes{Keys: []customer.Key{k}}, nil)
		notify <- struct{}{}
		synctest.Wait()
		if got, _ := s.ask(Call{Key: text}); got != Admitted {
			t.Errorf("once notified: %q", got.Slug())
		}
		other, another := s.key(nil)
		set(&Changes{Plans: []customer.Plan{{Name: "p"}}, Keys: []customer.Key{other}}, ErrForgotten)
		notify <- struct{}{}
		synctest.Wait()
		if got, _ := s.ask(Call{Key: text}); got != UnknownKey {
			t.Errorf("a key that was deleted while nobody looked: %q", got.Slug())
		}
		if got, _ := s.ask(Call{Key: another}); got != Admitted {
			t.Errorf("one that was not: %q", got.Slug())
		}
		cancel()
		<-done
		set(nil, errors.New("no such file"))
		if _, err := s.Follow(t.Context(), changes, time.Second, nil, nil); err == nil {
			t.Error("a store that is away at the start: no error")
		}
	})
}

func TestNewMistakes(t *testing.T) {
	if _, err := New(Config{Networks: -1}); err == nil {
		t.Error("New of nothing: no error")
	}
	if _, err := NewHasher(make([]byte, 31)); err == nil {
		t.Error("a short secret: no error")
	}
	a, _ := NewHasher(make([]byte, SecretLen))
	b, _ := NewHasher(append(make([]byte, SecretLen-1), 1))
	if text := customer.NewKeyText(customer.Secret, customer.Live); a.Hash(text) == b.Hash(text) {
		t.Error("a hash does not depend on the secret")
	}
}
