package usage_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/customer"
	"github.com/ipwarden/ipwarden/internal/usage"
)

func TestBusiest(t *testing.T) {
	var c usage.Busiest
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	note := func(account customer.AccountID, class customer.Class, n uint32, client string) {
		c.Note(account, class, n, netip.MustParseAddr(client), now)
	}
	note(7, customer.Charged, 5, "192.0.2.1")
	note(7, customer.Rejected, 2, "192.0.2.1")
	note(7, customer.Tested, 9, "2001:db8::1")
	note(7, customer.Tested, 1, "2001:db8::2") // of the same /64
	note(8, customer.Charged, 100, "192.0.2.9")
	got := c.Of(7, now)
	want := []usage.Frequent{{netip.MustParsePrefix("2001:db8::/64"), 10, 0}, {netip.MustParsePrefix("192.0.2.1/32"), 5, 2}}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("%v, want %v", got, want)
	}
	// Many others do not push out who calls most, and take no more room.
	for i := range 10_000 {
		c.Note(7, customer.Charged, 1, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), now)
		note(7, customer.Charged, 2, "192.0.2.1")
	}
	if got = c.Of(7, now); len(got) != 16 || got[0].Client != want[1].Client || got[0].Answered != 20_005 {
		t.Errorf("%d callers, first %v", len(got), got[0])
	}
	if got = c.Of(7, now.Add(12*time.Hour)); got != nil {
		t.Errorf("on the next day: %v", got)
	}
	for i := range 100_000 {
		note(customer.AccountID(i+1), customer.Charged, 1, "192.0.2.1")
	}
	n := 0
	for i := range 100_000 {
		n += len(c.Of(customer.AccountID(i+1), now))
	}
	if n > 64*256*16 || n < 64*256 {
		t.Errorf("%d callers of all accounts are kept", n)
	}
	a := netip.MustParseAddr("192.0.2.1")
	if n := testing.AllocsPerRun(100, func() { c.Note(100_000, customer.Charged, 1, a, now) }); n != 0 {
		t.Errorf("a call allocates %v times", n)
	}
}

func BenchmarkBusiest(b *testing.B) {
	var c usage.Busiest
	now := time.Now()
	a := netip.MustParseAddr("192.0.2.1")
	for i := range b.N {
		c.Note(customer.AccountID(i&1023+1), customer.Charged, 1, a, now)
	}
}
