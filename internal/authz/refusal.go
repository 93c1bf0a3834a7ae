package authz

import (
	"net/http"
	"strconv"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/customer"
)

// Code is why a call gets no answer.
type Code uint8

const (
	Admitted      Code = iota
	NoKey              // the call has none, and needs one
	NotKey             // what it has cannot be one
	Mistyped           // its checksum is wrong
	UnknownKey         // nobody's
	Revoked            // taken back
	Expired            // its time is over
	Suspended          // the account is
	WrongAddress       // the key is for other networks
	WrongOrigin        // the key is for other pages
	WrongEndpoint      // the key is for other paths
	WrongScope         // the key is for other things
	TooMany            // items at once, for the plan
	NoField            // the plan does not have that
	OverQuota          // of a day or a month
	TooFast            // for a second, a minute or an hour
	Shielded           // nothing of the key: where it comes from is refused for a while
	NumCodes
)

var codes = [NumCodes]struct {
	status      int
	slug, title string
}{
	NoKey:         {http.StatusUnauthorized, "no-key", "A key is needed"},
	NotKey:        {http.StatusUnauthorized, "not-a-key", "Not a key"},
	Mistyped:      {http.StatusUnauthorized, "mistyped-key", "The key is mistyped"},
	UnknownKey:    {http.StatusUnauthorized, "unknown-key", "The key is not known"},
	Revoked:       {http.StatusUnauthorized, "revoked-key", "The key was revoked"},
	Expired:       {http.StatusUnauthorized, "expired-key", "The key has expired"},
	Suspended:     {http.StatusForbidden, "suspended", "The account is suspended"},
	WrongAddress:  {http.StatusForbidden, "wrong-address", "The key is not for this address"},
	WrongOrigin:   {http.StatusForbidden, "wrong-origin", "The key is not for this site"},
	WrongEndpoint: {http.StatusForbidden, "wrong-endpoint", "The key is not for this path"},
	WrongScope:    {http.StatusForbidden, "wrong-scope", "The key is not for this"},
	TooMany:       {http.StatusForbidden, "bulk-not-in-plan", "The plan has no such large bulk"},
	NoField:       {http.StatusForbidden, "fields-not-in-plan", "The plan does not have these fields"},
	OverQuota:     {http.StatusTooManyRequests, "over-quota", "The quota is used up"},
	TooFast:       {http.StatusTooManyRequests, "too-fast", "Too many requests in a short time"},
	Shielded:      {http.StatusForbidden, "shielded", "Not from there for now"},
}

// Status is the status of HTTP that says it: 401, 403 or 429.
func (c Code) Status() int { return codes[c].status }

// Slug names it in URLs and metrics.
func (c Code) Slug() string { return codes[c].slug }

// Title says it in few words, the same for all calls.
func (c Code) Title() string { return codes[c].title }

// Class is what a refused call is counted as.
func (c Code) Class() customer.Class {
	if c.Status() == http.StatusTooManyRequests {
		return customer.Limited
	}
	return customer.Rejected
}

// A Refusal is why a call gets no answer, with what the owner of the key wants to
// know. What is zero is not told. It belongs to its [Call].
type Refusal struct {
	Code    Code
	Key     customer.KeyID // 0 where the key is nobody's
	Plan    string         // its title
	Limit   string         // the name of the limit that is reached
	Used    int64          // look-ups of Max
	Max     int64
	Reset   time.Time
	Wait    int64  // seconds until asking again can help; 0 is not known
	Region  string // where most of the month's calls came from
	Upgrade string // URL

	asked     int64     // look-ups at once: more than the quota has left, or than bulk
	bulk      int64     // what the plan has at once, of a TooMany
	window    string    // how the plan counts days and months, where one of them is told
	quota     string    // the limit that Used and Max are of, where it is not what refuses
	said      string    // the field that the plan lacks, the page or the address that the call is from
	scope     Scope     // that it lacks
	own       bool      // the limit is the key's
	anonymous bool      // it is about calls without a key
	needsKey  bool      // with a key it would not be refused
	shielded  bool      // it is because of an attack
	at        time.Time // when the key ended, or the shield's measure will
}

