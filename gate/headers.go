package gate

import (
	"iter"
	"net/netip"
	"strconv"
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

const maxEnriched = 13

// Enriched yields the headers that tell the application what is known and what
// was decided. It allocates one string for all of them.
func (d *Decision) Enriched() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		var e enriched
		e.fill(d)
		for i := range e.n {
			if !yield(e.name[i], e.value(i)) {
				return
			}
		}
	}
}

// enriched is the headers' names, and their values in one run of text.
type enriched struct {
	n     int
	name  [maxEnriched]string
	end   [maxEnriched]int
	text  string
	space [256]byte
}

func (e *enriched) value(i int) string {
	start := 0
	if i > 0 {
		start = e.end[i-1]
	}
	return e.text[start:e.end[i]]
}

func (e *enriched) fill(d *Decision) {
	b := e.space[:0]
	add := func(name string, to []byte) {
		if len(to) > len(b) {
			e.name[e.n], e.end[e.n] = name, len(to)
			e.n++
		}
		b = to
	}
	if as := d.Record.ASNumber(); as != 0 {
		add(HeaderASN, strconv.AppendUint(b, uint64(as), 10))
	}
	add(HeaderCountry, append(b, d.Record.CountryCode()...))
	add(HeaderDecision, d.ID.AppendTo(b))
	if d.Degraded {
		add(HeaderDegraded, append(b, "true"...))
	}
	add(HeaderIP, appendAddr(b, d.Client.Addr))
	add(HeaderReason, append(b, d.Reason.String()...))
	add(HeaderRisk, strconv.AppendUint(b, uint64(d.Score), 10))
	add(HeaderRule, append(b, d.By()...))
	add(HeaderTags, appendTags(b, d.Tags))
	if d.Tier != nil {
		add(HeaderTier, append(b, d.Tier.Name...))
	}
	add(HeaderTraits, appendTraits(b, d.Record.Traits()))
	add(HeaderVerdict, append(b, d.Verdict.String()...))
	e.text = string(b)
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
	for one := ipwarden.Traits(1); one <= ipwarden.AllTraits; one <<= 1 {
		if !t.Has(one) {
			continue
		}
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
