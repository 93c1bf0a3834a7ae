// Package netns makes places that are as far from each other as one likes, on one
// machine: each is a network namespace of Linux with a TUN device, and this process
// carries the packets between them, late, or not at all.
//
// The call most people want:
//
//	w, err := netns.New(netns.Config{Places: 3, Delay: func(from, to int) time.Duration { return 40 * time.Millisecond }})
//	err = w.Do(0, cmd.Start) // a process in the first place
//	w.Cut(0, 2, true)        // from here on these two do not hear of each other
//
// It refuses to begin without root and /dev/net/tun: see [Possible]. It carries IPv4
// alone, and knows nothing of what is inside a packet.
package netns

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Config says which places there are.
type Config struct {
	// Places is how many: 1 to 64.
	Places int
	// Delay is how long a packet takes from one to another. Default: no time.
	Delay func(from, to int) time.Duration
}

// maxPlaces bounds the pairs of places: each has a queue.
const maxPlaces = 64

func (c *Config) check() error {
	if c.Places < 1 || c.Places > maxPlaces {
		return fmt.Errorf("netns: there are 1 to %d places, not %d", maxPlaces, c.Places)
	}
	return nil
}

// ErrImpossible is of a machine, or a user, that cannot have such places.
var ErrImpossible = errors.New("networks of their own need Linux, root and /dev/net/tun")

// Addr is the address of a place: of 198.18.0.0/15, which is for such measurements
// (RFC 2544 appendix C.2.2).
func Addr(place int) netip.Addr {
	return netip.AddrFrom4([4]byte{198, 18, byte(place + 1), 1})
}

// Network has all places.
var Network = netip.MustParsePrefix("198.18.0.0/15")

// placeOf is the place that has an address; false is none.
func placeOf(a [4]byte, places int) (int, bool) {
	i := int(a[2]) - 1
	return i, a[0] == 198 && a[1] == 18 && a[3] == 1 && i >= 0 && i < places
}