// AppendDetail appends one sentence or two about this call. They never have the
// text of a key in them.
func (r *Refusal) AppendDetail(dst []byte) []byte {
	switch r.Code {
	case NoKey:
		dst = append(dst, `This server answers to keys. Send yours as "Authorization: Bearer ipw_sk_live_…" or "X-Api-Key: ipw_sk_live_…".`...)
		if r.shielded {
			dst = append(dst, " It is under attack, and answers nobody without one"...)
			dst = append(appendTime(append(dst, " until "...), r.at), '.')
		}
	case NotKey:
		dst = append(dst, `What was sent is no key of ipwarden: one is 42 letters, digits and "_", and begins with "ipw_sk_" or "ipw_pk_".`...)
	case Mistyped:
		dst = append(dst, "The last six characters of the key do not fit the rest: some character is wrong or missing. Copy it again."...)
	case UnknownKey:
		dst = append(dst, "This key is well-formed, and nobody's here. It may have been made on another installation, or its account was deleted."...)
	case Revoked:
		dst = r.appendKey(dst)
		dst = appendTime(append(dst, " was revoked at "...), r.at)
		dst = append(dst, ". Use the key that took its place, or make one."...)
	case Expired:
		dst = r.appendKey(dst)
		dst = appendTime(append(dst, " expired at "...), r.at)
		dst = append(dst, ". Make a new one."...)
	case Suspended:
		dst = append(r.appendKey(dst), " is of an account that is suspended. Ask who runs this server."...)
	case WrongAddress:
		dst = r.appendKey(dst)
		dst = append(append(dst, " is only for requests from certain addresses; this one came from "...), r.said...)
		dst = append(dst, '.')
	case WrongOrigin:
		dst = append(r.appendKey(dst), " is only for requests of certain web pages"...)
		if r.said == "" {
			dst = append(dst, "; this one has neither Origin nor Referer. For a server, use a secret key (ipw_sk_…)."...)
		} else {
			dst = append(append(append(dst, "; this one came from "...), r.said...), ". Add that origin to the key."...)
		}
	case WrongEndpoint:
		dst = append(r.appendKey(dst), " is only for certain paths, and this is none of them."...)
	case WrongScope:
		dst = append(r.appendKey(dst), " does not have the scope \""...)
		dst = append(append(dst, r.scope.String()...), "\", which this needs."...)
	case TooMany:
		dst = strconv.AppendInt(append(dst, "A request has "...), r.asked, 10)
		dst = append(dst, " addresses; "...)
		dst = strconv.AppendInt(append(r.appendPlan(dst), " has "...), r.bulk, 10)
		dst = append(dst, " at once. Send them in several."...)
	case NoField:
		at := len(dst)
		dst = append(append(append(r.appendPlan(dst), " does not have "...), r.said...), "."...)
		dst[at] -= 'a' - 'A'
	case OverQuota, TooFast:
		dst = r.appendUse(dst)
	case Shielded:
		dst = append(dst, "This server is under attack, and refuses requests from your network until "...)
		dst = append(appendTime(dst, r.at), ". Your key is not the reason. Ask who runs this server."...)
	}
	if r.quota != "" {
		dst = r.appendStanding(dst)
	}
	return dst
}

// appendStanding says where the account stands, where that is not what refuses.
func (r *Refusal) appendStanding(dst []byte) []byte {
	dst = append(append(append(dst, " The plan "...), r.Plan...), ": "...)
	dst = strconv.AppendInt(dst, r.Used, 10)
	dst = strconv.AppendInt(append(dst, " of "...), r.Max, 10)
	dst = append(append(append(dst, " look-ups are used of the limit \""...), r.quota...), '"')
	dst = append(r.appendSince(dst), '.')
	if r.Upgrade != "" && (r.Code == TooMany || r.Code == NoField) {
		dst = append(append(append(dst, " More: "...), r.Upgrade...), '.')
	}
	return dst
}

