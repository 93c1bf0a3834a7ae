package account

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// KeySpec is what is said of a key: [customer.Key] tells what each means.
type KeySpec struct {
	Kind      customer.Kind
	Mode      customer.Mode
	Name      string
	Tags      []string
	Scopes    []string
	Networks  []netip.Prefix
	Origins   []string
	Endpoints []string
	Limits    []customer.Limit
	Expires   time.Time
}

// Bounds of what one key may have: the authorizer keeps all of it in memory.
const (
	maxName      = 100
	maxReason    = 200
	maxTags      = 20
	maxTag       = 50
	maxNetworks  = 100
	maxOrigins   = 50
	maxOrigin    = 255
	maxEndpoints = 20
	maxEndpoint  = 200
	maxLimits    = 8
	maxLimitName = 30
)

// SpecOf is what is said of a key that is there.
func SpecOf(k *customer.Key) KeySpec {
	return KeySpec{
		Kind: k.Kind, Mode: k.Mode, Name: k.Name, Tags: slices.Clone(k.Tags), Scopes: slices.Clone(k.Scopes),
		Networks: slices.Clone(k.Networks), Origins: slices.Clone(k.Origins), Endpoints: slices.Clone(k.Endpoints),
		Limits: slices.Clone(k.Limits), Expires: k.Expires,
	}
}

func (s *KeySpec) onto(k *customer.Key) {
	k.Kind, k.Mode, k.Name, k.Tags, k.Scopes = s.Kind, s.Mode, s.Name, s.Tags, s.Scopes
	k.Networks, k.Origins, k.Endpoints, k.Limits, k.Expires = s.Networks, s.Origins, s.Endpoints, s.Limits, s.Expires
}

// String is the spec for the log: JSON without what is not set.
func (s *KeySpec) String() string {
	limits := make([]string, len(s.Limits))
	for i, l := range s.Limits {
		limits[i] = fmt.Sprintf("%s %d/%s", l.Name, l.N, l.Per)
	}
	expires := ""
	if !s.Expires.IsZero() {
		expires = s.Expires.UTC().Format(time.RFC3339)
	}
	text, err := json.Marshal(struct {
		Kind      string         `json:"kind"`
		Mode      string         `json:"mode"`
		Name      string         `json:"name,omitempty"`
		Tags      []string       `json:"tags,omitempty"`
		Scopes    []string       `json:"scopes,omitempty"`
		Networks  []netip.Prefix `json:"networks,omitempty"`
		Origins   []string       `json:"origins,omitempty"`
		Endpoints []string       `json:"endpoints,omitempty"`
		Limits    []string       `json:"limits,omitempty"`
		Expires   string         `json:"expires,omitempty"`
	}{s.Kind.String(), s.Mode.String(), s.Name, s.Tags, s.Scopes, s.Networks, s.Origins, s.Endpoints, limits, expires})
	if err != nil {
		panic(err) // strings and prefixes
	}
	return string(text)
}

// Scopes are all scopes that a key may have.
func Scopes() []string {
	return []string{customer.ScopeLookup, customer.ScopeDecide, customer.ScopeUsage, customer.ScopeKeys}
}

// check says all that is wrong, and puts right what has one meaning: networks without
// bits beyond their length, nothing twice, times as precise as they are kept.
func (s *KeySpec) check(now time.Time) error {
	var wrong Invalid
	s.Name = strings.TrimSpace(s.Name)
	if m := checkText(s.Name, maxName); m != "" {
		wrong.add("name", "%s", m)
	}
	s.Tags = distinct(s.Tags)
	if len(s.Tags) > maxTags {
		wrong.add("tags", "there are %d; a key has at most %d", len(s.Tags), maxTags)
	}
	for _, tag := range s.Tags {
		if m := checkText(tag, maxTag); m != "" || tag == "" {
			wrong.add("tags", "%.60q: a tag is 1 to %d printable characters", tag, maxTag)
		}
	}
	s.Scopes = distinct(s.Scopes)
	for _, scope := range s.Scopes {
		if !slices.Contains(Scopes(), scope) {
			wrong.add("scopes", "%.60q is none; there are %s", scope, strings.Join(Scopes(), ", "))
		}
	}
	s.checkNetworks(&wrong)
	s.checkOrigins(&wrong)
	s.Endpoints = distinct(s.Endpoints)
	if len(s.Endpoints) > maxEndpoints {
		wrong.add("endpoints", "there are %d; a key has at most %d", len(s.Endpoints), maxEndpoints)
	}
	for _, e := range s.Endpoints {
		if m := checkText(e, maxEndpoint); m != "" || !strings.HasPrefix(e, "/") || strings.ContainsAny(e, " ?#") {
			wrong.add("endpoints", "%.60q is no path; one is /v1/ip", e)
		}
	}
	s.checkLimits(&wrong)
	if s.Kind > customer.Publishable {
		wrong.add("kind", "a key is secret or publishable")
	}
	if s.Mode > customer.Test {
		wrong.add("mode", "a key is live or test")
	}
	if !s.Expires.IsZero() {
		s.Expires = s.Expires.UTC().Truncate(time.Microsecond)
		if !s.Expires.After(now) {
			wrong.add("expires", "%s is not in the future", s.Expires.Format(time.RFC3339))
		}
	}
	return wrong.err()
}

