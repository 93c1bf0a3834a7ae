package redis

import (
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/proxytest"
	"github.com/ipwarden/ipwarden/limit"
)

// A server's clock that was an hour ahead, as that of one which took over for a
// moment, shuts nobody out for an hour: after the jump a key has its own window to
// wait, at most, and nothing is given away.
func TestServerClockJumps(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	start(t, addr)
	l := limiter(t, Config{Addresses: []string{addr}})
	client, err := l.store.connected()
	if err != nil {
		t.Fatal(err)
	}
	const minute = int64(time.Minute)
	for _, rate := range []*limit.Rate{
		{Name: "gcra", Limit: 5, Window: time.Minute},
		{Name: "sliding", Limit: 5, Window: time.Minute, Algorithm: limit.Sliding},
		{Name: "fixed", Limit: 5, Window: time.Minute, Algorithm: limit.Fixed},
	} {
		t.Run(rate.Name, func(t *testing.T) {
			states := map[limit.Key][3]int64{} // what Carry does, beside it
			ask := func(now int64) bool {
				it := limit.Item{Key: key(rate.Name), Rate: rate, Cost: 1}
				c := &call{}
				c.add(opTake, &it, "test:"+rate.Name, true)
				args := c.arguments(l.store.script.text)
				args[len(args)-1] = formatMicroseconds(now)
				text, err := client.Do(t.Context(), client.B().Arbitrary("EVAL").Args(args...).Build()).ToString()
				if err == nil {
					err = c.answer(text)
				}
				if err != nil {
					t.Fatal(err)
				}
				a := &limit.Ask{Items: []limit.Item{{Key: it.Key, Rate: rate, Cost: 1}}}
				a.Carry(now, func(k limit.Key) (int64, uint32, uint32) {
					s := states[k]
					return s[0], uint32(s[1]), uint32(s[2])
				}, func(k limit.Key, until int64, current, previous uint32) {
					states[k] = [3]int64{until, int64(current), int64(previous)}
				})
				if a.Allowed != it.Allowed {
					t.Fatalf("the script says %v, Carry %v", it.Allowed, a.Allowed)
				}
				return it.Allowed
			}
			now := int64(1e15)
			for range 5 {
				if !ask(now + 60*minute) { // the clock that is ahead
					t.Fatal("denied below the limit")
				}
			}
			passed, first := 0, int64(0)
			for at := int64(0); at < 10*minute; at += int64(time.Second) { // a client that asks on
				if ask(now + at) {
					if passed++; passed == 1 {
						first = at
					}
				}
			}
			if first == 0 || first > 2*minute {
				t.Errorf("let in again after %s", time.Duration(first))
			}
			if passed < 35 || passed > 50 {
				t.Errorf("%d in ten minutes, of 5 a minute", passed)
			}
		})
	}
}

// The same of the places of attempts.
func TestServerClockJumpsUnderAttempts(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	start(t, addr)
	l := limiter(t, Config{Addresses: []string{addr}})
	k := key(t.Name())
	ahead := formatMicroseconds(time.Now().Add(time.Hour).UnixMilli() * 1000) // in milliseconds
	for _, member := range []string{"a", "b", "c"} {
		cli(t, addr, "zadd", l.placeName(k), ahead, member)
	}
	places := []limit.Place{{Key: k, For: 5 * time.Second, Most: 3}}
	if err := l.Enter(t.Context(), [16]byte{1}, places); err != nil || places[0].Count != 1 {
		t.Errorf("%+v, %v; want the only one", places, err)
	}
}
