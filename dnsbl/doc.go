// Package dnsbl asks DNS block lists who an address is: zones such as
// zen.spamhaus.org, in which a name made of the address says whether the list
// has it (RFC 5782).
//
// The call most people want is the [List]'s, which is a Source:
//
//	l, err := dnsbl.New(dnsbl.Config{Resolvers: []string{"127.0.0.1:53"}, Zones: zones})
//	defer l.Close()
//	rec, err := l.Lookup(ctx, addr)
//
// Nobody waits for DNS unless [Config.Wait] says so: the first look-up of an
// address is [ErrPending], and the answer is there for the next. [Known] has the
// zones that are in use today; none of them is asked until somebody chooses it.
//
// It refuses to believe a zone more than it said: only codes that the zone's map
// has are listings, answers outside of 127.0.0.0/8 and codes by which a list
// refuses its service are none, and a zone that fails its control addresses, or
// lists those that it must not, is not asked until it passes them again. Private
// and other special-purpose addresses are never sent.
package dnsbl