// appendSince says when what was used resets, and where most of it came from.
func (r *Refusal) appendSince(dst []byte) []byte {
	if !r.Reset.IsZero() {
		dst = appendTime(append(dst, "; it resets at "...), r.Reset)
	}
	if r.Region != "" {
		dst = append(append(dst, "; most calls of this month came from the region "...), r.Region...)
	}
	return dst
}

func (r *Refusal) appendKey(dst []byte) []byte {
	return append(append(dst, "Key "...), r.Key.String()...)
}

func (r *Refusal) appendPlan(dst []byte) []byte {
	if r.anonymous {
		return append(dst, "a call without a key"...)
	}
	return append(append(dst, "the plan "...), r.Plan...)
}

func (r *Refusal) appendUse(dst []byte) []byte {
	dst = strconv.AppendInt(dst, r.Used, 10)
	dst = strconv.AppendInt(append(dst, " of "...), r.Max, 10)
	dst = append(append(append(dst, " look-ups are used of the limit \""...), r.Limit...), '"')
	switch {
	case r.anonymous:
		dst = append(dst, " for calls without a key from this network"...)
	case r.own:
		dst = append(append(dst, " of the key "...), r.Key.String()...)
	default:
		dst = append(append(dst, " of the plan "...), r.Plan...)
	}
	dst = append(r.appendSince(dst), '.')
	if left := r.Max - r.Used; r.Code == OverQuota && left > 0 && r.asked > left {
		dst = strconv.AppendInt(append(dst, " This call asks for "...), r.asked, 10)
		dst = append(strconv.AppendInt(append(dst, "; send at most "...), left, 10), '.')
	}
	switch {
	case r.own:
	case r.Upgrade != "":
		dst = append(append(append(dst, " More: "...), r.Upgrade...), '.')
	case r.anonymous:
		dst = append(dst, " With a key there is more."...)
	}
	return dst
}

func appendTime(dst []byte, t time.Time) []byte { return t.UTC().AppendFormat(dst, time.RFC3339) }

// AppendMembers appends what a problem document has besides its detail, for
// machines, each member with a comma before it.
func (r *Refusal) AppendMembers(dst []byte) []byte {
	if r.Key != 0 {
		dst = append(append(append(dst, `,"key":"`...), r.Key.String()...), '"')
	}
	if r.Plan != "" && !r.anonymous {
		dst = ipwarden.AppendString(append(dst, `,"plan":`...), r.Plan)
	}
	if r.Limit != "" {
		dst = append(ipwarden.AppendString(append(dst, `,"violated-policies":[`...), r.Limit), ']')
	}
	if r.bulk > 0 {
		dst = strconv.AppendInt(append(dst, `,"items":`...), r.asked, 10)
		dst = strconv.AppendInt(append(dst, `,"bulk":`...), r.bulk, 10)
	}
	if r.Max > 0 {
		dst = strconv.AppendInt(append(dst, `,"used":`...), r.Used, 10)
		dst = strconv.AppendInt(append(dst, `,"limit":`...), r.Max, 10)
	}
	if r.window != "" {
		dst = append(append(append(dst, `,"window":"`...), r.window...), '"')
	}
	if !r.Reset.IsZero() {
		dst = append(appendTime(append(dst, `,"reset":"`...), r.Reset), '"')
	}
	if r.Wait > 0 {
		dst = strconv.AppendInt(append(dst, `,"retry_after":`...), r.Wait, 10)
	}
	if r.Region != "" {
		dst = ipwarden.AppendString(append(dst, `,"region":`...), r.Region)
	}
	if r.Upgrade != "" {
		dst = ipwarden.AppendString(append(dst, `,"upgrade":`...), r.Upgrade)
	}
	return dst
}
