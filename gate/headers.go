package gate

import (
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/ipwarden/ipwarden"
)

// HeaderPrefix is the namespace of the headers that the gate adds. Whatever of
// it comes from outside is removed first (C10 of the contract).
const HeaderPrefix = "X-Ipwarden-"

// Names of the headers that the application gets with a request, in the order
// of the alphabet. Absent is what is not known.
const (
	HeaderASN      = HeaderPrefix + "Asn"      // 15169
	HeaderCountry  = HeaderPrefix + "Country"  // SE
	HeaderDecision = HeaderPrefix + "Decision" // 01ARYZ6S41TSV4RRFFQ69G5FAV
	HeaderDegraded = HeaderPrefix + "Degraded" // true: a fail mode or local counts stood in
	HeaderIP       = HeaderPrefix + "Ip"       // the client, canonical
	HeaderReason   = HeaderPrefix + "Reason"   // a policy.Reason
	HeaderRisk     = HeaderPrefix + "Risk"     // 0 to 100
	HeaderRule     = HeaderPrefix + "Rule"     // name of the rule, list or limit that decided
	HeaderTags     = HeaderPrefix + "Tags"     // tags that rules have set, comma-separated
	HeaderTier     = HeaderPrefix + "Tier"     // name of the tier
	HeaderTraits   = HeaderPrefix + "Traits"   // vpn,hosting
	HeaderVerdict  = HeaderPrefix + "Verdict"  // a Verdict
)

// enriching is a set of the headers above. The verdict is always among them.
type enriching uint16

const (
	tellASN enriching = 1 << iota
	tellCountry
	tellDecision
	tellDegraded
	tellIP
	tellReason
	tellRisk
	tellRule
	tellTags
	tellTier
	tellTraits
	tellAll = 1<<iota - 1

	// tellLimits is no header of the application's: the client is told of limits with
	// each answer, not with refusals alone.
	tellLimits enriching = 1 << 15
)

// Enrichments are the names that [Config.Enrich] takes: those of the headers
// without the prefix, in lower case.
var Enrichments = [...]string{"asn", "country", "decision", "degraded", "ip", "reason", "risk", "rule", "tags", "tier", "traits"}

// enrichingOf reads a Config's Enrich.
func enrichingOf(names []string) (set enriching, err error) {
	if names == nil {
		return tellAll, nil
	}
	for _, name := range names {
		i := slices.Index(Enrichments[:], name)
		if i < 0 {
			return 0, fmt.Errorf("%q in Enrich is none of %s", name, strings.Join(Enrichments[:], ", "))
		}
		set |= 1 << i
	}
	return set, nil
}

// Enriched yields the headers that tell the application what is known and what
// was decided, in the order of their names: those of [Config.Enrich], and the
// verdict. The values are in d's memory: who keeps one for longer than until d is
// used again clones it.
func (d *Decision) Enriched() iter.Seq2[string, string] { return d.enrich }

// Enrich calls set with what Enriched yields. It allocates nothing, which a loop over
// an iterator does.
func (d *Decision) Enrich(set func(name, value string)) {
	d.enrich(func(name, value string) bool {
		set(name, value)
		return true
	})
}

func (d *Decision) enrich(yield func(name, value string) bool) {
	b, set := d.text, d.enriching
	told := func(name string, to []byte) (more bool) {
		value := to[len(b):]
		b = to
		return len(value) == 0 || yield(name, alias(value))
	}
	// What the program or the policy has said in words of its own is not copied.
	said := func(name, value string) (more bool) { return len(value) == 0 || yield(name, value) }
	as, tier := d.Record.ASNumber(), ""
	if d.Tier != nil {
		tier = d.Tier.Name
	}
	_ = (set&tellASN == 0 || as == 0 || told(HeaderASN, strconv.AppendUint(b, uint64(as), 10))) &&
		(set&tellCountry == 0 || told(HeaderCountry, append(b, d.Record.CountryCode()...))) &&
		(set&tellDecision == 0 || told(HeaderDecision, d.ID.AppendTo(b))) &&
		(set&tellDegraded == 0 || !d.Degraded || said(HeaderDegraded, "true")) &&
		(set&tellIP == 0 || told(HeaderIP, appendAddr(b, d.Client.Addr))) &&
		(set&tellReason == 0 || said(HeaderReason, d.Reason.String())) &&
		(set&tellRisk == 0 || told(HeaderRisk, strconv.AppendUint(b, uint64(d.Score), 10))) &&
		(set&tellRule == 0 || told(HeaderRule, append(b, d.By()...))) &&
		(set&tellTags == 0 || told(HeaderTags, appendTags(b, d.Tags))) &&
		(set&tellTier == 0 || said(HeaderTier, tier)) &&
		(set&tellTraits == 0 || told(HeaderTraits, appendTraits(b, d.Record.Traits()))) &&
		said(HeaderVerdict, d.Verdict.String())
	d.text = b
}

func appendAddr(dst []byte, a netip.Addr) []byte {
	if !a.IsValid() {
		return dst
	}
	return a.AppendTo(dst)
}

// appendTraits appends the names of the traits, separated by commas.
func appendTraits(dst []byte, t ipwarden.Traits) []byte {
	first := true
	for t &= ipwarden.AllTraits; t != 0; t &= t - 1 {
		one := t & -t // the lowest
		if !first {
			dst = append(dst, ',')
		}
		first = false
		// The field is called security.is_vpn; what is wanted is vpn.
		dst = append(dst, ipwarden.FieldOf(one).String()[len("security.is_"):]...)
	}
	return dst
}

func appendTags(dst []byte, tags []string) []byte {
	for i, t := range tags {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, t...)
	}
	return dst
}

// alias reads bytes as a string without copying them, for callees that only
// read and do not keep it.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
