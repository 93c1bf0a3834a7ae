package dnsbl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode"

	"github.com/miekg/dns"
)

// Bounds of an answer.
const (
	maxUDP     = 1232     // what we say that we take (DNS flag day 2020)
	maxMessage = 16 << 10 // over TCP; a listing takes a few hundred bytes
	maxRecords = 64
	maxChain   = 8 // CNAMEs one after the other
	maxText    = 200
)

// answer is what a resolver said about a name. No addresses and no texts mean
// that there is no such name, or none with such records.
type answer struct {
	addrs []netip.Addr
	text  string
	ttl   uint32 // in seconds; of a negative answer that of the SOA
	known bool   // whether ttl is: a negative answer without an SOA has none
}

// errNotOurs is about a message that is no answer to the question: what somebody
// sends who hopes to be first, or what comes late.
var errNotOurs = errors.New("it is no answer to the question")

// errTruncated asks for the answer over TCP.
var errTruncated = errors.New("the answer does not fit")

// rcodeError is the resolver's word that it has no answer.
type rcodeError int

func (e rcodeError) Error() string {
	if s, ok := dns.RcodeToString[int(e)]; ok {
		return "the resolver says " + s
	}
	return fmt.Sprintf("the resolver says %d", int(e))
}

// readAnswer reads a message that came in answer to the question.
func readAnswer(b []byte, id uint16, name string, qtype uint16) (answer, error) {
	// Before anything else is read: an ID, and the bit of an answer.
	if len(b) < 12 || binary.BigEndian.Uint16(b) != id || b[2]&0x80 == 0 {
		return answer{}, errNotOurs
	}
	var m dns.Msg
	if err := m.Unpack(b); err != nil && !m.Truncated {
		return answer{}, fmt.Errorf("%w: it cannot be read", errNotOurs)
	}
	// A resolver that does not understand EDNS may leave the question out.
	bare := len(m.Question) == 0 && (m.Rcode == dns.RcodeFormatError || m.Rcode == dns.RcodeNotImplemented)
	if m.Opcode != dns.OpcodeQuery || !bare && (len(m.Question) != 1 || m.Question[0].Qtype != qtype ||
		m.Question[0].Qclass != dns.ClassINET || !strings.EqualFold(m.Question[0].Name, name)) {
		return answer{}, errNotOurs
	}
	switch {
	case m.Truncated:
		return answer{}, errTruncated
	case m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError:
		return answer{}, rcodeError(m.Rcode)
	case len(m.Answer) > maxRecords:
		return answer{}, fmt.Errorf("the answer has %d records, and should have %d at most", len(m.Answer), maxRecords)
	}
	end, ttl, err := chase(m.Answer, name)
	if err != nil {
		return answer{}, err
	}
	var a answer
	for _, rr := range m.Answer {
		h := rr.Header()
		if h.Class != dns.ClassINET || !strings.EqualFold(h.Name, end) || h.Rrtype != qtype {
			continue
		}
		switch rr := rr.(type) {
		case *dns.A:
			addr, ok := netip.AddrFromSlice(rr.A)
			if !ok {
				return answer{}, errors.New("the answer has an address that is none")
			}
			a.addrs = append(a.addrs, addr.Unmap())
		case *dns.TXT:
			if a.text == "" {
				a.text = cleanText(rr.Txt)
			}
		default:
			continue
		}
		ttl = min(ttl, h.Ttl)
		a.known = true
	}
	if a.known {
		if m.Rcode == dns.RcodeNameError {
			return answer{}, errors.New("the answer says that there is no such name, and what it has")
		}
		a.ttl = ttl
		return a, nil
	}
	a.ttl, a.known = negativeTTL(m.Ns, end)
	return a, nil
}

// chase follows CNAMEs from a name to the last, and returns the least TTL.
func chase(rrs []dns.RR, name string) (end string, ttl uint32, err error) {
	ttl = 1<<31 - 1
	for range maxChain {
		next := ""
		for _, rr := range rrs {
			if c, ok := rr.(*dns.CNAME); ok && strings.EqualFold(c.Hdr.Name, name) {
				next, ttl = c.Target, min(ttl, c.Hdr.Ttl)
				break
			}
		}
		if next == "" {
			return name, ttl, nil
		}
		name = next
	}
	return "", 0, fmt.Errorf("the answer has more than %d CNAMEs one after the other, or a ring of them", maxChain)
}

// negativeTTL is how long the lack of a name may be believed (RFC 2308 section 5).
func negativeTTL(rrs []dns.RR, name string) (ttl uint32, ok bool) {
	for _, rr := range rrs[:min(len(rrs), maxRecords)] {
		if s, is := rr.(*dns.SOA); is && dns.IsSubDomain(s.Hdr.Name, name) {
			return min(s.Hdr.Ttl, s.Minttl), true
		}
	}
	return 0, false
}

// cleanText makes one line that may be shown out of what a zone wrote.
func cleanText(parts []string) string {
	var b strings.Builder
	for _, p := range parts {
		// miekg/dns keeps bytes that are no ASCII, and quotes, as escapes.
		for _, r := range unescape(p) {
			if b.Len() >= maxText {
				return b.String() + "…"
			}
			if r != unicode.ReplacementChar && unicode.IsPrint(r) {
				b.WriteRune(r)
			}
		}
	}
	return strings.TrimSpace(b.String())
}

// unescape takes back the presentation format's \" and \255.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	digit := func(c byte) bool { return '0' <= c && c <= '9' }
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] != '\\' || i+1 == len(s):
			b = append(b, s[i])
		case i+3 < len(s) && digit(s[i+1]) && digit(s[i+2]) && digit(s[i+3]):
			b = append(b, byte(int(s[i+1]-'0')*100+int(s[i+2]-'0')*10+int(s[i+3]-'0')))
			i += 3
		default:
			i++
			b = append(b, s[i])
		}
	}
	return string(b)
}
