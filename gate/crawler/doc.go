// Package crawler tells crawlers from those who only say that they are one: by
// what the user agent claims, and by the name of the address both ways
// (forward-confirmed reverse DNS), as the operators of crawlers ask for.
//
// The call most people want is the Verifier's, once a request:
//
//	v, err := crawler.New(crawler.Config{})
//	name, state := v.Check(userAgent, addr, time.Now())
//
// Nobody waits for DNS: the first request of a crawler is pending, and the
// answer is there for the next. It refuses to believe a name that does not
// resolve back to the address, and never hands on a name that is no host name.
//
// Crawlers whose operators publish their addresses are verified without it, by
// the dataset (the trait [ipwarden.Crawler]); ask that first.
package crawler
