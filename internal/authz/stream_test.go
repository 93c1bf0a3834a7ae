package authz

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage"
)

// booked is a usage.Memory that keeps books.
type booked struct {
	*usage.Memory
	books map[customer.Class]uint32
}

func (b *booked) RecordExpected(_ *usage.Key, _ customer.Endpoint, c customer.Class, n uint32, _ *usage.Expected) {
	b.books[c] += n
}

// What a stream has answered is counted, and held against the quota once, though the same
// question was told that there is no more.
func TestStreamIsCountedToItsEnd(t *testing.T) {
	for _, quota := range []int64{3, 8, 10} {
		s := newShop(t, customer.Plan{})
		books := &booked{usage.NewMemory(func() time.Time { return s.now }), map[customer.Class]uint32{}}
		var err error
		if s.Authorizer, err = New(Config{Hasher: s.hasher, Usage: books, Networks: 64, Now: func() time.Time { return s.now }}); err != nil {
			t.Fatal(err)
		}
		s.Apply(&Changes{Plans: []customer.Plan{{Name: "p", PerDay: quota}}, Accounts: []customer.Account{s.acc}})
		_, text := s.key(nil)
		c := &Call{Key: text, Now: s.now, Client: netip.MustParseAddr("192.0.2.1"), Endpoint: customer.EndpointBulk}
		if r := s.Check(c); r != nil {
			t.Fatalf("refused: %s", r.Code.Slug())
		}
		for {
			may, why := s.Some(c, 5)
			if may > 0 {
				s.Settle(c, 200, may, true)
			}
			if why != nil {
				break
			}
		}
		s.Settle(c, 200, 0, false)
		if books.books[customer.Charged] != uint32(quota) || books.books[customer.Limited] != 1 || len(books.books) != 2 {
			t.Errorf("a quota of %d: counted are %v", quota, books.books)
		}
		if used, of, _ := c.Left(); used != quota || of != quota {
			t.Errorf("a quota of %d: %d of %d are used", quota, used, of)
		}
	}
}

// A stream may last for hours, and a key that was taken back ends it with its next item.
func TestStreamEndsWithItsKey(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*shop, customer.Key)
		want   Code
	}{
		{"nothing", func(*shop, customer.Key) {}, Admitted},
		{"revoked", func(s *shop, k customer.Key) {
			k.Revoked = s.now
			s.Apply(&Changes{Keys: []customer.Key{k}})
		}, Revoked},
		{"expired", func(s *shop, k customer.Key) { s.now = s.now.Add(2 * time.Hour) }, Expired},
		{"gone", func(s *shop, k customer.Key) { s.Apply(&Changes{GoneKeys: []customer.Hash{k.Hash}}) }, UnknownKey},
		{"for another network now", func(s *shop, k customer.Key) {
			k.Networks = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
			s.Apply(&Changes{Keys: []customer.Key{k}})
		}, WrongAddress},
		{"the account is suspended", func(s *shop, _ customer.Key) {
			s.acc.Status = customer.Suspended
			s.Apply(&Changes{Accounts: []customer.Account{s.acc}})
		}, Suspended},
		{"the account is deleted", func(s *shop, _ customer.Key) {
			s.acc.Status = customer.Deleted
			s.Apply(&Changes{Accounts: []customer.Account{s.acc}})
		}, UnknownKey},
		{"a smaller plan", func(s *shop, _ customer.Key) { s.Apply(&Changes{Plans: []customer.Plan{{Name: "p", PerDay: 2}}}) }, OverQuota},
	} {
		s := newShop(t, customer.Plan{PerDay: 100})
		k, text := s.key(func(k *customer.Key) { k.Expires = s.now.Add(time.Hour) })
		c := &Call{Key: text, Now: s.now, Client: netip.MustParseAddr("192.0.2.1")}
		if r := s.Check(c); r != nil {
			t.Fatalf("refused: %s", r.Code.Slug())
		}
		if may, why := s.Some(c, 3); may != 3 || why != nil {
			t.Fatalf("%s: %d, %v", tt.name, may, why)
		}
		s.Settle(c, 200, 3, true)
		tt.change(s, k)
		c.At(s.now)
		got := Admitted
		if _, why := s.Some(c, 3); why != nil {
			got = why.Code
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got.Slug(), tt.want.Slug())
		}
	}
	s := newShop(t, customer.Plan{})
	tier := customer.Plan{Name: AnonymousPlan, PerDay: 100}
	s.Apply(&Changes{Plans: []customer.Plan{tier}})
	c := &Call{Now: s.now, Client: netip.MustParseAddr("192.0.2.1")}
	if r := s.Check(c); r != nil {
		t.Fatalf("without a key: %s", r.Code.Slug())
	}
	if may, why := s.Some(c, 3); may != 3 || why != nil {
		t.Fatalf("without a key: %d, %v", may, why)
	}
	s.Apply(&Changes{GonePlans: []string{AnonymousPlan}})
	if may, why := s.Some(c, 3); may != 0 || why == nil || why.Code != NoKey {
		t.Errorf("the tier is closed: %d, %v", may, why)
	}
}
