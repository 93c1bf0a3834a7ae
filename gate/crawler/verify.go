package crawler

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden/policy"
)

// How long until DNS is asked again that did not answer: the first time, and at
// most.
const (
	retryFirst = 10 * time.Second
	retryMost  = 10 * time.Minute
)

// Tries is how often DNS may leave a claim unanswered, over five minutes at least: then
// it is policy.Unanswered and not pending any more, and is asked for every
// ten minutes when it comes. Whose address it is may see to it that its names never
// answer, and being pending is better than being blocked.
const Tries = 6

// What an address's owner may make us ask: names of its address, and forward
// look-ups of those that match, and what those bring.
const (
	maxNames   = 16
	maxForward = 3
	maxAddrs   = 64 // of a name
)

// work asks for claims until the Verifier is closed.
func (v *Verifier) work() {
	for {
		select {
		case <-v.ctx.Done():
			return
		case k := <-v.queue:
			ctx, cancel := context.WithTimeout(v.ctx, v.cfg.Timeout)
			confirmed, err := v.confirm(ctx, k.addr, v.cfg.Table[k.crawler].Hosts)
			cancel()
			now := v.cfg.Now()
			switch {
			case err != nil:
				v.unanswered.Add(1)
				v.cache.postpone(k, now, retryFirst, retryMost, Tries)
			case confirmed:
				v.verified.Add(1)
				v.cache.settle(k, policy.Verified, now.Add(v.cfg.Good))
			default:
				v.failed.Add(1)
				v.cache.settle(k, policy.Failed, now.Add(v.cfg.Bad))
			}
		}
	}
}

// confirm reports whether a name of the address is one of hosts and has the
// address. An error means that DNS did not tell.
func (v *Verifier) confirm(ctx context.Context, addr netip.Addr, hosts []string) (bool, error) {
	names, err := v.cfg.LookupAddr(ctx, addr.String())
	if err != nil && len(names) == 0 {
		return false, unanswered(err)
	}
	var failed error
	asked := 0
	for _, name := range names[:min(len(names), maxNames)] {
		host, ok := hostName(name)
		if !ok || !matchesAny(hosts, host) {
			continue
		}
		if asked++; asked > maxForward {
			break
		}
		texts, err := v.cfg.LookupHost(ctx, host+".")
		if err != nil {
			failed = errors.Join(failed, unanswered(err))
			continue
		}
		for _, text := range texts[:min(len(texts), maxAddrs)] {
			if a, err := netip.ParseAddr(text); err == nil && a.Unmap().WithZone("") == addr {
				return true, nil
			}
		}
	}
	return false, failed
}

// unanswered returns nil when the error is an answer: there is no such name, or
// none that is a host name.
func unanswered(err error) error {
	var dns *net.DNSError
	if !errors.As(err, &dns) {
		return err
	}
	// net drops names that are none and says so in words alone.
	if dns.IsNotFound || strings.Contains(dns.Err, "invalid names") {
		return nil
	}
	return err
}
