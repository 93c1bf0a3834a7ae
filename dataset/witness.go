package dataset

import (
	"net/netip"
	"slices"
	"strconv"

	"github.com/ipwarden/ipwarden"
)

// said is what one feed says of an address or of its AS.
type said struct {
	feed  int
	match string
	loc   locClaim
	net   netClaim
	org   org
	sec   secClaim
	as    asClaim
	off   bool // outside of its operator's own networks
}

// witnesses collects what every feed says, the one to believe first in front.
func (d *Dataset) witnesses(addr netip.Addr, origin uint32) []said {
	fam, pos := familyOf(addr), positionOf(addr)
	var all []said
	for f := range d.manifest.Inputs {
		e, at, ok := d.find(blockSteps, fam, uint8(f), pos)
		if !ok {
			continue
		}
		raw, err := d.block(e)
		if err != nil {
			continue
		}
		s, next, more, err := stepAt(raw, e.first, pos)
		if err != nil || s.silent() {
			continue
		}
		w := said{feed: f}
		if s.bits >= 0 {
			p, _ := addr.Prefix(int(s.bits))
			w.match = p.String()
		} else {
			to := fam.last()
			if more {
				to = next.prev()
			} else if at+1 < len(d.dir)/dirSize {
				if next := d.dirAt(at + 1); next.kind == blockSteps && next.fam == fam && int(next.feed) == f {
					to = next.first.prev()
				}
			}
			w.match = prefixText(fam, s.from, to)
		}
		if s.loc != 0 {
			w.loc = claim(d, blockLoc, s.loc, (*reader).loc)
		}
		if s.net != 0 {
			w.net = claim(d, blockNet, s.net, (*reader).net)
			w.org = claim(d, blockOrg, w.net.Org, (*reader).org)
		}
		if s.sec != 0 {
			w.sec = claim(d, blockSec, s.sec, (*reader).sec)
		}
		own := d.manifest.Notes[f].Origins
		w.off = w.loc.Country != "" && len(own) > 0 && !slices.Contains(own, origin)
		all = append(all, w)
	}
	all = append(all, d.saidOfAS(origin)...)
	slices.SortStableFunc(all, func(a, b said) int { return d.manifest.Notes[a.feed].Rank - d.manifest.Notes[b.feed].Rank })
	return all
}

// saidOfAS collects what every feed says of an autonomous system.
func (d *Dataset) saidOfAS(number uint32) []said {
	if number == 0 {
		return nil
	}
	e, _, ok := d.find(blockASSaid, 0, 0, position{lo: uint64(number)})
	if !ok {
		return nil
	}
	raw, err := d.block(e)
	if err != nil {
		return nil
	}
	var all []said
	r := reader{b: raw}
	at := uint32(0)
	for range r.uvarint() {
		at += uint32(r.uvarint())
		f, c := int(r.byte()), uint32(r.uvarint())
		if at > number || r.bad {
			break
		}
		if at == number && f < d.manifest.Inputs {
			w := said{feed: f, match: "AS" + strconv.FormatUint(uint64(number), 10), as: claim(d, blockAS, c, (*reader).as)}
			if w.as.Name == sameName {
				known, _ := d.AS(number)
				w.as.Name = known.Name
			}
			all = append(all, w)
		}
	}
	return all
}

func (d *Dataset) claimOf(w *said, value, note string) ipwarden.Claim {
	f := &d.manifest.Feeds[w.feed]
	return ipwarden.Claim{Feed: f.Name, Date: f.Date, Licence: f.Licence, Match: w.match, Value: value, Note: note}
}
