package shield

import (
	"log/slog"
	"net/netip"
	"testing"
	"time"
)

// BenchmarkRefuses is what a call at the API costs: while nothing is in force, and with
// a country, less the look-up of where the address is.
func BenchmarkRefuses(b *testing.B) {
	g, err := New(b.Context(), Config{Locate: func(netip.Addr) (string, uint32) { return "NO", 64500 }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer g.Close()
	addr, now := netip.MustParseAddr("192.0.2.1"), time.Now()
	run := func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			g.Refuses(addr, true, now)
		}
	}
	b.Run("nothing", run)
	if err := g.Change(func(s *State) error {
		return s.Set(now, Measure{Kind: Country, Value: "SE", Action: Block, Since: now, Until: now.Add(time.Hour)})
	}); err != nil {
		b.Fatal(err)
	}
	b.Run("a country", run)
}

func BenchmarkWatch(b *testing.B) {
	w := NewWatch(nil, nil)
	now := time.Now()
	b.Run("wants", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			w.Wants(now)
		}
	})
	var a [4]byte
	b.Run("notes", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			a[0]++
			a[1] += a[0] & 1
			w.Note(netip.AddrFrom4(a), "agent", "unknown-key")
		}
	})
}
