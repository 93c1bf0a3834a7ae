package dialect

import (
	"encoding/base64"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ipwarden/ipwarden"
)

// A Credential is what a request says about who pays for it. It is a secret.
type Credential struct {
	Account string // beside the key, where the vendor has such a thing
	Key     string // "" when the request carries none
}

// Facts are what a decision about a credential may rest on, besides it.
type Facts struct {
	Dialect, Prefix string     // "ipinfo", "/compat/ipinfo"
	Peer, Client    netip.Addr // Client may be invalid
	Origin, Referer string     // as sent
	Items           int        // look-ups that are asked for
	More            bool       // beyond those of an earlier Check of this request
}

// Code is why a credential gets no answer.
type Code uint8

const (
	NoKey        Code = iota // the request carries none
	UnknownKey               // nobody's
	DisabledKey              // taken back, or expired
	OverQuota                // of a day or a month
	TooFast                  // of a second or a minute
	WrongAddress             // the key is for other addresses
	WrongOrigin              // the key is for other sites
	NotInPlan                // the plan has no such answers
)

// A Refusal is why a credential gets no answer, with what its owner wants to
// know. What is zero is not told.
type Refusal struct {
	Code        Code
	KeyID, Plan string // KeyID names the key without giving it away
	Used, Limit int64  // look-ups
	Reset       time.Time
	Region      string    // where most of what was used came from
	Upgrade     string    // URL that says how to get more
	Now         time.Time // Default: that of the request
	Told        bool      // the header lines about limits are sent by who refuses
}

// sentence says it to the owner of the key: what all vendors' own messages are
// followed by.
func (r *Refusal) sentence(c *Call) string {
	var b strings.Builder
	switch r.Code {
	case NoKey:
		b.WriteString("No key was given")
	case UnknownKey:
		b.WriteString("The key is not known here")
	case DisabledKey:
		b.WriteString("The key no longer works")
	case OverQuota:
		b.WriteString("The quota is used up")
	case TooFast:
		b.WriteString("Too many requests in a short time")
	case WrongAddress:
		b.WriteString("The key is not for requests from this address")
	case WrongOrigin:
		b.WriteString("The key is not for requests of this site")
	case NotInPlan:
		b.WriteString("The plan does not include this")
	}
	if r.KeyID != "" {
		b.WriteString("; key " + r.KeyID)
	}
	if r.Plan != "" {
		b.WriteString("; plan " + r.Plan)
	}
	if r.Limit > 0 {
		b.WriteString("; " + strconv.FormatInt(r.Used, 10) + " of " + strconv.FormatInt(r.Limit, 10) + " requests used")
	}
	if !r.Reset.IsZero() {
		b.WriteString("; resets at " + r.Reset.UTC().Format(time.RFC3339) + ", in " + strconv.FormatInt(r.wait(c), 10) + " s")
	}
	if r.Region != "" {
		b.WriteString("; most came from the region " + r.Region)
	}
	b.WriteByte('.')
	if r.Upgrade != "" {
		b.WriteString(" More: " + r.Upgrade)
	}
	return b.String()
}

// wait is how long until the reset, seconds.
func (r *Refusal) wait(c *Call) int64 {
	now := r.Now
	if now.IsZero() {
		now = c.Now
	}
	return max(0, int64((r.Reset.Sub(now)+time.Second-1)/time.Second))
}

// headers adds our own header lines, beside the vendor's: the fields of
// draft-ietf-httpapi-ratelimit-headers, and Retry-After.
func (r *Refusal) headers(c *Call) {
	if r.Told {
		return
	}
	if r.Limit > 0 {
		policy := "quota"
		if r.Code == TooFast {
			policy = "rate"
		}
		limit := `"` + policy + `";r=` + strconv.FormatInt(max(0, r.Limit-r.Used), 10)
		if !r.Reset.IsZero() {
			limit += ";t=" + strconv.FormatInt(r.wait(c), 10)
		}
		c.line("Ratelimit", limit)
		c.line("Ratelimit-Policy", `"`+policy+`";q=`+strconv.FormatInt(r.Limit, 10))
	}
	if !r.Reset.IsZero() && (r.Code == OverQuota || r.Code == TooFast) {
		c.line("Retry-After", strconv.FormatInt(r.wait(c), 10))
	}
}

// maxKey bounds a credential, bytes: what is longer is nobody's key, and is cut.
const maxKey = 512

func key(s string) Credential {
	if len(s) > maxKey {
		s = s[:maxKey]
	}
	return Credential{Key: s}
}

// keyOf is the first key that is there of those that a request may carry.
func keyOf(candidates ...string) Credential {
	for _, k := range candidates {
		if k != "" {
			return key(k)
		}
	}
	return Credential{}
}

// authorization returns what follows a scheme in the Authorization field.
func authorization(h ipwarden.Header, scheme string) string {
	v := first(h, "Authorization")
	if len(v) <= len(scheme) || v[len(scheme)] != ' ' || !strings.EqualFold(v[:len(scheme)], scheme) {
		return ""
	}
	return strings.Trim(v[len(scheme):], " ")
}

// basic returns user and password of the Basic scheme (RFC 7617).
func basic(h ipwarden.Header) (user, password string) {
	raw, err := base64.StdEncoding.DecodeString(authorization(h, "Basic"))
	if err != nil || !utf8.Valid(raw) {
		return "", ""
	}
	user, password, _ = strings.Cut(string(raw), ":")
	return user, password
}

// param returns the first value of a query parameter, "" without one.
func param(query, name string) string {
	v, _ := lookParam(query, name)
	return v
}

// lookParam tells an empty parameter from none.
func lookParam(query, name string) (value string, ok bool) {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		k, v, _ := strings.Cut(pair, "=")
		if k != name {
			if strings.IndexByte(k, '%') < 0 {
				continue
			}
			if k, err := url.QueryUnescape(k); err != nil || k != name {
				continue
			}
		}
		v, err := url.QueryUnescape(v)
		return v, err == nil
	}
	return "", false
}
