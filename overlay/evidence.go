package overlay

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/ipwarden/ipwarden"
)

// Feed is the name of the operator's entries in the evidence.
const Feed = "overlay"

// Evidence is the evidence of the answer below, over which the entries' claims
// and what follows from them are laid.
func (l *laid) Evidence(addr netip.Addr, _ uint32) []ipwarden.Evidence {
	below := map[ipwarden.Field]ipwarden.Evidence{}
	for _, e := range l.under.Evidence() {
		below[e.Field] = e
	}
	said := map[ipwarden.Field][]ipwarden.Claim{} // the entry on top first
	for _, e := range l.entries {
		for _, f := range e.Facts {
			c := e.claim(textOf(f))
			said[f.Field] = append([]ipwarden.Claim{c}, said[f.Field]...)
		}
	}
	var all []ipwarden.Evidence
	rec := ipwarden.MakeRecord(addr, ipwarden.NewStore(l, nil), 0)
	for f := range ipwarden.AllFields() {
		if !f.Explained() {
			continue
		}
		if e, ok := l.explain(f, text(rec, f), said[f], below[f]); ok {
			all = append(all, e)
		}
	}
	return all
}

// explain sorts the claims about one field; false when there is nothing to say.
func (l *laid) explain(f ipwarden.Field, value string, said []ipwarden.Claim, below ipwarden.Evidence) (ipwarden.Evidence, bool) {
	e := ipwarden.Evidence{Field: f, Value: value}
	for _, c := range said {
		if c.Value == value {
			e.By = append(e.By, c)
		} else {
			c.Note += "; overruled by a later entry"
			e.Lost = append(e.Lost, c)
		}
	}
	switch {
	case below.Value == value:
		e.By = append(e.By, below.By...)
	default:
		for _, c := range below.By {
			if c.Note != "" {
				c.Note += "; "
			}
			c.Note += "overruled by the operator"
			e.Lost = append(e.Lost, c)
		}
	}
	e.Lost = append(e.Lost, below.Lost...)
	known := value != "" && (f.Traits() == 0 || value == "true")
	if known && len(e.By) == 0 && len(l.entries) > 0 {
		c := l.entries[len(l.entries)-1].claim(value)
		c.Note = "follows from what the operator set: " + c.Note
		e.By = append(e.By, c)
	}
	return e, len(e.By)+len(e.Lost) > 0
}

// claim is the entry's word for one value.
func (e *Entry) claim(value string) ipwarden.Claim {
	c := ipwarden.Claim{Feed: Feed, Match: e.Network.String(), Value: value, Note: e.Reason}
	if e.ASN != 0 {
		c.Match = fmt.Sprintf("AS%d", e.ASN)
	}
	if e.Owner != "" {
		c.Note += " (" + e.Owner + ")"
	}
	if !e.Expires.IsZero() {
		c.Note += ", until " + e.Expires.UTC().Format(time.RFC3339)
	}
	return c
}

func text(r ipwarden.Record, f ipwarden.Field) string {
	var v ipwarden.View
	b, _ := v.AppendText(nil, r, f)
	return string(b)
}

// textOf is a fact's value as an answer shows it.
func textOf(f Fact) string {
	full := ipwarden.Full{Location: ipwarden.Location{ContinentCode: "-", CountryCode: "-"}} // so that is_eu is shown
	_ = set(&full, f)
	return text(ipwarden.NewRecord(netip.IPv4Unspecified(), full), f.Field)
}
