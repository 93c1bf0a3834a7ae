package dataset

import (
	"iter"
	"net/netip"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/feed"
)

// special is a feed of our own: blocks that the RFCs set aside and that the
// IANA special-purpose registries do not list, because they have registries of
// their own. It is part of every build.
func special() Input {
	blocks := []struct{ prefix, name, rfc string }{
		{"224.0.0.0/4", "Multicast", "RFC5771"},
		{"ff00::/8", "Multicast", "RFC4291"},
		{"fec0::/10", "Deprecated Site-Local", "RFC3879"},
		// Of IPv6 only 2000::/3 is given out. What is inside of these and has an
		// entry in the special-purpose registry goes by that.
		{"::/3", "Reserved by IETF", "RFC4291"},
		{"4000::/2", "Reserved by IETF", "RFC4291"},
		{"8000::/1", "Reserved by IETF", "RFC4291"},
	}
	return Input{
		Spec: feed.Spec{
			Name: "rfc-special", Title: "Blocks set aside by RFCs", Homepage: "https://www.rfc-editor.org/",
			Licence: "CC0-1.0", Asserts: feed.Asserts{Fields: []string{"security.is_bogon"}, Trust: 90},
		},
		Date: time.Date(2010, time.March, 1, 0, 0, 0, 0, time.UTC), // RFC 5771, the newest of them
		Facts: iter.Seq2[*feed.Fact, error](func(yield func(*feed.Fact, error) bool) {
			for _, b := range blocks {
				f := feed.Fact{Traits: ipwarden.Bogon, Name: b.name, RFC: b.rfc}
				f.SetPrefix(netip.MustParsePrefix(b.prefix))
				if !yield(&f, nil) {
					return
				}
			}
		}),
	}
}