func (s *KeySpec) checkNetworks(wrong *Invalid) {
	networks := s.Networks
	s.Networks = nil
	for _, p := range networks {
		switch {
		case !p.IsValid():
			wrong.add("networks", "there is one that is none; one is 203.0.113.0/24")
		case p.Addr().Is4In6():
			wrong.add("networks", "%s is IPv4 in the spelling of IPv6; write it as IPv4", p)
		case p.Masked() != p:
			wrong.add("networks", "%s has bits beyond its prefix; the network is %s", p, p.Masked())
		case !slices.Contains(s.Networks, p):
			s.Networks = append(s.Networks, p)
		}
	}
	if len(s.Networks) > maxNetworks {
		wrong.add("networks", "there are %d; a key has at most %d", len(s.Networks), maxNetworks)
	}
}

func (s *KeySpec) checkOrigins(wrong *Invalid) {
	for i, o := range s.Origins {
		s.Origins[i] = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(o), "/"))
	}
	s.Origins = distinct(s.Origins)
	if len(s.Origins) > maxOrigins {
		wrong.add("origins", "there are %d; a key has at most %d", len(s.Origins), maxOrigins)
	}
	for _, o := range s.Origins {
		u, err := url.Parse(strings.Replace(o, "://*.", "://wildcard.", 1))
		if err != nil || len(o) > maxOrigin || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || strings.ContainsAny(u.Host, "* ") ||
			u.Path != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.User != nil || u.Opaque != "" || strings.ContainsFunc(o, func(r rune) bool { return r <= ' ' || r > '~' }) {
			wrong.add("origins", "%.60q is no origin of pages; one is https://example.com, or https://*.example.com for all below it", o)
		}
	}
	if s.Kind != customer.Publishable {
		return
	}
	if len(s.Origins) == 0 {
		wrong.add("origins", "a publishable key is in everybody's hands, so it is bound to the pages that use it: name their origin, such as https://example.com")
	}
	for _, scope := range s.Scopes {
		if scope != customer.ScopeLookup && slices.Contains(Scopes(), scope) {
			wrong.add("scopes", "a publishable key is in everybody's hands: it has the scope %s only", customer.ScopeLookup)
			break
		}
	}
}

func (s *KeySpec) checkLimits(wrong *Invalid) {
	if len(s.Limits) > maxLimits {
		wrong.add("limits", "there are %d; a key has at most %d", len(s.Limits), maxLimits)
	}
	var names []string
	var spans []customer.Period // of which there is one count for each key
	for _, l := range s.Limits {
		if l.Per == customer.PerDay || l.Per == customer.PerMonth {
			if slices.Contains(spans, l.Per) {
				wrong.add("limits", "%.60q: there is another by %s; a key has one", l.Name, l.Per)
			}
			spans = append(spans, l.Per)
		}
		switch {
		case l.Name == "" || len(l.Name) > maxLimitName || strings.Trim(l.Name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "":
			wrong.add("limits", "%.60q is no name of a limit: 1 to %d letters, digits and \"-\"", l.Name, maxLimitName)
		case slices.Contains(names, l.Name):
			wrong.add("limits", "there are two called %s", l.Name)
		}
		names = append(names, l.Name)
		if l.N < 1 || l.N > maxCount {
			wrong.add("limits", "%s: %d is not between 1 and %d", l.Name, l.N, int64(maxCount))
		}
		if l.Per > customer.PerMonth {
			wrong.add("limits", "%s: it is by second, minute, hour, day or month", l.Name)
		}
	}
}

// checkText says what is wrong with text that people read: it must not steer a
// terminal, a header or a page.
func checkText(s string, most int) string {
	switch {
	case utf8.RuneCountInString(s) > most:
		return fmt.Sprintf("it has %d characters; at most %d", utf8.RuneCountInString(s), most)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Sprintf("%.60q has characters that cannot be printed", s)
	}
	return ""
}

// distinct leaves out what is there already, and keeps the order. Nothing is nil.
func distinct(all []string) []string {
	var out []string
	for _, s := range all {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
		if len(out) > 200 { // more than any list may have: what is wrong will be said
			break
		}
	}
	return out
}
