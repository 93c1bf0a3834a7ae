// Package usage counts the calls of customers, exactly: each answered call once,
// through kill -9 of any process, a region that is cut off, a stream that stops and
// comes back; and it holds quotas by these counts in every region.
//
// The call most people want:
//
//	meter, err := usage.New(usage.Config{…})
//	…
//	defer meter.Close()
//	key := meter.Key(id, account)           // once a key
//	standing := meter.Standing(usage.Subject{Account: account})
//	…
//	if !standing.Take(1) { … 429 with standing.Quota() … }
//	meter.Record(key, customer.EndpointLookup, customer.Charged, 1, client, referer)
//
// The last two are for the request path: nanoseconds, no lock, no allocation, no I/O.
package usage
