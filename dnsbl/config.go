package dnsbl

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden"
)

// Config of a List.
type Config struct {
	// Zones to ask, at least one and at most 32.
	Zones []Zone
	// Resolvers are asked in this order, as "127.0.0.1:53"; the port is 53 unless
	// given. Default: those of /etc/resolv.conf. Most lists refuse resolvers that
	// everybody uses (8.8.8.8, 1.1.1.1): run one of your own.
	Resolvers []string
	// Wait makes Lookup wait for the zones until its context ends. Default: it
	// answers at once from what is known, and asks behind.
	Wait bool
	// Timeout of one question to one resolver. Default 1 s.
	Timeout time.Duration
	// Tries of one question, over all resolvers. Default 3.
	Tries int
	// Budget of all questions about an address. Default 5 s.
	Budget time.Duration
	// Workers is how many addresses are asked about at a time. Default 16.
	Workers int
	// Queue is how many addresses wait for a worker; more are asked about with
	// their next look-up. Default 1024.
	Queue int
	// Entries is how many addresses are remembered, some 150 bytes each and 48 more
	// for each zone. Default 32768.
	Entries int
	// IPv6Bits is how much of an IPv6 address is asked about; the rest is zeros, and
	// the answer is that of the whole network. Default 64: who has a network has as
	// many addresses as they like, and would make as many questions. Lists that have
	// single addresses want 128.
	IPv6Bits int
	// MinTTL and MaxTTL bound how long an answer is believed, whatever its TTL;
	// MaxNegative is instead of MaxTTL for an address that a zone does not list.
	// Default 5 min, 6 h and 1 h.
	MinTTL, MaxTTL, MaxNegative time.Duration
	// Grace is how long after that an answer still counts while it is asked for
	// again. Default 10 min.
	Grace time.Duration
	// CheckEvery is how often each zone's control addresses are asked, a fifth more
	// or less. Default 5 min. Negative: only by [List.Check]; zones are then asked
	// without having passed.
	CheckEvery time.Duration
	// Public reports whether a canonical address may be sent. Default:
	// ipwarden.Public.
	Public func(netip.Addr) bool
	// Dial opens connections to resolvers. Default that of a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Log hears of zones that go and come back. Default: nobody does.
	Log *slog.Logger
}

// Zone is one list.
type Zone struct {
	// Name is what is asked, "zen.spamhaus.org".
	Name string
	// Key is a label between the address and the name, of lists that give each
	// customer one. It is a secret: it goes to the resolver and nowhere else.
	Key string
	// Codes says what the zone's answers mean. Others mean nothing.
	Codes map[netip.Addr]Code
	// Listing is the list's name for people. Default Name.
	Listing string
	// URL is the list's page.
	URL string
	// Terms is under which conditions it may be asked: the licence in the evidence.
	Terms string
	// IPv6 says that the zone has IPv6 addresses, NoIPv4 that it has no others.
	IPv6, NoIPv4 bool
	// Text asks for the reason of a listing as well (TXT).
	Text bool
}

// Code is what one answer of a zone means. The zero Code is one that is known and
// says nothing, such as that an address should send no mail.
type Code struct {
	// Traits that it asserts.
	Traits ipwarden.Traits
	// Type of the listing: attacker, abuser, spam, botnet, …; "" makes none.
	Type string
	// Listing is the name of the list, where a zone holds several. Default the
	// zone's.
	Listing string
}

// Bounds of what is configured.
const (
	maxZones     = 32
	maxCodes     = 64
	maxResolvers = 8
	maxZoneName  = 253 - 64 // 32 nibbles of IPv6 go before it, each with its dot
)

