package dataset

import (
	"iter"
	"net/netip"
	"runtime"
	"slices"

	"github.com/ipwarden/ipwarden"
)

// FeedNetworks yields the networks that one feed lists, as it lists them, with
// what it says of the hosting there; IPv4 first, in the order of addresses. It
// is for lists whose rows mean something by themselves, such as the proxies of
// a CDN: neither another feed nor an overlay has a say in it. A feed that the
// dataset does not have yields nothing. A network that the feed's own more
// specific ones cover whole is left out, and of several rows on the same network
// one is there. It unpacks the evidence, which takes milliseconds.
func (d *Dataset) FeedNetworks(feed string) iter.Seq2[netip.Prefix, ipwarden.HostingInfo] {
	return func(yield func(netip.Prefix, ipwarden.HostingInfo) bool) {
		defer runtime.KeepAlive(d)
		f := slices.IndexFunc(d.manifest.Feeds[:d.manifest.Inputs], func(i FeedInfo) bool { return i.Name == feed })
		if f < 0 {
			return
		}
		seen := map[netip.Prefix]bool{}
		infos := map[uint32]ipwarden.HostingInfo{}
		for s, to := range d.steps(uint8(f)) {
			info, ok := infos[s.sec]
			if !ok && s.sec != 0 {
				c := claim(d, blockSec, s.sec, (*reader).sec)
				info = ipwarden.HostingInfo{Name: c.Name, Region: c.CloudRegion, Service: c.CloudService}
				infos[s.sec] = info
			}
			for p := range s.networks(to) {
				if seen[p] {
					continue // the same row, on the other side of a more specific one
				}
				seen[p] = true
				if !yield(p, info) {
					return
				}
			}
		}
	}
}

// placedStep is a step and the family it belongs to.
type placedStep struct {
	step
	fam family
}

// networks yields the network of a row, or those that make up a range.
func (s *placedStep) networks(to position) iter.Seq[netip.Prefix] {
	return func(yield func(netip.Prefix) bool) {
		if s.bits >= 0 {
			yield(netip.PrefixFrom(s.from.masked(s.fam, int(s.bits)).addr(s.fam), int(s.bits)))
			return
		}
		for from := s.from; ; {
			n := largestPrefix(s.fam, from, to)
			end := from.endOf(s.fam, n)
			if !yield(netip.PrefixFrom(from.addr(s.fam), n)) || end == to {
				return
			}
			from = end.next()
		}
	}
}

// steps yields the steps of one feed that say something, with the last position
// of each. It ends at a block that is damaged.
func (d *Dataset) steps(feed uint8) iter.Seq2[*placedStep, position] {
	return func(yield func(*placedStep, position) bool) {
		n := len(d.dir) / dirSize
		for i := range n {
			e := d.dirAt(i)
			if e.kind != blockSteps || e.feed != feed {
				continue
			}
			raw, err := d.block(e)
			if err != nil {
				return
			}
			end := e.fam.last()
			if i+1 < n {
				if next := d.dirAt(i + 1); next.kind == blockSteps && next.feed == feed && next.fam == e.fam {
					end = next.first.prev()
				}
			}
			for pos, more := e.first, true; more; {
				s := placedStep{fam: e.fam}
				var next position
				if s.step, next, more, err = stepAt(raw, e.first, pos); err != nil {
					return
				}
				to := end
				if more {
					to = next.prev()
				}
				if int(s.bits) > e.fam.bits() || to.less(s.from) || e.fam.last().less(to) {
					return
				}
				if !s.silent() && !yield(&s, to) {
					return
				}
				pos = next
			}
		}
	}
}
