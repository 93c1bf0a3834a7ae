package dnsbl

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// What is known counts, nobody waits, and what is not known yet is asked behind.
func TestCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("bl.example", "other.example")
		w.set(func() { w.delay = 10 * time.Millisecond }) // no answer is there before it is waited for
		w.list("81.2.69.142", "bl.example", 900, "127.0.0.2")
		w.list("81.2.69.142", "other.example", 900, "127.0.0.10")
		l := open(t, w, Config{Zones: []Zone{
			{Name: "bl.example", Codes: codes(map[byte]Code{2: spam}), Listing: "The list", Terms: "free"},
			{Name: "other.example", Codes: codes(map[byte]Code{10: {}})},
		}})
		addr := netip.MustParseAddr("81.2.69.142")
		if got := l.Cached(addr); got != nil {
			t.Errorf("before anybody was asked: %v", got)
		}
		answered := func() {
			time.Sleep(time.Second)
			synctest.Wait()
		}
		answered()
		if got := fmt.Sprint(l.Cached(addr)); got != "[bl.example other.example]" {
			t.Errorf("%s", got)
		}
		for range 3 {
			l.Cached(addr)
		}
		answered()
		if n := w.count("81.2.69.142", "bl.example"); n != 1 {
			t.Errorf("it was asked %d times", n)
		}
		for _, none := range []netip.Addr{{}, netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("127.0.0.1")} {
			l.Cached(none)
			answered()
			if got := l.Cached(none); got != nil {
				t.Errorf("%s: %v", none, got)
			}
		}
		if got := fmt.Sprint(l.Zones()); got != "[bl.example other.example]" {
			t.Error(got)
		}
	})
}