// fill sets defaults and returns all mistakes.
func (c *Config) fill() error {
	var errs []error
	for _, d := range []struct {
		name string
		v    *time.Duration
		def  time.Duration
	}{
		{"Timeout", &c.Timeout, time.Second},
		{"Budget", &c.Budget, 5 * time.Second},
		{"MinTTL", &c.MinTTL, 5 * time.Minute},
		{"MaxTTL", &c.MaxTTL, 6 * time.Hour},
		{"MaxNegative", &c.MaxNegative, time.Hour},
		{"Grace", &c.Grace, 10 * time.Minute},
	} {
		if *d.v == 0 {
			*d.v = d.def
		}
		if *d.v < 0 {
			errs = append(errs, fmt.Errorf("%s is %v, and should be more than 0, such as %v", d.name, *d.v, d.def))
		}
	}
	for _, d := range []struct {
		name string
		v    *int
		def  int
	}{{"Tries", &c.Tries, 3}, {"Workers", &c.Workers, 16}, {"Queue", &c.Queue, 1024}, {"Entries", &c.Entries, 32768}} {
		if *d.v == 0 {
			*d.v = d.def
		}
		if *d.v < 0 {
			errs = append(errs, fmt.Errorf("%s is %d, and should be more than 0, such as %d", d.name, *d.v, d.def))
		}
	}
	if c.MinTTL > 0 && c.MaxTTL < c.MinTTL || c.MaxNegative < c.MinTTL {
		errs = append(errs, fmt.Errorf("MaxTTL (%v) and MaxNegative (%v) should not be below MinTTL (%v)", c.MaxTTL, c.MaxNegative, c.MinTTL))
	}
	if c.CheckEvery == 0 {
		c.CheckEvery = 5 * time.Minute
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Public == nil {
		c.Public = ipwarden.Public
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	if c.IPv6Bits == 0 {
		c.IPv6Bits = 64
	}
	if c.IPv6Bits < 32 || c.IPv6Bits > 128 {
		errs = append(errs, fmt.Errorf("IPv6Bits is %d; it may be 32 to 128, such as 64", c.IPv6Bits))
	}
	errs = append(errs, c.resolvers()...)
	if len(c.Zones) == 0 || len(c.Zones) > maxZones {
		errs = append(errs, fmt.Errorf("there are %d zones in Zones; give 1 to %d, such as {Name: \"zen.spamhaus.org\"}", len(c.Zones), maxZones))
	}
	seen := map[string]bool{}
	for i := range c.Zones {
		z := &c.Zones[i]
		errs = append(errs, z.check()...)
		if name := strings.ToLower(strings.TrimSuffix(z.Name, ".")); seen[name] {
			errs = append(errs, fmt.Errorf("%s is there twice", z.Name))
		} else {
			seen[name] = true
		}
	}
	return errors.Join(errs...)
}

// Check returns all that is wrong with a zone, nil for nothing.
func (z *Zone) Check() error { return errors.Join(z.check()...) }

func (z *Zone) check() (errs []error) {
	name := strings.TrimSuffix(z.Name, ".")
	if !hostLabels(name) || !strings.Contains(name, ".") {
		errs = append(errs, fmt.Errorf("%q is no name of a zone, such as \"zen.spamhaus.org\"", clip(z.Name, 64)))
	}
	if z.Key != "" && (!hostLabels(z.Key) || strings.Contains(z.Key, ".")) {
		errs = append(errs, fmt.Errorf("the key of %s is no label: it has letters, digits and hyphens, 63 at most", z.Name))
	}
	if len(name)+len(z.Key)+1 > maxZoneName {
		errs = append(errs, fmt.Errorf("%s is %d characters long with its key, and no address fits before more than %d", clip(z.Name, 64), len(name)+len(z.Key), maxZoneName-1))
	}
	if len(z.Codes) == 0 || len(z.Codes) > maxCodes {
		errs = append(errs, fmt.Errorf("%s has %d codes; give 1 to %d, such as 127.0.0.2", z.Name, len(z.Codes), maxCodes))
	}
	for a, c := range z.Codes {
		switch {
		case !a.Is4() || !loopback.Contains(a):
			errs = append(errs, fmt.Errorf("%s: %s is no code; codes are in 127.0.0.0/8, such as 127.0.0.2", z.Name, a))
		case isRefusal(a):
			errs = append(errs, fmt.Errorf("%s: %s says that the list refuses to answer; it is no listing", z.Name, a))
		}
		if c.Traits&^ipwarden.AllTraits != 0 || c.Traits.Has(ipwarden.Bogon) {
			errs = append(errs, fmt.Errorf("%s: the code %s asserts %v, which no list can", z.Name, a, c.Traits.Names()))
		}
	}
	if z.NoIPv4 && !z.IPv6 {
		errs = append(errs, fmt.Errorf("%s has neither IPv4 nor IPv6; set IPv6", z.Name))
	}
	return errs
}

// hostLabels reports whether s is labels of letters, digits, hyphens and
// underscores, with dots between.
func hostLabels(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}

func clip(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "") + "…"
	}
	return s
}
