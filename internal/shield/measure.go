package shield

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/language"
)

// Kind is what a measure is about. The set is closed.
type Kind string

const (
	RequireKeys Kind = "require-keys" // no calls without a key
	Work        Kind = "pow"          // a harder proof of work, for more clients
	Country     Kind = "country"
	ASN         Kind = "asn"
	DNSBL       Kind = "dnsbl" // addresses that a block list is known to list
)

// Kinds lists them.
func Kinds() []Kind { return []Kind{RequireKeys, Work, Country, ASN, DNSBL} }

// Action is what is done to whom a measure is about.
type Action string

const (
	Block     Action = "block"
	Challenge Action = "challenge" // at the gate a challenge; at the API a key is needed
)

// Bounds of measures.
const (
	MaxMeasures = 1000
	MaxReason   = 200
	MaxBits     = 6
	Shortest    = time.Second
	Longest     = 90 * 24 * time.Hour
	// NoScore is of a Work that sends nobody to the challenge who would not go there anyway.
	NoScore = -1
)

// A Measure is one thing that is done until some time.
type Measure struct {
	Kind   Kind      `json:"kind"`
	Value  string    `json:"value,omitempty"`  // "RU", "64500", "zen.spamhaus.org"
	Action Action    `json:"action,omitempty"` // of Country, ASN and DNSBL
	Bits   int       `json:"bits,omitempty"`   // of Work: how many more, each twice the work
	From   int       `json:"from,omitempty"`   // of Work: clients of this score and above are challenged; NoScore
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
	By     string    `json:"by,omitempty"`
	Reason string    `json:"reason,omitempty"`
}

// Name tells measures apart: "country:RU", "require-keys".
func (m *Measure) Name() string {
	if m.Value == "" {
		return string(m.Kind)
	}
	return string(m.Kind) + ":" + m.Value
}

// Holds reports whether the measure is in force.
func (m *Measure) Holds(now time.Time) bool { return m != nil && now.Before(m.Until) }

// Number is the AS of an ASN.
func (m *Measure) Number() uint32 {
	n, _ := strconv.ParseUint(m.Value, 10, 32)
	return uint32(n)
}

// Does says it in a few words, for people.
func (m *Measure) Does() string {
	verb := "refuse"
	if m.Action == Challenge {
		verb = "challenge"
	}
	switch m.Kind {
	case RequireKeys:
		return "refuse calls without a key"
	case Work:
		s := fmt.Sprintf("%d more bits of proof of work", m.Bits)
		switch m.From {
		case NoScore:
		case 0:
			s += ", for everybody"
		default:
			s += fmt.Sprintf(", for everybody from a risk of %d on", m.From)
		}
		return s
	case Country:
		return verb + " the country " + m.Value
	case ASN:
		return verb + " AS" + m.Value
	}
	return verb + " whom " + m.Value + " lists"
}

// Parse reads the value of a kind as people write it.
func Parse(k Kind, text string) (value string, err error) {
	text = strings.TrimSpace(text)
	switch k {
	case RequireKeys, Work:
		if text != "" {
			return "", fmt.Errorf("%s is about no one thing, and %.40q is too much", k, text)
		}
		return "", nil
	case Country:
		c := strings.ToUpper(text)
		if len(c) != 2 || c[0] < 'A' || c[0] > 'Z' || c[1] < 'A' || c[1] > 'Z' {
			return "", fmt.Errorf("%.40q is no country; one is a code of two letters, such as SE", text)
		}
		r, err := language.ParseRegion(c)
		if err != nil || !r.IsCountry() {
			return "", fmt.Errorf("there is no country %s; one is a code of ISO 3166-1, such as SE, or XK for Kosovo", c)
		}
		if now := r.Canonicalize().String(); now != c {
			return "", fmt.Errorf("no address is in %s: the code is %s", c, now)
		}
		return c, nil
	case ASN:
		digits := text
		if len(digits) > 2 && strings.EqualFold(digits[:2], "AS") {
			digits = digits[2:]
		}
		n, err := strconv.ParseUint(digits, 10, 32)
		if err != nil || n == 0 {
			return "", fmt.Errorf("%.40q is no AS; one is AS64500 or 64500", text)
		}
		return strconv.FormatUint(n, 10), nil
	case DNSBL:
		z := strings.ToLower(strings.TrimSuffix(text, "."))
		if !isHost(z) {
			return "", fmt.Errorf("%.40q is no zone of a block list; one is zen.spamhaus.org", text)
		}
		return z, nil
	}
	return "", fmt.Errorf("%.40q is no kind of measure; there are require-keys, pow, country, asn and dnsbl", k)
}

// ParseName reads what [Measure.Name] writes.
func ParseName(text string) (string, error) {
	kind, value, _ := strings.Cut(strings.TrimSpace(text), ":")
	v, err := Parse(Kind(kind), value)
	if err != nil {
		return "", err
	}
	return (&Measure{Kind: Kind(kind), Value: v}).Name(), nil
}

func isHost(s string) bool {
	if len(s) > 253 || !strings.Contains(s, ".") {
		return false
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

// check says everything that is wrong with the measure.
func (m *Measure) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if v, err := Parse(m.Kind, m.Value); err != nil {
		errs = append(errs, err)
	} else if v != m.Value {
		bad("%q is written %q", m.Value, v)
	}
	switch m.Kind {
	case Country, ASN, DNSBL:
		if m.Action != Block && m.Action != Challenge {
			bad("the action %.20q is none; it is block or challenge", m.Action)
		}
	default:
		if m.Action != "" {
			bad("%s has no action", m.Kind)
		}
	}
	if m.Kind == Work {
		if m.Bits < 0 || m.Bits > MaxBits {
			bad("%d bits more; it is from 0 to %d, each twice the work", m.Bits, MaxBits)
		}
		if m.From < NoScore || m.From > 100 {
			bad("the risk to challenge from is %d; it is from 0, everybody, to 100", m.From)
		}
		if m.Bits == 0 && m.From == NoScore {
			bad("it raises nothing: say how many bits more, or from which risk on")
		}
	} else if m.Bits != 0 || m.From != 0 {
		bad("%s has neither bits nor a risk", m.Kind)
	}
	if m.Until.IsZero() || m.Until.Sub(m.Since) > Longest+time.Minute {
		bad("it ends at %s; a measure has an end, of at most %d days", m.Until.UTC().Format(time.RFC3339), int(Longest.Hours()/24))
	}
	for what, s := range map[string]string{"the reason": m.Reason, "who has done it": m.By} {
		if len(s) > MaxReason || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
			bad("%s is not one line of at most %d bytes", what, MaxReason)
		}
	}
	return errors.Join(errs...)
}
